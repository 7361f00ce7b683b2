set(IDF_TARGET esp32c3)

# No sdkconfig.ble: nothing in Coldframe uses Bluetooth, and without it a slot has room to grow.
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    boards/ESP32_GENERIC_C3/sdkconfig.c3usb
    ${MICROPY_BOARD_DIR}/../../ports/esp32/sdkconfig.coldframe
)
list(APPEND MICROPY_DEF_BOARD
    MICROPY_PY_BLUETOOTH=0
)
