"""The simulated board: the unix image with the machine and network modules of ports/unix.

Its RTC memory belongs to the user's program as it does on an ESP32, so the boot record is a file here. Names of hosts
are those of the world's script and of the PC.
"""

import sys

from micropython import const

SUBSECOND = const(1000)  # microseconds, as on an ESP32
DOG_TIMER = const(-1)


def console():
    """The console, see more.py; None while the board has no radio, for it is not set up then."""
    return (sys.stdin.buffer, _Console) if wireless() else None


class _Console:
    @staticmethod
    def write(data):
        import _simboard

        _simboard.console(data)


def wireless():
    """Whether there is a radio in the world's script; without it, the board is simply on the PC's network."""
    from simulated import radio

    return not radio.wired()


def interrupt():
    """See hal.interrupt()."""
    import _simboard

    _simboard.interrupt()


def name_servers():
    """IPv4 addresses of the PC's name servers; [] if there are none."""
    return [
        w[1] for w in _words("/etc/resolv.conf") if w[0] == "nameserver" and len(w) > 1 and ":" not in w[1]
    ]


def known_host(name):
    """Addresses of a host that the world's script or the PC knows, [] if it says that there is none, else None."""
    name = name.lower()
    world = sys.modules.get("simulated.world")
    for host, address in ((world and world.data.get("hosts")) or {}).items():
        if host.lower() == name:
            return [address] if address else []
    found = [w[0] for w in _words("/etc/hosts") if name in (host.lower() for host in w[1:])]
    return [address for address in found if ":" not in address] or found or None


def _words(path):
    # The lines of one of the PC's files, which are not in the board's own file system.
    import vfs

    try:
        with vfs.VfsPosix().open(path, "r") as f:
            for line in f:
                words = line.split("#")[0].split()
                if words:
                    yield words
    except OSError:
        pass
