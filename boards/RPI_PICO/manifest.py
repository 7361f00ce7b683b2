# What is frozen into this image: MicroPython's own start-up files for the chip, then Coldframe.
freeze("$(PORT_DIR)/modules", ("_boot.py", "rp2.py"))
include("../../manifest.py", tier="full", hal="rp2", wifi=False)

module("machine.py", base_path="../../ports/rp2/modules")
