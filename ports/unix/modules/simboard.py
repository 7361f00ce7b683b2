"""Start of the simulated board: coldframe-UNIX -m simboard NODE_DIR [options]. docs/simulator.md explains it."""

import os
import sys

import _simboard

_USAGE = """\
usage: coldframe-UNIX-VERSION [-X heapsize=SIZE] -m simboard NODE_DIR [options]

Runs a simulated board. NODE_DIR is made if it does not exist: NODE_DIR/flash is the board's file system,
NODE_DIR/sim holds the rest of the board (world.json: its surroundings, state.json: what it does).

  --repl           give a REPL on the input even if it is not a terminal
  --exit           end when main.py ends (status 1 if it failed), instead of staying on
  --size KIB       size of the flash, default 1408
  --lfs FILE       keep the flash as a littlefs image in FILE (a name inside NODE_DIR/sim), not as a folder
  --cut N          with --lfs: cut the power in the middle of the Nth write to the flash
  --id HEX         the chip's unique id for a new NODE_DIR, 16 digits; default: chosen at random
"""


def _fail(text):
    _simboard.fd_write(2, b"simboard: %s\n" % text.encode())  # sys.stderr is the console of the board: stdout
    sys.exit(2)


def _options(args):
    found = {"--size": "1408", "--lfs": None, "--cut": "0", "--id": None, "--repl": False, "--exit": False}
    folder = None
    args = list(args)
    while args:
        arg = args.pop(0)
        if arg in ("-h", "--help"):
            print(_USAGE)
            sys.exit(0)
        if arg in ("--repl", "--exit"):
            found[arg] = True
        elif arg in found:
            if not args:
                _fail("%s: expected a value after it" % arg)
            found[arg] = args.pop(0)
        elif arg.startswith("-"):
            _fail("unknown option %s; --help lists them" % arg)
        elif folder is None:
            folder = arg
        else:
            _fail("one NODE_DIR expected, got %r and %r" % (folder, arg))
    if folder is None:
        _fail("NODE_DIR is missing; --help explains it")
    for name in ("--size", "--cut"):
        if not found[name].isdigit():
            _fail("%s: expected a number, got %r" % (name, found[name]))
        found[name] = int(found[name])
    if found["--id"] is not None:
        _number(found["--id"])
    if not 64 <= found["--size"] <= 1048576:
        _fail("--size: expected 64 to 1048576 KiB, got %d" % found["--size"])
    return folder, found


def _folder(path):
    try:
        os.mkdir(path)
    except OSError as e:
        if e.errno != 17:  # exists
            _fail("cannot make the folder %s: %s" % (path, e))


def _identity(host, wanted):
    import binascii

    try:
        with host.open("/unique_id", "r") as f:
            text = f.read().strip()
    except OSError:
        text = wanted or binascii.hexlify(os.urandom(8)).decode()
        with host.open("/unique_id", "w") as f:
            f.write(text + "\n")
    return _number(text)


def _number(text):
    import binascii

    try:
        number = binascii.unhexlify(text)
    except ValueError:
        number = b""
    if len(number) != 8:
        _fail("unique id: expected 16 hexadecimal digits, got %r" % text)
    return number


def main():
    """Power on."""
    sys.path[:] = [".frozen"]  # nothing of the host's current folder is part of the board
    folder, options = _options(sys.argv[1:])
    for path in (folder, folder + "/flash", folder + "/sim"):
        _folder(path)
    folder = _simboard.real(folder)

    import simulated
    import vfs

    simulated.folder = folder + "/sim"
    simulated.reset_cause = _simboard.start(simulated.folder)
    simulated.host = host = vfs.VfsPosix(simulated.folder)
    simulated.unique_id = _identity(host, options["--id"])

    from simulated import flash, radio, world

    world.start()
    if world.data.get("clock") == "unset" and simulated.reset_cause == 1:
        _simboard.set_clock(1609459200)  # 2021-01-01, as the RP2040
    radio.start()
    _simboard.show("pid", _simboard.pid())
    _simboard.show("boots", _simboard.boots())
    _simboard.show("cause", simulated.reset_cause)
    if options["--lfs"]:
        flash.mount_chip(host, "/" + options["--lfs"], options["--size"] * 1024, options["--cut"])
    else:
        flash.mount_folder(folder + "/flash", options["--size"] * 1024)
    del sys.argv[:]
    sys.path[:] = ["", ".frozen", "/lib"]
    # This file, after -m: on a board it is what main.py and the REPL run in.
    sys.modules.pop("__main__", None)
    _simboard.run(options["--repl"] or _simboard.isatty(), options["--exit"])


main()
