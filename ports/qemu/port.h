// What the files of this port share among themselves.
//
// Part of Coldframe, MIT license (see LICENSE).
#ifndef COLDFRAME_QEMU_PORT_H
#define COLDFRAME_QEMU_PORT_H

#include <stdint.h>

#include "py/obj.h"

// Why the machine (re)started; the numbers are the ESP8266's.
enum {
    RESET_POWER_ON = 0,
    RESET_WATCHDOG = 1,
    RESET_SOFT = 4,
    RESET_DEEP_SLEEP = 5,
    RESET_HARD = 6,
};

// Memory that survives machine.reset() but not the end of QEMU, as a chip's RTC memory does.
typedef struct {
    uint32_t magic; // KEPT_MAGIC once the rest is valid
    uint32_t next_cause; // what the next start will find as its reset cause
    uint32_t cause; // of this start
} kept_t;

#define KEPT_MAGIC (0x4b455054)

extern kept_t kept; // link.ld

// Work out why we were started. Call once, early.
void kept_init(void);

// The block device that stands for the SPI flash (flash.c); mounted as "/" by main.c.
extern const mp_obj_base_t qemu_flash_obj;

// Run a file of the host, source (.py) or compiled (.mpy): as __main__, or else as a module that can be imported
// under the file's name without folder and extension. Raises OSError if it cannot be read.
void script_run(const char *path, bool as_main);

// A byte source that never repeats within a run and is the same in every run.
uint32_t qemu_random(void);

#endif
