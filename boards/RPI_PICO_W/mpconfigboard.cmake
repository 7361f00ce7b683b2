set(PICO_BOARD "pico_w")
set(PICO_PLATFORM "rp2040")
# The names of the pins, with the three of the radio chip, are upstream's.
set(MICROPY_BOARD_PINS ${MICROPY_PORT_DIR}/boards/RPI_PICO_W/pins.csv)
set(MICROPY_PY_LWIP ON)
set(MICROPY_PY_NETWORK_CYW43 ON)
# No Bluetooth: nothing in Coldframe uses it, and its firmware and stack take some 250 KB of flash.
