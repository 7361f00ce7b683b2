# What is frozen into this image: MicroPython's own start-up files for the chip, then Coldframe.
freeze("$(PORT_DIR)/modules", ("_boot.py", "flashbdev.py", "inisetup.py", "machine.py"))
include("../../manifest.py", tier="full", hal="esp32", ssl=True)
