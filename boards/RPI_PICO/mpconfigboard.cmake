set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
# The names of the pins are upstream's.
set(MICROPY_BOARD_PINS ${MICROPY_PORT_DIR}/boards/RPI_PICO/pins.csv)
