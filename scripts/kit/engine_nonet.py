"""Run a command in a network namespace that has nothing but its own loopback.

Started as `unshare --net -- python3 engine_nonet.py COMMAND...`: the namespace is there already, this
only switches "lo" on (a fresh one is down, and programs that talk to themselves need it).
"""

import fcntl
import os
import socket
import struct
import sys

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    os.execvp(sys.argv[1], sys.argv[1:])
