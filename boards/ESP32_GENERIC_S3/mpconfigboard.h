// ESP32-S3 with 4 MiB of flash or more: what upstream's board of this name has, without Bluetooth.
#define MICROPY_HW_BOARD_NAME               "ESP32-S3 module"
#define MICROPY_HW_MCU_NAME                 "ESP32S3"

// The console is on the UART too, for modules with a USB converter chip instead of the native USB.
#define MICROPY_HW_ENABLE_UART_REPL         (1)

#define MICROPY_HW_I2C0_SCL                 (9)
#define MICROPY_HW_I2C0_SDA                 (8)
