"""The date from a broker's certificate, for a device whose clock is not set. Imported only there.

A board without a battery wakes in 2000 or 2021, when the broker's certificate was not yet valid. That one which
our CA has signed says at least that its first day is past. So the clock is set to it, and all the rest of
the certificate is checked as ever; only that it may have expired meanwhile cannot be seen.
"""

from time import gmtime, mktime

from coldframe import clock, wallclock


class Witness:
    """Looks at the certificates that a TLS context checks, and remembers the latest date at which one begins."""

    def __init__(self, context):
        self._context = context
        self._latest = None
        self._before = None
        context.verify_callback = self._see

    def end(self):
        """Look no longer."""
        self._context.verify_callback = None

    def begin(self):
        """Set the clock to the date that was seen. False if there was none, or it is before that of the clock."""
        now = gmtime()[:6]
        if self._latest is None or self._latest <= now:
            return False
        self._before = -clock.ms()
        self._before += clock.unix_ms()
        # As it may be years later by now, the time does not count as known.
        wallclock.set((mktime(self._latest + (0, 0)) + wallclock.EPOCH) * 1000, "certificate", False)
        return True

    def undo(self):
        """Set the clock back: the certificate was none of ours."""
        wallclock.set(self._before + clock.ms(), None, False)

    def date(self):
        """The date that was seen, for people."""
        return "%d-%02d-%02d" % self._latest[:3]

    def _see(self, certificate, depth):
        # Called by mbedtls, where an exception would do harm.
        try:
            begins = not_before(certificate)
            if self._latest is None or begins > self._latest:
                self._latest = begins
        except Exception:
            pass
        return 0


def not_before(der):
    """When a certificate becomes valid: (year, month, day, hours, minutes, seconds).

    der: its bytes (RFC 5280, 4.1). Raises IndexError or ValueError when it is none.
    """
    i, _ = _item(der, 0, 0x30)  # Certificate
    i, _ = _item(der, i, 0x30)  # TBSCertificate
    if der[i] == 0xA0:
        i = _item(der, i, 0xA0)[1]  # version
    i = _item(der, i, 0x02)[1]  # serialNumber
    i = _item(der, i, 0x30)[1]  # signature
    i = _item(der, i, 0x30)[1]  # issuer
    i, _ = _item(der, i, 0x30)  # validity
    i, end = _item(der, i, der[i])
    digits = bytes(der[i:end])
    if end - i == 13:  # UTCTime, two digits for the year
        digits = (b"19" if digits[:2] >= b"50" else b"20") + digits
    if len(digits) != 15:
        raise ValueError
    return (int(digits[:4]),) + tuple(int(digits[k : k + 2]) for k in range(4, 14, 2))


def _item(der, i, tag):
    # Where the content of the item at i begins, and where it ends.
    if der[i] != tag:
        raise ValueError
    size = der[i + 1]
    i += 2
    if size & 0x80:
        n = size & 0x7F
        size = int.from_bytes(der[i : i + n], "big")
        i += n
    if i + size > len(der):
        raise ValueError
    return i, i + size
