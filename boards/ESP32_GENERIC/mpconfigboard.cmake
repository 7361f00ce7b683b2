# No sdkconfig.ble: nothing in Coldframe uses Bluetooth, and without it a slot has room to grow.
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    ${MICROPY_BOARD_DIR}/../../ports/esp32/sdkconfig.coldframe
)
list(APPEND MICROPY_DEF_BOARD
    MICROPY_PY_BLUETOOTH=0
)
