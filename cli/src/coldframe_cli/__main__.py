"""python -m coldframe_cli: the same as the command `coldframe`."""

from .app import main

main()
