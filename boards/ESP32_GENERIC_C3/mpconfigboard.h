// ESP32-C3 with 4 MiB of flash or more: what upstream's board of this name has, without Bluetooth.
#define MICROPY_HW_BOARD_NAME               "ESP32-C3 module"
#define MICROPY_HW_MCU_NAME                 "ESP32C3"

// The console is on the UART too, for modules with a USB converter chip instead of the native USB.
#define MICROPY_HW_ENABLE_UART_REPL         (1)
