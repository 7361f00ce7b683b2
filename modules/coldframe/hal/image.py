"""The part of coldframe.hal that tells what the build knows of the board; see there."""

import sys


def pins():
    """The board's own pins, by purpose, as boards/BOARD/board.toml gives them."""
    return _fact("PINS", {})


def board():
    """Name of the board that this image was built for."""
    return _fact("BOARD", sys.platform)


def commit():
    """Commit of the source that this image was built from; "" if unknown."""
    return _fact("COMMIT", "")


def _fact(name, default):
    try:
        import coldframe_build
    except ImportError:  # the modules were copied to an ordinary MicroPython
        return default
    sys.modules.pop("coldframe_build")  # frozen: found again when it is asked for, and no RAM until then
    return getattr(coldframe_build, name, default)
