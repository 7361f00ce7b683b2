// The machine module: included by extmod/modmachine.c.
//
// Part of Coldframe, MIT license (see LICENSE).
#include "py/mphal.h"

#include "platform.h"
#include "port.h"

#define MICROPY_PY_MACHINE_EXTRA_GLOBALS \
    { MP_ROM_QSTR(MP_QSTR_PWRON_RESET), MP_ROM_INT(RESET_POWER_ON) }, \
    { MP_ROM_QSTR(MP_QSTR_WDT_RESET), MP_ROM_INT(RESET_WATCHDOG) }, \
    { MP_ROM_QSTR(MP_QSTR_SOFT_RESET), MP_ROM_INT(RESET_SOFT) }, \
    { MP_ROM_QSTR(MP_QSTR_DEEPSLEEP_RESET), MP_ROM_INT(RESET_DEEP_SLEEP) }, \
    { MP_ROM_QSTR(MP_QSTR_HARD_RESET), MP_ROM_INT(RESET_HARD) },

void kept_init(void) {
    if (kept.magic != KEPT_MAGIC) {
        kept.magic = KEPT_MAGIC;
        kept.next_cause = RESET_POWER_ON;
    }
    kept.cause = kept.next_cause;
    kept.next_cause = RESET_HARD; // what a restart is that nobody announced
}

static mp_obj_t mp_machine_unique_id(void) {
    return mp_obj_new_bytes((const byte *)COLDFRAME_UNIQUE_ID, sizeof(COLDFRAME_UNIQUE_ID) - 1);
}

static mp_obj_t mp_machine_get_freq(void) {
    return mp_obj_new_int(COLDFRAME_CPU_HZ);
}

static void mp_machine_set_freq(size_t n_args, const mp_obj_t *args) {
    mp_raise_NotImplementedError(MP_ERROR_TEXT("QEMU decides the frequency"));
}

static void mp_machine_idle(void) {
    mp_event_wait_ms(1);
}

MP_NORETURN static void mp_machine_reset(void) {
    kept.next_cause = RESET_SOFT;
    platform_restart();
}

static mp_int_t mp_machine_reset_cause(void) {
    return kept.cause;
}

static void mp_machine_lightsleep(size_t n_args, const mp_obj_t *args) {
    if (n_args == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("nothing would end the sleep"));
    }
    mp_hal_delay_ms(mp_obj_get_int(args[0]));
}

MP_NORETURN static void mp_machine_deepsleep(size_t n_args, const mp_obj_t *args) {
    mp_machine_lightsleep(n_args, args);
    kept.next_cause = RESET_DEEP_SLEEP;
    platform_restart();
}
