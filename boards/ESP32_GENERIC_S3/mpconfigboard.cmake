set(IDF_TARGET esp32s3)

# No sdkconfig.ble: nothing in Coldframe uses Bluetooth, and without it a slot has room to grow.
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    boards/sdkconfig.usb
    boards/sdkconfig.spiram_sx
    boards/ESP32_GENERIC_S3/sdkconfig.board
    ${MICROPY_BOARD_DIR}/../../ports/esp32/sdkconfig.coldframe
)
list(APPEND MICROPY_DEF_BOARD
    MICROPY_PY_BLUETOOTH=0
)
