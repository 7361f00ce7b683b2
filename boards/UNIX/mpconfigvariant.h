// The simulated board: what differs from MicroPython's standard unix variant.
// Reused by UNIX32 (32-bit), which defines its own board name before it includes this file.

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#include "ports/unix/variants/mpconfigvariant_common.h"

#ifndef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME           "Simulated board"
#endif
#ifndef MICROPY_HW_MCU_NAME
#if defined(__LP64__)
#define MICROPY_HW_MCU_NAME             "64-bit PC"
#else
#define MICROPY_HW_MCU_NAME             "32-bit PC"
#endif
#endif

// The framework picks its hardware layer by this name.
#define MICROPY_PY_SYS_PLATFORM         "coldframe-sim"
#define MICROPY_PY_OS_UNAME             (1)
#define MICROPY_PY_OS_DUPTERM           (1)
#define MICROPY_PY_OS_SYNC              (1)

// A board has no shell, no environment and no host folders in sys.path.
#undef MICROPY_PY_OS_SYSTEM
#define MICROPY_PY_OS_SYSTEM            (0)
#define MICROPY_PY_SYS_PATH_DEFAULT     ".frozen"

// Ctrl-C goes through the scheduler as on a board: raising it from the signal handler, as the
// standard variant does, could jump out of the middle of a flash write or a garbage collection.
#undef MICROPY_ASYNC_KBD_INTR
#define MICROPY_ASYNC_KBD_INTR          (0)

// Interrupts of simulated hardware arrive as signals and run as scheduled C nodes.
#define MICROPY_SCHEDULER_STATIC_NODES  (1)
#define MICROPY_SCHEDULER_DEPTH         (8)
#define MICROPY_PY_MACHINE_DISABLE_IRQ_ENABLE_IRQ (1)
#define MICROPY_BEGIN_ATOMIC_SECTION()  sim_atomic_begin()
#define MICROPY_END_ATOMIC_SECTION(s)   sim_atomic_end(s)

// The terminal is raw while the REPL reads a line, and turns Ctrl-C into an interrupt while code runs.
#define MICROPY_BOARD_BEFORE_PYTHON_EXEC(kind, flags)           sim_console_running(true)
#define MICROPY_BOARD_AFTER_PYTHON_EXEC(kind, flags, val, ret)  sim_console_running(false)

#include "simhooks.h"
