# What is frozen into this image: MicroPython's own start-up files for the chip, then Coldframe.
freeze("$(PORT_DIR)/modules", ("_boot.py", "flashbdev.py", "inisetup.py"))
include("../../manifest.py", tier="core", hal="esp8266")
