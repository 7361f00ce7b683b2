"""A Raspberry Pi Pico in software: boots the firmware file that is released.

    image = Path("dist/coldframe-RPI_PICO-0.1.0.uf2")
    async with Emulator(image, Path("pico"), bridge=("127.0.0.1", 1883)) as board:
        await board.wait_for("connected", deadline=60)
        print(await board.exec("import os; print(os.listdir())", then="resume"))

The chip is emulated by the package rp2040py; `fixes` and `pl011` repair what it gets wrong.
"""

from emulator.console import EmulatorError, GuestError
from emulator.machine import Emulator

__all__ = ["Emulator", "EmulatorError", "GuestError"]
