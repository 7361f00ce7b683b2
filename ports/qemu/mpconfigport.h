// Configuration shared by the QEMU machines. What makes each of them like its chip's own port, esp8266 or esp32,
// is in ARCH/mpconfigarch.h.
//
// Part of Coldframe, MIT license (see LICENSE).
#include <stdint.h>
#include <sys/types.h>
#include <alloca.h>

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#include "mpconfigarch.h"

// The same in both chips' ports.
#define MICROPY_ALLOC_PATH_MAX (128)
#define MICROPY_ENABLE_GC (1)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF (1)
#define MICROPY_PERSISTENT_CODE_LOAD (1)
#define MICROPY_LONGINT_IMPL (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_FLOAT)
#define MICROPY_ERROR_REPORTING (MICROPY_ERROR_REPORTING_NORMAL)
#define MICROPY_WARNINGS (1)
#define MICROPY_STREAMS_POSIX_API (1)
#define MICROPY_PY_STR_BYTES_CMP_WARN (1)
#define MICROPY_VFS (1)
#define MICROPY_READER_VFS (1)
#define MICROPY_PY_OS_INCLUDEFILE "os_port.c"
#define MICROPY_PY_OS_SYNC (1)
#define MICROPY_PY_OS_UNAME (1)
#define MICROPY_PY_OS_URANDOM (1)
#define MICROPY_PY_TIME_INCLUDEFILE "time_port.c"
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS (1)
#define MICROPY_PY_MACHINE (1)
#define MICROPY_PY_MACHINE_INCLUDEFILE "machine_port.c"
#define MICROPY_PY_MACHINE_RESET (1)
#define MICROPY_PY_MACHINE_BARE_METAL_FUNCS (1)
#define MICROPY_PY_WEBSOCKET (1)

// Different from a board for want of the hardware.
#define MICROPY_USE_INTERNAL_ERRNO (1) // no vendor SDK with numbers of its own
#define MICROPY_PY_MACHINE_PIN_BASE (0) // no pins
#define MICROPY_PY_MACHINE_PULSE (0)
#define MICROPY_PY_MACHINE_SIGNAL (0)
#define MICROPY_PY_SYS_STDIO_BUFFER (0)

// Lets bytecode that lies outside the heap be executed where it is (script.c).
#define MICROPY_VFS_ROM (1)
#define MICROPY_VFS_ROM_IOCTL (0)

// A fixed seed, so that what a test draws is the same in every run.
#define MICROPY_PY_RANDOM_SEED_INIT_FUNC (qemu_random())
uint32_t qemu_random(void);

#define MICROPY_INTERNAL_WFE(TIMEOUT_MS) qemu_wait_event(TIMEOUT_MS)

#define MICROPY_MAKE_POINTER_CALLABLE(p) ((void *)((mp_uint_t)(p)))
#define MP_SSIZE_MAX (0x7fffffff)
#define UINT_FMT "%lu"
#define INT_FMT "%ld"
#define HEX_FMT "%lx"
typedef int32_t mp_int_t;
typedef uint32_t mp_uint_t;
typedef long mp_off_t;

#define MP_NEED_LOG2 (1) // picolibc's is a macro
#define MP_STATE_PORT MP_STATE_VM
