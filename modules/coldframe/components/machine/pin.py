"""A pin of the chip, by number or by the name that is printed on the board."""

import machine
from coldframe import hal


def find(pin):
    """The machine.Pin for a pin, in whatever state it is.

    pin: a number, also as a text; "GP5" or "GPIO5"; a name of the board, such as "led", or "D5" on an ESP8266
    (hal.pins() has them); whatever else the chip itself knows; a machine.Pin. Raises ValueError for anything else.
    """
    if isinstance(pin, machine.Pin):
        return pin
    found = pin
    if isinstance(pin, str):
        names = hal.pins()
        for name in (pin.lower(), pin.upper()):
            if isinstance(names.get(name), (int, str)):
                found = names[name]
        if found is pin:
            for start in ("GPIO", "GP", ""):
                digits = pin[len(start) :]
                if pin.upper().startswith(start) and digits and all(c in "0123456789" for c in digits):
                    found = int(digits)
                    break
    if isinstance(found, (int, str)) and not isinstance(found, bool):
        try:
            return machine.Pin(found)
        except (ValueError, TypeError):
            pass
    raise ValueError("expected the number or name of a pin, got %r" % (pin,))


def Pin(pin, mode=None, pull=None, value=None):
    """A machine.Pin.

    mode: "in", "out" or "open_drain"; None leaves it as it is. pull: "up" or "down". value: level at the start, 0 or 1.
    """
    found = find(pin)
    modes = {"in": "IN", "out": "OUT", "open_drain": "OPEN_DRAIN", None: None}
    if mode not in modes:
        raise ValueError("mode: expected in, out or open_drain, got %r" % (mode,))
    options = {}
    if value is not None:
        options["value"] = value
    if pull is not None:
        name = {"up": "PULL_UP", "down": "PULL_DOWN"}.get(pull)
        if name is None:
            raise ValueError("pull: expected up or down, got %r" % (pull,))
        options["pull"] = getattr(machine.Pin, name, None)
        if options["pull"] is None:
            raise ValueError("pull: this chip has no pull-%s" % pull)
    if mode or options:
        found.init(getattr(machine.Pin, modes[mode] or "IN"), **options)
    return found
