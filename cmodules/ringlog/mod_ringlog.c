// SPDX-License-Identifier: MIT
//
// The MicroPython module `ringlog`: Ring, Reader and Logger over ringlog.h.
//
// Writing a text that is ready allocates nothing and may be done from an
// interrupt. The console is a reader like any other, kept in the Ring and run
// after each write, so lines written in an interrupt appear with the next one.

#include <string.h>

#include "py/gc.h"
#include "py/mphal.h"
#include "py/objarray.h"
#include "py/objstr.h"
#include "py/runtime.h"
#include "py/unicode.h"

#include "ringlog.h"

#ifndef MICROPY_BEGIN_ATOMIC_SECTION
#define MICROPY_BEGIN_ATOMIC_SECTION() (0)
#define MICROPY_END_ATOMIC_SECTION(state) (void)(state)
#endif

enum { DEBUG = 10, INFO = 20, WARNING = 30, ERROR = 40, CRITICAL = 50, OFF = 255 };

typedef struct _ring_obj_t {
    mp_obj_base_t base;
    ringlog_t core;
    mp_obj_array_t *buf; // the object that core.block points into
    void *buf_items; // ... its storage and length when it was given to us
    size_t buf_len;
    ringlog_reader_t console;
    uint32_t recovered;
    uint8_t console_level; // records from this level on go to the console
    uint8_t level; // of loggers that have none of their own
    bool console_busy;
} ring_obj_t;

typedef struct _reader_obj_t {
    mp_obj_base_t base;
    ring_obj_t *ring;
    const uint32_t *block; // where the cursor points into
    ringlog_reader_t cursor;
    ringlog_record_t record;
    uint32_t lost;
    bool valid; // record holds one
} reader_obj_t;

typedef struct _logger_obj_t {
    mp_obj_base_t base;
    ring_obj_t *ring;
    mp_obj_t name;
    uint8_t level; // 0: the ring's
} logger_obj_t;

static const mp_obj_type_t ring_type, reader_type, logger_type;

static void check_buffer(const ring_obj_t *self) {
    if (self->buf->items != self->buf_items || self->buf->len != self->buf_len) {
        mp_raise_ValueError(MP_ERROR_TEXT("ring's buffer was resized"));
    }
}

static uint8_t get_level(mp_obj_t obj) {
    mp_int_t level = mp_obj_get_int(obj);
    if (level < 0 || level > 255) {
        mp_raise_ValueError(MP_ERROR_TEXT("level: expected 0 to 255"));
    }
    return level;
}

static const char *level_name(uint8_t level) {
    return level >= CRITICAL ? "CRITICAL" : level >= ERROR ? "ERROR" : level >= WARNING ? "WARNING" :
           level >= INFO ? "INFO" : "DEBUG";
}

// --------------------------------------------------------------- console

static bool next_record(ring_obj_t *ring, ringlog_reader_t *cursor, ringlog_record_t *record, uint32_t *lost) {
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    bool found = ringlog_next(&ring->core, cursor, record, lost);
    MICROPY_END_ATOMIC_SECTION(state);
    return found;
}

// Print one record, straight out of the ring: nothing is allocated. The console
// can be Python code, which may log and so overwrite what is being printed.
static void print_record(const ringlog_t *r, const ringlog_record_t *record) {
    const mp_print_t *print = MP_PYTHON_PRINTER;
    char head[RINGLOG_MAX_NAME + 40];
    uint8_t name[RINGLOG_MAX_NAME];
    vstr_t vstr;
    ringlog_copy_name(r, record, name);
    vstr_init_fixed_buf(&vstr, sizeof(head), head);
    vstr_printf(&vstr, "%6u.%03u %-8s %.*s: ", (unsigned)(record->time / 1000), (unsigned)(record->time % 1000),
        level_name(record->level), (int)record->name_len, (const char *)name);
    print->print_strn(print->data, head, vstr.len);

    uint32_t left = record->text_len, at = record->offset + RINGLOG_RECORD + record->name_len;
    at = at >= r->size ? at - r->size : at;
    while (left > 0) { // twice if the text wraps
        if (!ringlog_has(r, record) || at >= r->size) { // or the ring has moved to a smaller block
            mp_print_str(print, "... (overwritten)");
            break;
        }
        uint32_t n = MIN(left, r->size - at);
        print->print_strn(print->data, (const char *)r->data + at, n);
        left -= n;
        at = 0;
    }
    mp_print_str(print, "\n");
}

static void run_console(ring_obj_t *self) {
    // Not in an interrupt (the heap is locked there), and not from inside itself
    // (a console can be Python code, which may log).
    if (self->console_level == OFF || self->console_busy || gc_is_locked()) {
        return;
    }
    // What is written meanwhile comes next time, or a console that logs would never end.
    uint32_t end = self->core.next_seq;
    nlr_buf_t nlr;
    self->console_busy = true;
    if (nlr_push(&nlr) == 0) {
        ringlog_record_t record;
        uint32_t lost;
        while ((int32_t)(end - self->console.seq) > 0 && next_record(self, &self->console, &record, &lost)) {
            if (lost > 0) {
                mp_printf(MP_PYTHON_PRINTER, "... %u log records lost\n", (unsigned)lost);
            }
            if (record.level >= self->console_level) {
                print_record(&self->core, &record);
            }
        }
        nlr_pop();
        self->console_busy = false;
    } else {
        self->console_busy = false;
        nlr_jump(nlr.ret_val);
    }
}

// ------------------------------------------------------------------ Ring

// Begin to use a block: an int (its size) or a bytearray or memoryview.
static void use_block(ring_obj_t *self, mp_obj_t buf) {
    if (mp_obj_is_int(buf)) {
        mp_int_t size = mp_obj_get_int(buf);
        if (size < (mp_int_t)RINGLOG_MIN_BLOCK || size > (mp_int_t)RINGLOG_MAX_BLOCK) {
            mp_raise_ValueError(MP_ERROR_TEXT("size: expected 128 to 16777216 bytes"));
        }
        buf = mp_obj_new_bytearray_by_ref(size, m_new0(byte, size));
    }
    if (!mp_obj_is_type(buf, &mp_type_bytearray) && !mp_obj_is_type(buf, &mp_type_memoryview)) {
        mp_raise_TypeError(MP_ERROR_TEXT("buf: expected a size, a bytearray or a memoryview"));
    }
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_RW);
    size_t size = info.len & ~(size_t)3;
    if (size < RINGLOG_MIN_BLOCK || size > RINGLOG_MAX_BLOCK) {
        mp_raise_ValueError(MP_ERROR_TEXT("buf: expected 128 to 16777216 bytes"));
    }
    if ((uintptr_t)info.buf % 4 != 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("buf: expected a multiple of four as its address"));
    }
    self->buf = MP_OBJ_TO_PTR(buf);
    self->buf_items = self->buf->items;
    self->buf_len = self->buf->len;
    self->recovered = ringlog_init(&self->core, info.buf, size);
    ringlog_rewind(&self->core, &self->console, 0);
}

static mp_obj_t ring_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    ring_obj_t *self = mp_obj_malloc(ring_obj_t, type);
    self->console_level = OFF;
    self->console_busy = false;
    self->level = INFO;
    use_block(self, args[0]);
    return MP_OBJ_FROM_PTR(self);
}

// attach(buf): go on in another block, after the records that are found there.
// What this ring holds is carried over.
static mp_obj_t ring_attach(mp_obj_t self_in, mp_obj_t buf) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check_buffer(self);
    ring_obj_t old = *self;
    uint8_t name[RINGLOG_MAX_NAME];
    uint8_t *text = m_new(uint8_t, RINGLOG_MAX_TEXT(old.core.size));
    use_block(self, buf);
    if (self->core.block == old.core.block) {
        return mp_const_none; // the same block: its records have just been found in it
    }
    ringlog_reader_t reader;
    ringlog_record_t record;
    uint32_t lost;
    ringlog_rewind(&old.core, &reader, RINGLOG_MAX_BLOCK);
    while (ringlog_next(&old.core, &reader, &record, &lost)) {
        ringlog_copy_name(&old.core, &record, name);
        ringlog_copy_text(&old.core, &record, text);
        ringlog_write(&self->core, record.time, record.level, name, record.name_len, text, record.text_len);
    }
    ringlog_rewind(&self->core, &self->console, 0); // the console has seen them
    m_del(uint8_t, text, RINGLOG_MAX_TEXT(old.core.size));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(ring_attach_obj, ring_attach);

static void write_bytes(ring_obj_t *self, uint8_t level, mp_obj_t name, const char *text, size_t text_len) {
    mp_buffer_info_t n;
    mp_get_buffer_raise(name, &n, MP_BUFFER_READ);
    check_buffer(self);
    uint32_t now = mp_hal_ticks_ms();
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_write(&self->core, now, level, (const uint8_t *)(n.len ? n.buf : ""), MIN(n.len, 0xffff),
        (const uint8_t *)text, MIN(text_len, 0x10000));
    MICROPY_END_ATOMIC_SECTION(state);
    run_console(self);
}

// A record whose text is `msg`, or `msg % args` if there are any. Only that allocates.
static void write_record(ring_obj_t *self, uint8_t level, mp_obj_t name, mp_obj_t msg, size_t n_args, const mp_obj_t *args) {
    if (n_args > 0) {
        msg = mp_binary_op(MP_BINARY_OP_MODULO, msg, mp_obj_new_tuple(n_args, args));
    }
    if (mp_obj_is_str_or_bytes(msg)) {
        size_t len;
        const char *text = mp_obj_str_get_data(msg, &len);
        write_bytes(self, level, name, text, len);
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
    write_bytes(self, level, name, vstr.buf, vstr.len);
    vstr_clear(&vstr);
}

// write(level, name, text, *args)
static mp_obj_t ring_write(size_t n_args, const mp_obj_t *args) {
    write_record(MP_OBJ_TO_PTR(args[0]), get_level(args[1]), args[2], args[3], n_args - 4, args + 4);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR(ring_write_obj, 4, ring_write);

// reader(last=all): a reader that begins at the oldest record, or at the newest `last`.
static mp_obj_t ring_reader(size_t n_args, const mp_obj_t *args) {
    ring_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_int_t last = n_args > 1 ? mp_obj_get_int(args[1]) : (mp_int_t)RINGLOG_MAX_BLOCK;
    if (last < 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("last: expected 0 or more"));
    }
    check_buffer(self);
    reader_obj_t *reader = mp_obj_malloc(reader_obj_t, &reader_type);
    reader->ring = self;
    reader->block = self->core.block;
    reader->lost = 0;
    reader->valid = false;
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_rewind(&self->core, &reader->cursor, MIN(last, (mp_int_t)RINGLOG_MAX_BLOCK));
    MICROPY_END_ATOMIC_SECTION(state);
    return MP_OBJ_FROM_PTR(reader);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(ring_reader_obj, 1, 2, ring_reader);

static mp_obj_t ring_clear(mp_obj_t self_in) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check_buffer(self);
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_clear(&self->core);
    MICROPY_END_ATOMIC_SECTION(state);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(ring_clear_obj, ring_clear);

// logger(name, level=0)
static mp_obj_t ring_logger(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(args[1], &info, MP_BUFFER_READ);
    logger_obj_t *logger = mp_obj_malloc(logger_obj_t, &logger_type);
    logger->ring = MP_OBJ_TO_PTR(args[0]);
    logger->name = args[1];
    logger->level = n_args > 2 ? get_level(args[2]) : 0;
    return MP_OBJ_FROM_PTR(logger);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(ring_logger_obj, 2, 3, ring_logger);

static mp_obj_t ring_unary_op(mp_unary_op_t op, mp_obj_t self_in) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    switch (op) {
        case MP_UNARY_OP_LEN:
            return mp_obj_new_int_from_uint(ringlog_count(&self->core));
        case MP_UNARY_OP_BOOL:
            return mp_const_true;
        default:
            return MP_OBJ_NULL;
    }
}

static void ring_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_level) {
            self->level = get_level(dest[1]);
            dest[0] = MP_OBJ_NULL;
        } else if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_console) {
            self->console_level = dest[1] == mp_const_none ? OFF : get_level(dest[1]);
            ringlog_rewind(&self->core, &self->console, 0); // from now on
            dest[0] = MP_OBJ_NULL;
        }
        return;
    }
    switch (attr) {
        case MP_QSTR_level:
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->level);
            break;
        case MP_QSTR_console:
            dest[0] = self->console_level == OFF ? mp_const_none : MP_OBJ_NEW_SMALL_INT(self->console_level);
            break;
        case MP_QSTR_dropped:
            dest[0] = mp_obj_new_int_from_uint(self->core.dropped);
            break;
        case MP_QSTR_recovered:
            dest[0] = mp_obj_new_int_from_uint(self->recovered);
            break;
        default:
            dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
            break;
    }
}

static const mp_rom_map_elem_t ring_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&ring_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_reader), MP_ROM_PTR(&ring_reader_obj) },
    { MP_ROM_QSTR(MP_QSTR_logger), MP_ROM_PTR(&ring_logger_obj) },
    { MP_ROM_QSTR(MP_QSTR_attach), MP_ROM_PTR(&ring_attach_obj) },
    { MP_ROM_QSTR(MP_QSTR_clear), MP_ROM_PTR(&ring_clear_obj) },
};
static MP_DEFINE_CONST_DICT(ring_locals_dict, ring_locals_dict_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    ring_type, MP_QSTR_Ring, MP_TYPE_FLAG_NONE,
    make_new, ring_make_new,
    unary_op, ring_unary_op,
    attr, ring_attr,
    locals_dict, &ring_locals_dict
    );

// ---------------------------------------------------------------- Reader

static mp_obj_t reader_next(mp_obj_t self_in) {
    reader_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check_buffer(self->ring);
    if (self->block != self->ring->core.block) {
        // The ring has been attached to another block: begin at its oldest record.
        self->block = self->ring->core.block;
        ringlog_rewind(&self->ring->core, &self->cursor, RINGLOG_MAX_BLOCK);
    }
    self->valid = next_record(self->ring, &self->cursor, &self->record, &self->lost);
    return mp_obj_new_bool(self->valid);
}
static MP_DEFINE_CONST_FUN_OBJ_1(reader_next_obj, reader_next);

// Name or text as a str, None if the record is gone by now.
static mp_obj_t reader_str(reader_obj_t *self, bool is_name) {
    if (!self->valid || self->block != self->ring->core.block) {
        return mp_const_none;
    }
    check_buffer(self->ring);
    uint8_t name[RINGLOG_MAX_NAME];
    vstr_t vstr;
    size_t len;
    char *out = (char *)name;
    if (is_name) {
        len = self->record.name_len;
    } else {
        len = self->record.text_len;
        vstr_init_len(&vstr, len); // before interrupts are held back: this may collect garbage
        out = vstr.buf;
    }
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    bool there = is_name ? ringlog_copy_name(&self->ring->core, &self->record, (uint8_t *)out)
        : ringlog_copy_text(&self->ring->core, &self->record, (uint8_t *)out);
    MICROPY_END_ATOMIC_SECTION(state);
    if (!there) {
        return mp_const_none;
    }
    if (!utf8_check((const byte *)out, len)) {
        for (size_t i = 0; i < len; ++i) {
            out[i] = (out[i] & 0x80) ? '?' : out[i];
        }
    }
    return is_name ? mp_obj_new_str(out, len) : mp_obj_new_str_from_vstr(&vstr);
}

static void reader_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    if (dest[0] != MP_OBJ_NULL) {
        return; // no attribute can be set
    }
    reader_obj_t *self = MP_OBJ_TO_PTR(self_in);
    switch (attr) {
        case MP_QSTR_next:
            dest[0] = MP_OBJ_FROM_PTR(&reader_next_obj);
            dest[1] = self_in;
            break;
        case MP_QSTR_time:
            dest[0] = mp_obj_new_int_from_uint(self->valid ? self->record.time : 0);
            break;
        case MP_QSTR_level:
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->valid ? self->record.level : 0);
            break;
        case MP_QSTR_name:
            dest[0] = reader_str(self, true);
            break;
        case MP_QSTR_text:
            dest[0] = reader_str(self, false);
            break;
        case MP_QSTR_lost:
            dest[0] = mp_obj_new_int_from_uint(self->lost);
            break;
        default:
            dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
            break;
    }
}

static const mp_rom_map_elem_t reader_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_next), MP_ROM_PTR(&reader_next_obj) },
};
static MP_DEFINE_CONST_DICT(reader_locals_dict, reader_locals_dict_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    reader_type, MP_QSTR_Reader, MP_TYPE_FLAG_NONE,
    attr, reader_attr,
    locals_dict, &reader_locals_dict
    );

// ---------------------------------------------------------------- Logger

static inline bool passes(const logger_obj_t *self, mp_int_t level) {
    return level >= (self->level ? self->level : self->ring->level);
}

static mp_obj_t log_at(uint8_t level, size_t n_args, const mp_obj_t *args) {
    logger_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    if (passes(self, level)) {
        write_record(self->ring, level, self->name, args[1], n_args - 2, args + 2);
    }
    return mp_const_none;
}

#define LEVEL_METHOD(method, level) \
    static mp_obj_t logger_##method(size_t n_args, const mp_obj_t *args) { \
        return log_at(level, n_args, args); \
    } \
    static MP_DEFINE_CONST_FUN_OBJ_VAR(logger_##method##_obj, 2, logger_##method)

LEVEL_METHOD(debug, DEBUG);
LEVEL_METHOD(info, INFO);
LEVEL_METHOD(warning, WARNING);
LEVEL_METHOD(error, ERROR);
LEVEL_METHOD(critical, CRITICAL);

// log(level, msg, *args)
static mp_obj_t logger_log(size_t n_args, const mp_obj_t *args) {
    logger_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    uint8_t level = get_level(args[1]);
    if (passes(self, level)) {
        write_record(self->ring, level, self->name, args[2], n_args - 3, args + 3);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR(logger_log_obj, 3, logger_log);

// exception(msg, *args, exc_info=exc) or exception(exc): at level ERROR with the
// traceback. MicroPython does not know the exception being handled: it is named.
static mp_obj_t logger_exception(size_t n_args, const mp_obj_t *args, mp_map_t *kw_args) {
    logger_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_map_elem_t *elem = mp_map_lookup(kw_args, MP_OBJ_NEW_QSTR(MP_QSTR_exc_info), MP_MAP_LOOKUP);
    if (kw_args->used > (elem ? 1 : 0)) {
        mp_raise_TypeError(MP_ERROR_TEXT("the only keyword is exc_info"));
    }
    if (!passes(self, ERROR)) {
        return mp_const_none;
    }
    write_record(self->ring, ERROR, self->name, args[1], n_args - 2, args + 2);
    if (elem != NULL && mp_obj_is_exception_instance(elem->value)) {
        write_record(self->ring, ERROR, self->name, elem->value, 0, NULL);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_KW(logger_exception_obj, 2, logger_exception);

static mp_obj_t logger_is_enabled_for(mp_obj_t self_in, mp_obj_t level) {
    return mp_obj_new_bool(passes(MP_OBJ_TO_PTR(self_in), get_level(level)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(logger_is_enabled_for_obj, logger_is_enabled_for);

static mp_obj_t logger_set_level(mp_obj_t self_in, mp_obj_t level) {
    logger_obj_t *self = MP_OBJ_TO_PTR(self_in);
    self->level = get_level(level);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(logger_set_level_obj, logger_set_level);

static void logger_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    logger_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_level) {
            self->level = get_level(dest[1]);
            dest[0] = MP_OBJ_NULL;
        }
    } else if (attr == MP_QSTR_level) {
        dest[0] = MP_OBJ_NEW_SMALL_INT(self->level);
    } else if (attr == MP_QSTR_name) {
        dest[0] = self->name;
    } else {
        dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
    }
}

static const mp_rom_map_elem_t logger_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_debug), MP_ROM_PTR(&logger_debug_obj) },
    { MP_ROM_QSTR(MP_QSTR_info), MP_ROM_PTR(&logger_info_obj) },
    { MP_ROM_QSTR(MP_QSTR_warning), MP_ROM_PTR(&logger_warning_obj) },
    { MP_ROM_QSTR(MP_QSTR_error), MP_ROM_PTR(&logger_error_obj) },
    { MP_ROM_QSTR(MP_QSTR_critical), MP_ROM_PTR(&logger_critical_obj) },
    { MP_ROM_QSTR(MP_QSTR_exception), MP_ROM_PTR(&logger_exception_obj) },
    { MP_ROM_QSTR(MP_QSTR_log), MP_ROM_PTR(&logger_log_obj) },
    { MP_ROM_QSTR(MP_QSTR_isEnabledFor), MP_ROM_PTR(&logger_is_enabled_for_obj) },
    { MP_ROM_QSTR(MP_QSTR_setLevel), MP_ROM_PTR(&logger_set_level_obj) },
};
static MP_DEFINE_CONST_DICT(logger_locals_dict, logger_locals_dict_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    logger_type, MP_QSTR_Logger, MP_TYPE_FLAG_NONE,
    attr, logger_attr,
    locals_dict, &logger_locals_dict
    );

// ---------------------------------------------------------------- module

static mp_obj_t mod_level_name(mp_obj_t level) {
    const char *name = level_name(get_level(level));
    return mp_obj_new_str(name, strlen(name));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_level_name_obj, mod_level_name);

static const mp_rom_map_elem_t ringlog_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_ringlog) },
    { MP_ROM_QSTR(MP_QSTR_Ring), MP_ROM_PTR(&ring_type) },
    { MP_ROM_QSTR(MP_QSTR_Reader), MP_ROM_PTR(&reader_type) },
    { MP_ROM_QSTR(MP_QSTR_Logger), MP_ROM_PTR(&logger_type) },
    { MP_ROM_QSTR(MP_QSTR_level_name), MP_ROM_PTR(&mod_level_name_obj) },
};
static MP_DEFINE_CONST_DICT(ringlog_globals, ringlog_globals_table);

const mp_obj_module_t ringlog_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&ringlog_globals,
};
MP_REGISTER_MODULE(MP_QSTR_ringlog, ringlog_module);
