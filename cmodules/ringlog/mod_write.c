// SPDX-License-Identifier: MIT
//
// Part of the MicroPython module `ringlog`: how a record is put together, written and printed.
//
// Writing a text that is ready allocates nothing and may be done from an
// interrupt; so may one with simple arguments. The console is a reader like any
// other, kept in the Ring and run after each write, so lines written in an
// interrupt appear with the next one.

#include <string.h>

#include "py/gc.h"
#include "py/mphal.h"
#include "py/objstr.h"
#include "py/runtime.h"

#include "mod_ringlog.h"

void ringlog_check_buffer(const ring_obj_t *self) {
    if (self->buf->items != self->buf_items || self->buf->len != self->buf_len) {
        mp_raise_ValueError(MP_ERROR_TEXT("ring's buffer was resized"));
    }
}

const char *ringlog_level_name(uint8_t level) {
    return level >= LOG_CRITICAL ? "CRITICAL" : level >= LOG_ERROR ? "ERROR" : level >= LOG_WARNING ? "WARNING" :
           level >= LOG_INFO ? "INFO" : "DEBUG";
}

// --------------------------------------------------------------- console

static bool copy_text(ring_obj_t *ring, ringlog_record_t *record, uint32_t from, uint8_t *out, uint32_t n) {
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    bool there = ringlog_copy_text(&ring->core, record, from, out, n);
    MICROPY_END_ATOMIC_SECTION(state);
    return there;
}

size_t ringlog_stamp(const ring_obj_t *ring, const ringlog_record_t *record, char *out) {
    vstr_t vstr;
    vstr_init_fixed_buf(&vstr, RINGLOG_STAMP, out);
    if (!ring->wall || (int32_t)(record->seq - ring->first) < 0) {
        vstr_printf(&vstr, "%6u.%03u", (unsigned)(record->time / 1000), (unsigned)(record->time % 1000));
        return vstr.len;
    }
    // Right for three weeks before and after the moment when the time of day was told.
    int32_t apart = (int32_t)(record->time - ring->wall_tick);
    int32_t day = ring->wall_day + apart / 86400000;
    int32_t ms = (int32_t)ring->wall_ms + apart % 86400000;
    if (ms < 0) {
        day -= 1;
        ms += 86400000;
    } else if (ms >= 86400000) {
        day += 1;
        ms -= 86400000;
    }
    // Days of the Gregorian calendar, of which every 400 years are the same; the year begins in March. The day is in
    // the years 1970 to 2100.
    uint32_t n = (uint32_t)(day + 719468 - 4 * 146097);   // since 1600-03-01
    uint32_t era = n / 146097;
    n %= 146097;
    uint32_t y = (n - n / 1460 + n / 36524 - n / 146096) / 365;
    n -= y * 365 + y / 4 - y / 100;
    uint32_t m = (n * 5 + 2) / 153;     // 0 is March
    vstr_printf(&vstr, "%04u-%02u-%02u %02u:%02u:%02u.%03u", (unsigned)(1600 + era * 400 + y + (m >= 10)),
        (unsigned)(m < 10 ? m + 3 : m - 9), (unsigned)(n - (m * 153 + 2) / 5 + 1), (unsigned)(ms / 3600000),
        (unsigned)(ms / 60000 % 60), (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
    return vstr.len;
}

// Print one record, piece by piece out of the ring: nothing is allocated. The console
// can be Python code, which may log and so overwrite what is being printed.
static void print_record(ring_obj_t *ring, ringlog_record_t *record) {
    const mp_print_t *print = MP_PYTHON_PRINTER;
    char head[RINGLOG_MAX_NAME + RINGLOG_STAMP + 16];
    char stamp[RINGLOG_STAMP];
    uint8_t piece[64];
    vstr_t vstr;
    uint8_t level = record->level;
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_copy_name(&ring->core, record, piece);
    MICROPY_END_ATOMIC_SECTION(state);
    vstr_init_fixed_buf(&vstr, sizeof(head), head);
    vstr_printf(&vstr, "%.*s %-8s %.*s: ", (int)ringlog_stamp(ring, record, stamp), stamp,
        ringlog_level_name(level), (int)record->name_len, (const char *)piece);
    if (ring->colour) {
        mp_print_str(print, level >= LOG_ERROR ? "\x1b[31m" : level >= LOG_WARNING ? "\x1b[33m" :
            level >= LOG_INFO ? "\x1b[0m" : "\x1b[90m");
    }
    print->print_strn(print->data, head, vstr.len);
    const volatile uint32_t *block = ring->core.block;
    for (uint32_t at = 0, n; at < record->text_len; at += n) {
        n = MIN(record->text_len - at, sizeof(piece));
        if (block != ring->core.block || !copy_text(ring, record, at, piece, n)) {
            mp_print_str(print, "... (overwritten)");
            break;
        }
        print->print_strn(print->data, (const char *)piece, n);
    }
    mp_print_str(print, ring->colour ? "\x1b[0m\n" : "\n");
}

// Was it printed by the program, and taken into the log only afterwards?
static bool is_captured(ring_obj_t *ring, ringlog_record_t *record) {
    uint8_t name[RINGLOG_MAX_NAME];
    if (!ring->captured || record->name_len != 5) {
        return false;
    }
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_copy_name(&ring->core, record, name);
    MICROPY_END_ATOMIC_SECTION(state);
    return memcmp(name, "print", 5) == 0;
}

static void run_console(ring_obj_t *self) {
    // Not in an interrupt (the heap is locked there), and not from inside itself
    // (a console can be Python code, which may log).
    if (self->console_level == LOG_OFF || self->console_busy || gc_is_locked()) {
        return;
    }
    // What is written meanwhile comes next time, or a console that logs would never end.
    uint32_t end = self->core.next_seq;
    nlr_buf_t nlr;
    self->console_busy = true;
    if (nlr_push(&nlr) == 0) {
        ringlog_record_t record;
        uint32_t lost;
        while ((int32_t)(end - self->console.seq) > 0 && ringlog_next_record(self, &self->console, &record, &lost)) {
            if (lost > 0) {
                mp_printf(MP_PYTHON_PRINTER, "... %u log records lost\n", (unsigned)lost);
            }
            if (record.level >= self->console_level && !is_captured(self, &record)) {
                print_record(self, &record);
            }
        }
        nlr_pop();
        self->console_busy = false;
    } else {
        self->console_busy = false;
        nlr_jump(nlr.ret_val);
    }
}

// ----------------------------------------------------------------- write

static void write_core(ring_obj_t *self, uint8_t level, const char *name, size_t name_len,
    const char *text, size_t len) {
    uint32_t now = mp_hal_ticks_ms();
    name_len = MIN(name_len, 0x10000);
    len = MIN(len, 0x10000);
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_write(&self->core, now, level, (const uint8_t *)name, name_len, (const uint8_t *)text, len);
    if (self->mirror != NULL && self->mirror_buf->items == self->mirror_items &&
        self->mirror_buf->len == self->mirror_len) { // not resized
        ringlog_write(self->mirror, now, level, (const uint8_t *)name, name_len, (const uint8_t *)text, len);
    }
    MICROPY_END_ATOMIC_SECTION(state);
}

void ringlog_write_bytes(ring_obj_t *self, uint8_t level, const char *name, size_t name_len,
    const char *text, size_t len) {
    ringlog_check_buffer(self);
    write_core(self, level, name, name_len, text, len);
    run_console(self);
}

void coldframe_log(uint8_t level, const char *name, const char *text, size_t len) {
    ring_obj_t *self = MP_STATE_VM(ringlog_default);
    if (self != NULL && level >= self->level &&
        self->buf->items == self->buf_items && self->buf->len == self->buf_len) { // not resized
        write_core(self, level, name, strlen(name), text, len);
    }
}

// ------------------------------------------------------------ formatting

#define TEXT (160) // bytes of a message that are put together on the stack

typedef struct _sink_t {
    size_t len;
    bool full;
    char text[TEXT];
} sink_t;

static void sink_print(void *env, const char *s, size_t n) {
    sink_t *sink = env;
    if (n > TEXT - sink->len) {
        sink->full = true;
        n = TEXT - sink->len;
    }
    memcpy(sink->text + sink->len, s, n);
    sink->len += n;
}

// Can we do it here? Formats of %s, %r, %% and %d with an int; all else, mistakes included, is for MicroPython.
static bool is_simple(const char *s, size_t len, size_t n_args, const mp_obj_t *args) {
    const char *end = s + len;
    size_t n = 0;
    while (s < end) {
        if (*s++ != '%') {
            continue;
        }
        if (s == end) {
            return false;
        }
        char c = *s++;
        if (c == '%') {
            continue;
        }
        if (n == n_args || !(c == 's' || c == 'r' || (c == 'd' && mp_obj_is_int(args[n])))) {
            return false;
        }
        ++n;
    }
    return n == n_args;
}

// Put a message together without the heap. Returns false if it does not fit.
static bool format(sink_t *sink, const char *s, size_t len, const mp_obj_t *args) {
    mp_print_t print = { sink, sink_print };
    const char *end = s + len;
    sink->len = 0;
    sink->full = false;
    while (s < end && !sink->full) {
        const char *begin = s;
        while (s < end && *s != '%') {
            ++s;
        }
        if (s > begin) {
            sink_print(sink, begin, s - begin);
        }
        if (s < end) {
            char c = s[1];
            s += 2;
            if (c == '%') {
                sink_print(sink, "%", 1);
            } else if (c == 's' && mp_obj_is_str(*args)) {
                size_t n;
                const char *text = mp_obj_str_get_data(*args++, &n);
                sink_print(sink, text, n);
            } else {
                mp_obj_print_helper(&print, *args++, c == 'r' ? PRINT_REPR : PRINT_STR);
            }
        }
    }
    return !sink->full;
}

void ringlog_write_record(ring_obj_t *self, uint8_t level, mp_obj_t name, mp_obj_t msg,
    size_t n_args, const mp_obj_t *args) {
    size_t len;
    if (n_args > 0) {
        if (mp_obj_is_str(msg)) {
            const char *s = mp_obj_str_get_data(msg, &len);
            sink_t sink;
            if (is_simple(s, len, n_args, args) && format(&sink, s, len, args)) {
                mp_buffer_info_t n;
                mp_get_buffer_raise(name, &n, MP_BUFFER_READ);
                ringlog_write_bytes(self, level, n.buf, n.len, sink.text, sink.len);
                return;
            }
        }
        msg = mp_binary_op(MP_BINARY_OP_MODULO, msg, mp_obj_new_tuple(n_args, args));
    }
    mp_buffer_info_t n;
    mp_get_buffer_raise(name, &n, MP_BUFFER_READ);
    if (mp_obj_is_str_or_bytes(msg)) {
        const char *text = mp_obj_str_get_data(msg, &len);
        ringlog_write_bytes(self, level, n.buf, n.len, text, len);
        return;
    }
    // Any other object, as str() shows it; an exception with its traceback.
    vstr_t vstr;
    mp_print_t print;
    vstr_init_print(&vstr, 64, &print);
    if (mp_obj_is_exception_instance(msg)) {
        mp_obj_print_exception(&print, msg);
        if (vstr.len > 0 && vstr.buf[vstr.len - 1] == '\n') {
            --vstr.len;
        }
    } else {
        mp_obj_print_helper(&print, msg, PRINT_STR);
    }
    ringlog_write_bytes(self, level, n.buf, n.len, vstr.buf, vstr.len);
    vstr_clear(&vstr);
}
