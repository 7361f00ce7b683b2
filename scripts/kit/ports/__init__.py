"""One module per MicroPython port: how its boards are built. What they share is in `base`."""
