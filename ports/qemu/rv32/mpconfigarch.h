// As ports/esp32/mpconfigport.h of MicroPython 1.26 configures the ESP32-C3, as far as it can be without FreeRTOS,
// its radio, its pins and its TLS library. Compare when the pinned MicroPython changes.
//
// Part of Coldframe, MIT license (see LICENSE).
#define MICROPY_PY_SYS_PLATFORM "qemu-rv32"
#define MICROPY_HW_MCU_NAME "rv32imc"

#define MICROPY_OBJ_REPR (MICROPY_OBJ_REPR_A)
#define MICROPY_OPT_COMPUTED_GOTO (1)
#define MICROPY_SCHEDULER_DEPTH (8)
#define MICROPY_SCHEDULER_STATIC_NODES (1)
#define MICROPY_PY_ALL_INPLACE_SPECIAL_METHODS (1)
#define MICROPY_PY_IO_BUFFEREDWRITER (1)

#define MICROPY_EMIT_RV32 (1)

#define COLDFRAME_UNIQUE_ID "\x32\xc3\x00\x00\x10\x6a"
#define COLDFRAME_FLASH_SIZE (256 * 1024)
#define COLDFRAME_CPU_HZ (125000000) // -icount shift=3: 8 ns per instruction
