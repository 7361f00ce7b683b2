// SPDX-License-Identifier: MIT
//
// The memory of each chip that a reset leaves alone, for the log.

#include "py/mpconfig.h"

#include "mod_ringlog.h"

#if defined(PICO_RP2040) || defined(PICO_RP2350)

// The linker puts this where the start-up code writes nothing. A reset by the watchdog, the
// program or the reset pin leaves the RAM as it is.
#define SIZE (4096)
static uint32_t memory[SIZE / 4] __attribute__((section(".uninitialized_data.ringlog")));

#elif defined(ESP_PLATFORM)

#include "esp_attr.h"

// RTC memory, which also lives through deep sleep.
#define SIZE (2048)
static RTC_NOINIT_ATTR uint32_t memory[SIZE / 4];

#elif defined(__ets__) // ESP8266

// Of the 512 bytes of RTC memory for programs, those before the boot record (coldframe/hal/esp8266.py)
// at its end. They can only be reached by whole words. machine.RTC().memory() has the same bytes but fills
// them from the front, so the two meet only when a program stores more than 224 bytes there.
#define SIZE (256)
#define memory ((uint32_t *)(0x60001200 + 512 - 12 - SIZE))

#elif defined(__has_include) && __has_include("simboard.h") // the simulated board

#include "simboard.h"

#define SIZE (SIM_LOG_SIZE)
#define memory (sim_retained == NULL ? NULL : (uint32_t *)(void *)(sim_retained->memory + SIM_RETAINED_SIZE))

#else

#define SIZE (0)
#define memory (NULL)

#endif

void *ringlog_memory(size_t *size) {
    *size = SIZE;
    return memory;
}
