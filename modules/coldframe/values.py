"""Values that come as text or as JSON, checked: what a parameter or a command may be."""

ON = ("on", "true", "1")
OFF = ("off", "false", "0")
KINDS = ("bool", "int", "float", "str", "choice")
_LONGEST = 64  # characters of a number


def kind_of(value):
    """The kind of a value: "bool", "int", "float" or "str". Raises ValueError for any other."""
    for kind, of in (("bool", bool), ("int", int), ("float", float), ("str", str)):
        if isinstance(value, of):
            return kind
    raise ValueError("expected a bool, int, float or str, got %r" % (value,))


def expected(kind, low=None, high=None, choices=None, unit=None):
    """What is allowed, in words: "1 to 60 s"."""
    if kind == "bool":
        return "ON or OFF"
    if kind == "choice":
        return "one of " + ", ".join(str(c) for c in choices)
    what = {"int": "a whole number", "float": "a number", "str": "a text"}[kind]
    if kind == "str":
        unit = "bytes"
    if low is not None and high is not None:
        what = ("%s of %s to %s" if kind == "str" else "%s from %s to %s") % (what, low, high)
    elif low is not None:
        what += " of at least %s" % low
    elif high is not None:
        what += " of at most %s" % high
    else:
        return what
    return what + " " + unit if unit else what


def parse(kind, value, low=None, high=None, choices=None, unit=None):
    """Make a value of what came in.

    kind: one of KINDS, or None: anything, as it is. value: str or bytes (a message), or what JSON gives. low, high:
    limits of a number, or of a text's length in bytes. choices: the values of "choice". unit: for the error's text.
    Returns a bool, int, float, str or one of choices. Raises ValueError: what was expected, and what came.
    """
    if kind is None:
        return value
    given = value
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            value = bytes(value).decode()
        except ValueError:
            value = None
    result = _take(kind, value, choices)
    if result is not None and kind != "choice":
        size = len(result.encode()) if kind == "str" else result
        if low is not None and size < low or high is not None and size > high:
            result = None
    if result is None:
        shown = repr(given)
        if len(shown) > 40:
            shown = shown[:37] + "..."
        raise ValueError("expected %s, got %s" % (expected(kind, low, high, choices, unit), shown))
    return result


def _take(kind, value, choices):
    # The value, or None if it is not of this kind.
    if kind == "str":
        return value if isinstance(value, str) else None
    if kind == "choice":
        for choice in choices:
            if value == choice or isinstance(value, str) and value.strip().strip('"') == str(choice):
                return choice
        return None
    if isinstance(value, str):
        value = value.strip().strip('"')
        if kind == "bool":
            value = value.lower()
            return True if value in ON else False if value in OFF else None
        if len(value) > _LONGEST:
            return None
        try:
            value = float(value) if kind == "float" or "." in value or "e" in value else int(value)
        except ValueError:
            return None
    if kind == "bool":
        return bool(value) if value in (0, 1) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if kind == "int":
        try:
            whole = int(value)
        except (ValueError, OverflowError):  # not a number, infinite
            return None
        return whole if whole == value else None
    value = float(value)
    return value if value - value == 0 else None  # neither infinite nor "not a number"
