"""A strict look at JSON text (RFC 8259), byte by byte where json.loads() of MicroPython lets almost anything pass.

json.loads() takes ``{"port":}`` for ``{}`` and ``{"a" 1,,}`` for ``{"a": 1}``, and does not say where a text is wrong.
"""

import json

from micropython import const

DEPTH = 20  # objects and lists one in another; what works on them afterwards calls itself for each
_LONG = const(40)  # characters of a number
# What may come next
_VALUE = const(0)
_FIRST_VALUE = const(1)  # or the end of an empty list
_KEY = const(2)
_FIRST_KEY = const(3)  # or the end of an empty object
_COLON = const(4)
_NEXT = const(5)  # a comma or a closing bracket
_END = const(6)
_NAMES = ("a value", "a value or ]", 'a "key"', 'a "key" or }', "a colon", "", "the end of the file")


def scan(text, found=None, errors=None):
    """Check that a text is JSON.

    text: bytes. found: called as found(path, start, end) for each value that is a text; path as in configkeys, end is
    behind the closing quotation mark. errors: list, to which a text is added for each key that is given twice.
    Raises ValueError with what was expected, what was found and the line.
    """
    try:
        str(text, "utf-8")
    except ValueError:
        raise ValueError("expected UTF-8 text, got other bytes")
    size = len(text)
    stack = []  # for each open object or list: what its items' paths begin with, and the keys that it has had
    path = ""
    want = _VALUE
    i = 0
    while True:
        while i < size and text[i] in b" \t\r\n":
            i += 1
        if i == size:
            if want == _END:
                return
            raise _wrong(text, i, want, stack)
        c = text[i]
        start = i
        i += 1
        if want == _NEXT and c == 0x2C:
            want = _VALUE if stack[-1][1] is None else _KEY
            path = stack[-1][0]
        elif want in (_NEXT, _FIRST_KEY, _FIRST_VALUE) and c == (0x5D if stack[-1][1] is None else 0x7D):
            stack.pop()
            want = _NEXT if stack else _END
        elif want == _COLON and c == 0x3A:
            want = _VALUE
        elif want in (_KEY, _FIRST_KEY) and c == 0x22:
            i = _string(text, start)
            key = text[start + 1 : i - 1]
            outer = stack[-1]
            key = json.loads(text[start:i]) if b"\\" in key else key.decode()
            path = outer[0] + key
            if errors is not None:
                if key in outer[1]:
                    errors.append("%s is given twice; the last one counts" % path)
                outer[1].add(key)
            want = _COLON
        elif want > _FIRST_VALUE:
            raise _wrong(text, start, want, stack)
        else:
            if c in b"{[":
                if len(stack) == DEPTH:
                    raise _error(
                        text, start, "expected at most %d objects or lists one in another, got more" % DEPTH
                    )
                if c == 0x7B:
                    stack.append((path + "." if path else "", set()))
                    want = _FIRST_KEY
                else:
                    stack.append((path + "[]", None))
                    path += "[]"
                    want = _FIRST_VALUE
                continue
            if c == 0x22:
                i = _string(text, start)
                if found:
                    found(path, start, i)
            elif c == 0x2D or 0x30 <= c <= 0x39:
                i = _number(text, start)
            else:
                for word in (b"true", b"false", b"null"):
                    if text[start : start + len(word)] == word:
                        i = start + len(word)
                        break
                else:
                    raise _wrong(text, start, want, stack)
            want = _NEXT if stack else _END


def _string(text, i):
    # The place behind the text that begins at i.
    start = i = i + 1
    while True:
        i = text.find(b'"', i)
        if i < 0:
            break
        n = i
        while text[n - 1] == 0x5C and n > start:
            n -= 1
        if (i - n) % 2 == 0:  # not one quotation mark behind a backslash
            break
        i += 1
    part = text[start : i if i >= 0 else len(text)]
    if part and min(part) < 0x20:
        n = 0
        while part[n] >= 0x20:
            n += 1
        if part[n] == 0x0A or part[n] == 0x0D:
            raise _error(text, start + n, 'expected " before the end of the line')
        raise _error(text, start + n, "expected a text without control characters")
    if i < 0:
        raise _error(text, start, 'expected " at the end of a text')
    n = part.find(b"\\")
    while n >= 0:
        c = part[n + 1]
        if c not in b'"\\/bfnrtu':
            raise _error(text, start + n, "expected \\\\ for a backslash in a text")
        if c == 0x75:
            digits = part[n + 2 : n + 6]
            if len(digits) < 4 or any(d not in b"0123456789abcdefABCDEF" for d in digits):
                raise _error(text, start + n, "expected four hexadecimal digits after \\u")
        n = part.find(b"\\", n + 2)
    return i + 1


def _number(text, i):
    # The place behind the number that begins at i.
    start = i
    if text[i] == 0x2D:
        i += 1
    first = i
    i = _digits(text, first)
    good = i > first and (text[first] != 0x30 or i == first + 1)
    if good and text[i : i + 1] == b".":
        first = i + 1
        i = _digits(text, first)
        good = i > first
    if good and text[i : i + 1] in (b"e", b"E"):
        first = i + 1
        if text[first : first + 1] in (b"+", b"-"):
            first += 1
        i = _digits(text, first)
        good = i > first
    if not good or i - start > _LONG:
        raise _error(text, start, "expected a number such as 12 or -0.5")
    return i


def _digits(text, i):
    while i < len(text) and 0x30 <= text[i] <= 0x39:
        i += 1
    return i


def _wrong(text, i, want, stack):
    # The error for what stands at i in place of what was wanted.
    if want == _NEXT:
        name = "a comma or ]" if stack[-1][1] is None else "a comma or }"
    else:
        name = _NAMES[want]
    if i >= len(text):
        got = "the end of the file"
    else:
        c = text[i]
        # No more than a sign: a word may be a password without quotation marks.
        got = (
            chr(c)
            if 0x21 <= c <= 0x7E and not chr(c).isalpha() and not chr(c).isdigit()
            else "something else"
        )
    return _error(text, i, "expected %s, got %s" % (name, got))


def _error(text, i, what):
    line = 1
    n = text.find(b"\n")
    while 0 <= n < i:
        line += 1
        n = text.find(b"\n", n + 1)
    return ValueError("line %d: %s" % (line, what))
