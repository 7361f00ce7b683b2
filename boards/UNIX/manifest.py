# What is frozen into the simulated board: what every board has, and the hardware that it lacks.

include("../../manifest.py", tier="full", hal="unix", ssl=True)

module("simboard.py", base_path="../../ports/unix/modules")
package(
    "simulated",
    ("__init__.py", "world.py", "pins.py", "bus.py", "uart.py", "radio.py", "flash.py"),
    base_path="../../ports/unix/modules",
)
module("machine.py", base_path="../../ports/unix/modules")
module("network.py", base_path="../../ports/unix/modules")
