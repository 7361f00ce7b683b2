"""What a browser sends with a form; and texts made safe for a page."""

from binascii import unhexlify


def decoded(data):
    """The bytes of a field of a form, as text: "+" is a blank, %XX a byte. Raises ValueError if it is not UTF-8."""
    parts = bytes(data).replace(b"+", b" ").split(b"%")
    out = bytearray(parts[0])
    for part in parts[1:]:
        try:
            if len(part) < 2:
                raise ValueError
            out.extend(unhexlify(part[:2]))
            out.extend(part[2:])
        except ValueError:
            out.append(0x25)  # a percent sign that stands for itself
            out.extend(part)
    return str(bytes(out), "utf-8")


def fields(kind, body):
    """The fields of a form as a dict of texts. kind: its Content-Type. Raises ValueError with a text."""
    if not kind.startswith("application/x-www-form-urlencoded"):
        raise ValueError("expected a form (application/x-www-form-urlencoded)")
    found = {}
    for pair in body.split(b"&"):
        at = pair.find(b"=")
        if at > 0:
            try:
                found[decoded(pair[:at])] = decoded(pair[at + 1 :])
            except ValueError:
                raise ValueError("expected UTF-8 text")
    return found


def escaped(text):
    """A text for a page (HTML), also inside an attribute's quotes."""
    for a, b in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(a, b)
    return text
