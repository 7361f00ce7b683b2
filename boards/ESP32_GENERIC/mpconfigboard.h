// ESP32 with 4 MiB of flash or more: what upstream's board of this name has, without Bluetooth.
#define MICROPY_HW_BOARD_NAME               "ESP32 module"
#define MICROPY_HW_MCU_NAME                 "ESP32"
