// Raspberry Pi Pico W: what upstream's board of this name has, without Bluetooth.
#define MICROPY_HW_BOARD_NAME                   "Raspberry Pi Pico W"
// File system at 0x12C000, see board.toml.
#define MICROPY_HW_FLASH_STORAGE_BYTES          (848 * 1024)

#define MICROPY_PY_NETWORK                      (1)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT     "coldframe"

// The radio is on SPI that a PIO state machine drives; lwIP runs in MicroPython's own context.
#define CYW43_USE_SPI                           (1)
#define CYW43_LWIP                              (1)
#define CYW43_GPIO                              (1)
#define CYW43_SPI_PIO                           (1)

// WL_GPIO0 is the LED, WL_GPIO2 senses VBUS.
#define MICROPY_HW_PIN_EXT_COUNT                CYW43_WL_GPIO_COUNT

// The radio's own pins keep their interrupt over a soft reset.
int mp_hal_is_pin_reserved(int n);
#define MICROPY_HW_PIN_RESERVED(i)              mp_hal_is_pin_reserved(i)
