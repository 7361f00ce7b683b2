// Part of Coldframe, MIT license (see LICENSE).
#include <stddef.h>
#include <stdint.h>

#include "shared/runtime/interrupt_char.h"

#include "platform.h"

// Wait inside the event loop (see MICROPY_INTERNAL_WFE); timeout_ms < 0: no limit.
void qemu_wait_event(int timeout_ms);
