// Console, clock and delays on top of platform.h.
//
// Part of Coldframe, MIT license (see LICENSE).
#include "py/mpconfig.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stream.h"

#include "platform.h"
#include "port.h"

// Longest sleep in one go, so that console input is never left waiting for long.
#define WAIT_STEP_US (10000)

// One byte of look-ahead: polling the console has to fetch the byte to know that it is there.
static int console_next = -1;

static bool console_ready(void) {
    if (console_next < 0) {
        console_next = platform_console_read();
    }
    return console_next >= 0;
}

uintptr_t mp_hal_stdio_poll(uintptr_t flags) {
    uintptr_t ready = flags & MP_STREAM_POLL_WR;
    if ((flags & MP_STREAM_POLL_RD) && console_ready()) {
        ready |= MP_STREAM_POLL_RD;
    }
    return ready;
}

int mp_hal_stdin_rx_chr(void) {
    while (!console_ready()) {
        mp_event_wait_ms(1);
    }
    int c = console_next;
    console_next = -1;
    return c;
}

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t length) {
    platform_console_write(text, length);
    return length;
}

mp_uint_t mp_hal_ticks_us(void) {
    return (mp_uint_t)platform_time_us();
}

mp_uint_t mp_hal_ticks_ms(void) {
    return (mp_uint_t)(platform_time_us() / 1000);
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return (mp_uint_t)platform_time_us();
}

uint64_t mp_hal_time_ns(void) {
    return platform_time_us() * 1000;
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = platform_time_us() + us;
    for (;;) {
        uint64_t now = platform_time_us();
        if (now >= end) {
            break;
        }
        platform_idle_us(MIN(end - now, WAIT_STEP_US));
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = platform_time_us() + (uint64_t)ms * 1000;
    for (;;) {
        mp_event_handle_nowait();
        uint64_t now = platform_time_us();
        if (now >= end) {
            break;
        }
        platform_idle_us(MIN(end - now, WAIT_STEP_US));
    }
}

void qemu_wait_event(int timeout_ms) {
    if (timeout_ms < 0 || timeout_ms > WAIT_STEP_US / 1000) {
        timeout_ms = WAIT_STEP_US / 1000;
    }
    platform_idle_us((uint32_t)timeout_ms * 1000);
}

// xorshift32 from a fixed start: the same numbers in every run, so that a failing test fails again.
uint32_t qemu_random(void) {
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}
