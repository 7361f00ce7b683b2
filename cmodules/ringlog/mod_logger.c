// SPDX-License-Identifier: MIT
//
// Part of the MicroPython module `ringlog`: Logger, which writes under one name, and
// Capture, the stream that takes what is printed.

#include <string.h>

#include "py/runtime.h"
#include "py/stream.h"

#include "mod_ringlog.h"

typedef struct _logger_obj_t {
    mp_obj_base_t base;
    ring_obj_t *ring;
    mp_obj_t name;
    uint8_t level; // 0: the ring's
} logger_obj_t;

mp_obj_t ringlog_new_logger(ring_obj_t *ring, mp_obj_t name, uint8_t level) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(name, &info, MP_BUFFER_READ);
    logger_obj_t *self = mp_obj_malloc(logger_obj_t, &ringlog_logger_type);
    self->ring = ring;
    self->name = name;
    self->level = level;
    return MP_OBJ_FROM_PTR(self);
}

static inline bool passes(const logger_obj_t *self, mp_int_t level) {
    return level >= (self->level ? self->level : self->ring->level);
}

static mp_obj_t log_at(uint8_t level, size_t n_args, const mp_obj_t *args) {
    logger_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    if (passes(self, level)) {
        ringlog_write_record(self->ring, level, self->name, args[1], n_args - 2, args + 2);
    }
    return mp_const_none;
}

#define LEVEL_METHOD(method, level) \
    static mp_obj_t logger_##method(size_t n_args, const mp_obj_t *args) { \
        return log_at(level, n_args, args); \
    } \
    static MP_DEFINE_CONST_FUN_OBJ_VAR(logger_##method##_obj, 2, logger_##method)

LEVEL_METHOD(debug, LOG_DEBUG);
LEVEL_METHOD(info, LOG_INFO);
LEVEL_METHOD(warning, LOG_WARNING);
LEVEL_METHOD(error, LOG_ERROR);
LEVEL_METHOD(critical, LOG_CRITICAL);

// log(level, msg, *args)
static mp_obj_t logger_log(size_t n_args, const mp_obj_t *args) {
    logger_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    uint8_t level = ringlog_get_level(args[1]);
    if (passes(self, level)) {
        ringlog_write_record(self->ring, level, self->name, args[2], n_args - 3, args + 3);
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
    if (!passes(self, LOG_ERROR)) {
        return mp_const_none;
    }
    ringlog_write_record(self->ring, LOG_ERROR, self->name, args[1], n_args - 2, args + 2);
    if (elem != NULL && mp_obj_is_exception_instance(elem->value)) {
        ringlog_write_record(self->ring, LOG_ERROR, self->name, elem->value, 0, NULL);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_KW(logger_exception_obj, 2, logger_exception);

static mp_obj_t logger_is_enabled_for(mp_obj_t self_in, mp_obj_t level) {
    return mp_obj_new_bool(passes(MP_OBJ_TO_PTR(self_in), ringlog_get_level(level)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(logger_is_enabled_for_obj, logger_is_enabled_for);

static mp_obj_t logger_set_level(mp_obj_t self_in, mp_obj_t level) {
    logger_obj_t *self = MP_OBJ_TO_PTR(self_in);
    self->level = ringlog_get_level(level);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(logger_set_level_obj, logger_set_level);

static void logger_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    logger_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_level) {
            self->level = ringlog_get_level(dest[1]);
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

MP_DEFINE_CONST_OBJ_TYPE(
    ringlog_logger_type, MP_QSTR_Logger, MP_TYPE_FLAG_NONE,
    attr, logger_attr,
    locals_dict, &logger_locals_dict
    );

// --------------------------------------------------------------- Capture

#define LINE (120) // bytes; a longer line becomes several records

typedef struct _capture_obj_t {
    mp_obj_base_t base;
    ring_obj_t *ring;
    uint8_t level;
    bool traceback; // the lines of one are going by
    uint8_t len;
    char line[LINE];
} capture_obj_t;

// Capture(ring, level=20)
static mp_obj_t capture_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 2, false);
    if (!mp_obj_is_type(args[0], &ringlog_ring_type)) {
        mp_raise_TypeError(MP_ERROR_TEXT("ring: expected a Ring"));
    }
    capture_obj_t *self = mp_obj_malloc(capture_obj_t, type);
    self->ring = MP_OBJ_TO_PTR(args[0]);
    self->level = n_args > 1 ? ringlog_get_level(args[1]) : LOG_INFO;
    self->traceback = false;
    self->len = 0;
    self->ring->captured = true;
    return MP_OBJ_FROM_PTR(self);
}

static void capture_line(capture_obj_t *self) {
    uint32_t len = self->len;
    uint8_t level = self->level;
    self->len = 0;
    if (len >= 9 && memcmp(self->line, "Traceback", 9) == 0) {
        self->traceback = true;
    }
    if (self->traceback) { // up to and with the first line that is not indented: the exception itself
        level = LOG_ERROR;
        self->traceback = self->line[0] == ' ' || self->line[0] == 'T';
    }
    if (len > 0 && level >= self->ring->level) {
        ringlog_write_bytes(self->ring, level, "print", 5, self->line, len);
    }
}

static mp_uint_t capture_write(mp_obj_t self_in, const void *buf, mp_uint_t size, int *errcode) {
    (void)errcode;
    capture_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const char *p = buf;
    if (self->ring->console_busy) {
        return size; // what the log itself prints
    }
    for (mp_uint_t i = 0; i < size; ++i) {
        if (p[i] == '\n' || self->len == LINE) {
            capture_line(self);
        }
        if (p[i] != '\n' && p[i] != '\r') {
            self->line[self->len++] = p[i];
        }
    }
    return size;
}

static mp_uint_t capture_read(mp_obj_t self, void *buf, mp_uint_t size, int *errcode) {
    (void)self;
    (void)buf;
    (void)size;
    *errcode = MP_EAGAIN; // there is never a key pressed here
    return MP_STREAM_ERROR;
}

static mp_uint_t capture_ioctl(mp_obj_t self, mp_uint_t request, uintptr_t arg, int *errcode) {
    (void)self;
    switch (request) {
        case MP_STREAM_POLL:
            return arg & MP_STREAM_POLL_WR;
        case MP_STREAM_CLOSE:
        case MP_STREAM_FLUSH:
            return 0;
        default:
            *errcode = MP_EINVAL;
            return MP_STREAM_ERROR;
    }
}

static const mp_rom_map_elem_t capture_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&mp_stream_write_obj) },
};
static MP_DEFINE_CONST_DICT(capture_locals_dict, capture_locals_dict_table);

static const mp_stream_p_t capture_stream = {
    .read = capture_read,
    .write = capture_write,
    .ioctl = capture_ioctl,
};

MP_DEFINE_CONST_OBJ_TYPE(
    ringlog_capture_type, MP_QSTR_Capture, MP_TYPE_FLAG_NONE,
    make_new, capture_make_new,
    protocol, &capture_stream,
    locals_dict, &capture_locals_dict
    );
