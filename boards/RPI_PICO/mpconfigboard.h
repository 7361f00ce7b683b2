// Raspberry Pi Pico: what upstream's board of this name has, so that programs see the same board.
#define MICROPY_HW_BOARD_NAME                   "Raspberry Pi Pico"
// File system at 0xA0000, see board.toml.
#define MICROPY_HW_FLASH_STORAGE_BYTES          (1408 * 1024)
