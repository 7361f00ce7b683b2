// SPDX-License-Identifier: MIT
//
// The MicroPython module `runcode`: what coldframe.remote.run needs to run somebody's code beside the node, and what
// Python alone cannot do. See runcode.pyi.

#include <string.h>

#include "py/compile.h"
#include "py/cstack.h"
#include "py/mpprint.h"
#include "py/runtime.h"
#include "py/stream.h"

// Call a function that may run the event loop, in the middle of code that knows nothing of it. What it returns or
// raises, if that is an exception, is raised in that code, at its next step: not here, where it would end in the printing
// of a text, or in the scheduler.
static void call_guarded(mp_obj_t function, size_t n_args, const mp_obj_t *args) {
    mp_obj_t result;
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        result = mp_call_function_n_kw(function, n_args, 0, args);
        nlr_pop();
    } else {
        result = MP_OBJ_FROM_PTR(nlr.ret_val);
    }
    if (mp_obj_is_exception_instance(result)) {
        mp_sched_exception(result);
    }
}

// --------------------------------------------------------------- Guard

typedef struct _guard_obj_t {
    mp_obj_base_t base;
    mp_obj_t function;
} guard_obj_t;

static mp_obj_t guard_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    guard_obj_t *self = mp_obj_malloc(guard_obj_t, type);
    self->function = args[0];
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t guard_call(mp_obj_t self_in, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 0, 1, false);
    guard_obj_t *self = MP_OBJ_TO_PTR(self_in);
    call_guarded(self->function, n_args, args);
    return mp_const_none;
}

static MP_DEFINE_CONST_OBJ_TYPE(
    guard_type, MP_QSTR_Guard, MP_TYPE_FLAG_NONE,
    make_new, guard_make_new,
    call, guard_call
    );

// --------------------------------------------------------------- Tap

typedef struct _tap_obj_t {
    mp_obj_base_t base;
    mp_obj_t buffer; // owns `items`
    byte *items;
    size_t size;
    size_t len;
    mp_obj_t full;
    mp_obj_t other; // the stream that had the place before, or None
    size_t lost;
    size_t total; // of bytes that came, modulo 2**30
    bool on;
} tap_obj_t;

// Tap(buffer, full)
static mp_obj_t tap_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    mp_buffer_info_t info;
    mp_get_buffer_raise(args[0], &info, MP_BUFFER_WRITE);
    if (info.len == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("buffer: expected 1 byte or more"));
    }
    tap_obj_t *self = mp_obj_malloc(tap_obj_t, type);
    self->buffer = args[0];
    self->items = info.buf;
    self->size = info.len;
    self->len = 0;
    self->full = args[1];
    self->other = mp_const_none;
    self->lost = 0;
    self->total = 0;
    self->on = false;
    return MP_OBJ_FROM_PTR(self);
}

static mp_uint_t tap_write(mp_obj_t self_in, const void *data, mp_uint_t size, int *errcode) {
    (void)errcode;
    tap_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->other != mp_const_none) {
        mp_stream_write(self->other, data, size, MP_STREAM_RW_WRITE);
    }
    const byte *p = data;
    size_t left = size;
    if (size == 2 && p[0] == '\r' && p[1] == '\n') { // what the console makes of '\n'
        ++p;
        left = 1;
    }
    while (self->on && left > 0) {
        if (self->len == self->size) {
            // In an interrupt or a scheduled function nothing can be waited for.
            if (MP_STATE_VM(sched_state) != MP_SCHED_LOCKED) {
                self->on = false;
                call_guarded(self->full, 0, NULL);
                self->on = true;
            }
            if (self->len == self->size) {
                self->lost += left;
                break;
            }
        }
        size_t n = MIN(left, self->size - self->len);
        memcpy(self->items + self->len, p, n);
        self->len += n;
        self->total += n;
        p += n;
        left -= n;
    }
    return size;
}

static mp_uint_t tap_read(mp_obj_t self_in, void *data, mp_uint_t size, int *errcode) {
    tap_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->other != mp_const_none) {
        return mp_get_stream(self->other)->read(self->other, data, size, errcode);
    }
    *errcode = MP_EAGAIN; // nobody presses a key here
    return MP_STREAM_ERROR;
}

static mp_uint_t tap_ioctl(mp_obj_t self_in, mp_uint_t request, uintptr_t arg, int *errcode) {
    tap_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->other != mp_const_none && request == MP_STREAM_POLL) {
        return mp_get_stream(self->other)->ioctl(self->other, request, arg, errcode);
    }
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

static void tap_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    tap_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] == MP_OBJ_NULL) {
        switch (attr) {
            case MP_QSTR_on:
                dest[0] = mp_obj_new_bool(self->on);
                break;
            case MP_QSTR_len:
                dest[0] = MP_OBJ_NEW_SMALL_INT(self->len);
                break;
            case MP_QSTR_lost:
                dest[0] = MP_OBJ_NEW_SMALL_INT(self->lost);
                break;
            case MP_QSTR_total:
                dest[0] = MP_OBJ_NEW_SMALL_INT(self->total & 0x3fffffff);
                break;
            case MP_QSTR_other:
                dest[0] = self->other;
                break;
            default:
                dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
        }
    } else if (dest[1] != MP_OBJ_NULL) {
        if (attr == MP_QSTR_on) {
            self->on = mp_obj_is_true(dest[1]);
            dest[0] = MP_OBJ_NULL;
        } else if (attr == MP_QSTR_len) {
            mp_int_t len = mp_obj_get_int(dest[1]);
            if (len < 0 || (size_t)len > self->size) {
                mp_raise_ValueError(MP_ERROR_TEXT("len: expected 0 to the size of the buffer"));
            }
            self->len = len;
            dest[0] = MP_OBJ_NULL;
        } else if (attr == MP_QSTR_other) {
            self->other = dest[1];
            dest[0] = MP_OBJ_NULL;
        }
    }
}

static const mp_rom_map_elem_t tap_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&mp_stream_write_obj) },
};
static MP_DEFINE_CONST_DICT(tap_locals_dict, tap_locals_dict_table);

static const mp_stream_p_t tap_stream = {
    .read = tap_read,
    .write = tap_write,
    .ioctl = tap_ioctl,
};

static MP_DEFINE_CONST_OBJ_TYPE(
    tap_type, MP_QSTR_Tap, MP_TYPE_FLAG_NONE,
    make_new, tap_make_new,
    protocol, &tap_stream,
    attr, tap_attr,
    locals_dict, &tap_locals_dict
    );

// --------------------------------------------------------------- functions

static mp_obj_dict_t *get_dict(mp_obj_t dict) {
    if (!mp_obj_is_type(dict, &mp_type_dict)) {
        mp_raise_TypeError(MP_ERROR_TEXT("names: expected a dict"));
    }
    return MP_OBJ_TO_PTR(dict);
}

// compile(code, file, expression, names)
static mp_obj_t compile(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_buffer_info_t code;
    mp_get_buffer_raise(args[0], &code, MP_BUFFER_READ);
    qstr file = mp_obj_str_get_qstr(args[1]);
    mp_parse_input_kind_t kind = mp_obj_is_true(args[2]) ? MP_PARSE_EVAL_INPUT : MP_PARSE_FILE_INPUT;
    mp_obj_dict_t *dict = get_dict(args[3]);
    mp_obj_dict_t *before = mp_globals_get();
    nlr_buf_t nlr;
    mp_obj_t made = MP_OBJ_NULL;
    mp_globals_set(dict); // what the compiler makes looks its names up there
    mp_compile_allow_top_level_await = true;
    if (nlr_push(&nlr) == 0) {
        mp_lexer_t *lexer = mp_lexer_new_from_str_len(file, code.buf, code.len, 0);
        mp_parse_tree_t tree = mp_parse(lexer, kind);
        made = mp_compile(&tree, file, false);
        nlr_pop();
    }
    mp_compile_allow_top_level_await = false;
    mp_globals_set(before);
    if (made == MP_OBJ_NULL) {
        nlr_jump(nlr.ret_val);
    }
    return made;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(compile_obj, 4, 4, compile);

// run(function, names, *args)
static mp_obj_t run(size_t n_args, const mp_obj_t *args) {
    mp_obj_dict_t *dict = get_dict(args[1]);
    mp_obj_dict_t *before = mp_locals_get();
    bool locked = MP_STATE_VM(sched_state) < 0;
    mp_obj_t found[2];
    nlr_buf_t nlr;
    mp_locals_set(dict);
    if (nlr_push(&nlr) == 0) {
        found[1] = mp_call_function_n_kw(args[0], n_args - 2, 0, args + 2);
        found[0] = mp_const_true;
        nlr_pop();
    } else {
        found[1] = MP_OBJ_FROM_PTR(nlr.ret_val);
        found[0] = mp_const_false;
    }
    mp_locals_set(before);
    // A scheduled function that fails where the stack is at its end (the code is in a deep recursion) leaves the
    // scheduler locked: printing its traceback raises, out of mp_call_function_1_protected(). No timer would work again.
    while (!locked && MP_STATE_VM(sched_state) < 0) {
        mp_sched_unlock();
    }
    return mp_obj_new_tuple(2, found);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR(run_obj, 2, run);

// room()
static mp_obj_t room(void) {
    mp_uint_t used = mp_cstack_usage();
    mp_uint_t limit = MP_STATE_THREAD(stack_limit);
    return mp_obj_new_int_from_uint(used < limit ? limit - used : 0);
}
static MP_DEFINE_CONST_FUN_OBJ_0(room_obj, room);

// show(value)
static mp_obj_t show(mp_obj_t value) {
    mp_obj_print_helper(&mp_plat_print, value, PRINT_REPR);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(show_obj, show);

static const mp_rom_map_elem_t runcode_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_runcode) },
    { MP_ROM_QSTR(MP_QSTR_Guard), MP_ROM_PTR(&guard_type) },
    { MP_ROM_QSTR(MP_QSTR_Tap), MP_ROM_PTR(&tap_type) },
    { MP_ROM_QSTR(MP_QSTR_compile), MP_ROM_PTR(&compile_obj) },
    { MP_ROM_QSTR(MP_QSTR_room), MP_ROM_PTR(&room_obj) },
    { MP_ROM_QSTR(MP_QSTR_run), MP_ROM_PTR(&run_obj) },
    { MP_ROM_QSTR(MP_QSTR_show), MP_ROM_PTR(&show_obj) },
};
static MP_DEFINE_CONST_DICT(runcode_globals, runcode_globals_table);

const mp_obj_module_t runcode_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&runcode_globals,
};

MP_REGISTER_MODULE(MP_QSTR_runcode, runcode_module);
