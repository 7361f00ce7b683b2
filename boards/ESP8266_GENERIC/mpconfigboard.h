// ESP8266 with 2 MiB of flash or more: what upstream's ESP8266_GENERIC has in its 2 MiB variant.
#define MICROPY_HW_BOARD_NAME           "ESP8266 module"
#define MICROPY_HW_MCU_NAME             "ESP8266"

#define MICROPY_PERSISTENT_CODE_LOAD    (1)
#define MICROPY_EMIT_XTENSA             (1)
#define MICROPY_EMIT_INLINE_XTENSA      (1)

#define MICROPY_ERROR_REPORTING         (MICROPY_ERROR_REPORTING_NORMAL)

#define MICROPY_READER_VFS              (MICROPY_VFS)
#define MICROPY_VFS                     (1)

// AES comes from axTLS, which is there when TLS is.
#ifndef MICROPY_PY_CRYPTOLIB
#define MICROPY_PY_CRYPTOLIB            (1)
#endif
