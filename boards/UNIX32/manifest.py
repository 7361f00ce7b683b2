# What is frozen: the same as into UNIX.
include("../UNIX/manifest.py")
