// SPDX-License-Identifier: MIT
//
// The MicroPython module `ringlog`: Ring and Reader over ringlog.h. How records are put
// together and printed is in mod_write.c, Logger and Capture are in mod_logger.c.

#include <string.h>

#include "py/mphal.h"
#include "py/objstr.h"
#include "py/runtime.h"
#include "py/unicode.h"

#include "mod_ringlog.h"

#define ALL (UINT32_MAX)

typedef struct _reader_obj_t {
    mp_obj_base_t base;
    ring_obj_t *ring;
    const volatile uint32_t *block; // where the cursor points into
    ringlog_reader_t cursor;
    ringlog_record_t record;
    uint32_t lost;
    bool valid; // record holds one
} reader_obj_t;

static const mp_obj_type_t reader_type;

bool ringlog_next_record(ring_obj_t *ring, ringlog_reader_t *cursor, ringlog_record_t *record, uint32_t *lost) {
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    bool found = ringlog_next(&ring->core, cursor, record, lost);
    MICROPY_END_ATOMIC_SECTION(state);
    return found;
}

uint8_t ringlog_get_level(mp_obj_t obj) {
    mp_int_t level = mp_obj_get_int(obj);
    if (level < 0 || level > 255) {
        mp_raise_ValueError(MP_ERROR_TEXT("level: expected 0 to 255"));
    }
    return level;
}

// ------------------------------------------------------------------ Ring

// A block for a ring: an int (its size), a bytearray or a memoryview. Returns its size in bytes.
static size_t get_block(mp_obj_t *buf, void **block) {
    if (mp_obj_is_int(*buf)) {
        mp_int_t size = mp_obj_get_int(*buf);
        if (size < (mp_int_t)RINGLOG_MIN_BLOCK || size > (mp_int_t)RINGLOG_MAX_BLOCK) {
            mp_raise_ValueError(MP_ERROR_TEXT("size: expected 128 to 16777216 bytes"));
        }
        *buf = mp_obj_new_bytearray_by_ref(size, m_new0(byte, size));
    }
    if (!mp_obj_is_type(*buf, &mp_type_bytearray) && !mp_obj_is_type(*buf, &mp_type_memoryview)) {
        mp_raise_TypeError(MP_ERROR_TEXT("buf: expected a size, a bytearray or a memoryview"));
    }
    mp_buffer_info_t info;
    mp_get_buffer_raise(*buf, &info, MP_BUFFER_RW);
    size_t size = info.len & ~(size_t)3;
    if (size < RINGLOG_MIN_BLOCK || size > RINGLOG_MAX_BLOCK) {
        mp_raise_ValueError(MP_ERROR_TEXT("buf: expected 128 to 16777216 bytes"));
    }
    if ((uintptr_t)info.buf % 4 != 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("buf: expected a multiple of four as its address"));
    }
    *block = info.buf;
    return size;
}

static void use_block(ring_obj_t *self, mp_obj_t buf) {
    void *block;
    size_t size = get_block(&buf, &block);
    self->buf = MP_OBJ_TO_PTR(buf);
    self->buf_items = self->buf->items;
    self->buf_len = self->buf->len;
    self->recovered = ringlog_init(&self->core, block, size);
    self->first = self->core.next_seq;
    ringlog_rewind(&self->core, &self->console, 0);
}

static mp_obj_t ring_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    ring_obj_t *self = mp_obj_malloc(ring_obj_t, type);
    memset((uint8_t *)self + sizeof(self->base), 0, sizeof(*self) - sizeof(self->base));
    self->console_level = LOG_OFF;
    self->level = LOG_INFO;
    use_block(self, args[0]);
    return MP_OBJ_FROM_PTR(self);
}

// Write all records of another ring into this one. Returns how many there were.
static uint32_t copy_records(ringlog_t *from, ringlog_t *to) {
    uint8_t name[RINGLOG_MAX_NAME];
    uint8_t *text = m_new(uint8_t, RINGLOG_MAX_TEXT(from->words));
    ringlog_reader_t reader;
    ringlog_record_t record;
    uint32_t lost, n = 0;
    ringlog_rewind(from, &reader, ALL);
    while (ringlog_next(from, &reader, &record, &lost)) {
        ringlog_copy_name(from, &record, name);
        ringlog_copy_text(from, &record, 0, text, record.text_len);
        mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
        ringlog_write(to, record.time, record.level, name, record.name_len, text, record.text_len);
        MICROPY_END_ATOMIC_SECTION(state);
        ++n;
    }
    m_del(uint8_t, text, RINGLOG_MAX_TEXT(from->words));
    return n;
}

// attach(buf): go on in another block, after the records that are found there.
// What this ring holds is carried over.
static mp_obj_t ring_attach(mp_obj_t self_in, mp_obj_t buf) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    ringlog_check_buffer(self);
    ring_obj_t old = *self;
    use_block(self, buf);
    if (self->core.block != old.core.block) { // else its records have just been found in it
        copy_records(&old.core, &self->core);
    }
    ringlog_rewind(&self->core, &self->console, 0); // the console has seen them
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(ring_attach_obj, ring_attach);

// mirror(buf): from now on each record goes into that block too; those that are found there
// are written into this ring first. For a block that is too small to be the ring itself.
static mp_obj_t ring_mirror(mp_obj_t self_in, mp_obj_t buf) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    ringlog_check_buffer(self);
    void *block;
    size_t size = get_block(&buf, &block);
    ringlog_t *mirror = m_new(ringlog_t, 1);
    ringlog_init(mirror, block, size);
    self->recovered += copy_records(mirror, &self->core);
    self->first = self->core.next_seq;
    ringlog_rewind(&self->core, &self->console, 0);
    self->mirror_buf = MP_OBJ_TO_PTR(buf);
    self->mirror_items = self->mirror_buf->items;
    self->mirror_len = self->mirror_buf->len;
    self->mirror = mirror;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(ring_mirror_obj, ring_mirror);

// write(level, name, text, *args)
static mp_obj_t ring_write(size_t n_args, const mp_obj_t *args) {
    ringlog_write_record(MP_OBJ_TO_PTR(args[0]), ringlog_get_level(args[1]), args[2], args[3], n_args - 4, args + 4);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR(ring_write_obj, 4, ring_write);

static reader_obj_t *new_reader(ring_obj_t *ring) {
    ringlog_check_buffer(ring);
    reader_obj_t *reader = mp_obj_malloc(reader_obj_t, &reader_type);
    reader->ring = ring;
    reader->block = ring->core.block;
    reader->lost = 0;
    reader->valid = false;
    return reader;
}

// reader(last=all): a reader that begins at the oldest record, or at the newest `last`.
static mp_obj_t ring_reader(size_t n_args, const mp_obj_t *args) {
    ring_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_int_t last = n_args > 1 ? mp_obj_get_int(args[1]) : (mp_int_t)RINGLOG_MAX_BLOCK;
    if (last < 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("last: expected 0 or more"));
    }
    reader_obj_t *reader = new_reader(self);
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_rewind(&self->core, &reader->cursor, MIN(last, (mp_int_t)RINGLOG_MAX_BLOCK));
    MICROPY_END_ATOMIC_SECTION(state);
    return MP_OBJ_FROM_PTR(reader);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(ring_reader_obj, 1, 2, ring_reader);

// since(seq): a reader that begins at the record of that number.
static mp_obj_t ring_since(mp_obj_t self_in, mp_obj_t seq) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    uint32_t from = mp_obj_get_int_truncated(seq);
    reader_obj_t *reader = new_reader(self);
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_seek(&self->core, &reader->cursor, from);
    MICROPY_END_ATOMIC_SECTION(state);
    return MP_OBJ_FROM_PTR(reader);
}
static MP_DEFINE_CONST_FUN_OBJ_2(ring_since_obj, ring_since);

static mp_obj_t ring_clear(mp_obj_t self_in) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    ringlog_check_buffer(self);
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    ringlog_clear(&self->core);
    MICROPY_END_ATOMIC_SECTION(state);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(ring_clear_obj, ring_clear);

// logger(name, level=0)
static mp_obj_t ring_logger(size_t n_args, const mp_obj_t *args) {
    return ringlog_new_logger(MP_OBJ_TO_PTR(args[0]), args[1], n_args > 2 ? ringlog_get_level(args[2]) : 0);
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

// wall = (days since 1970-01-01, ms of the day) as it is now, or None: the time of day is not known.
static void set_wall(ring_obj_t *self, mp_obj_t value) {
    self->wall = false;
    if (value != mp_const_none) {
        mp_obj_t *items;
        mp_obj_get_array_fixed_n(value, 2, &items);
        mp_int_t day = mp_obj_get_int(items[0]);
        mp_int_t ms = mp_obj_get_int(items[1]);
        if (day < 0 || day > 47481 || ms < 0 || ms >= 86400000) { // 2099
            mp_raise_ValueError(MP_ERROR_TEXT("wall: expected (0 to 47481, 0 to 86399999)"));
        }
        self->wall_tick = mp_hal_ticks_ms();
        self->wall_day = day;
        self->wall_ms = (uint32_t)ms;
        self->wall = true;
    }
}

static void ring_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    ring_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_level) {
            self->level = ringlog_get_level(dest[1]);
            dest[0] = MP_OBJ_NULL;
        } else if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_console) {
            self->console_level = dest[1] == mp_const_none ? LOG_OFF : ringlog_get_level(dest[1]);
            ringlog_rewind(&self->core, &self->console, 0); // from now on
            dest[0] = MP_OBJ_NULL;
        } else if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_colour) {
            self->colour = mp_obj_is_true(dest[1]);
            dest[0] = MP_OBJ_NULL;
        } else if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_captured) {
            self->captured = mp_obj_is_true(dest[1]);
            dest[0] = MP_OBJ_NULL;
        } else if (dest[1] != MP_OBJ_NULL && attr == MP_QSTR_wall) {
            set_wall(self, dest[1]);
            dest[0] = MP_OBJ_NULL;
        }
        return;
    }
    switch (attr) {
        case MP_QSTR_level:
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->level);
            break;
        case MP_QSTR_console:
            dest[0] = self->console_level == LOG_OFF ? mp_const_none : MP_OBJ_NEW_SMALL_INT(self->console_level);
            break;
        case MP_QSTR_dropped:
            dest[0] = mp_obj_new_int_from_uint(self->core.dropped);
            break;
        case MP_QSTR_recovered:
            dest[0] = mp_obj_new_int_from_uint(self->recovered);
            break;
        case MP_QSTR_seq:
            dest[0] = mp_obj_new_int_from_uint(self->core.next_seq);
            break;
        case MP_QSTR_first:
            dest[0] = mp_obj_new_int_from_uint(self->first);
            break;
        case MP_QSTR_colour:
            dest[0] = mp_obj_new_bool(self->colour);
            break;
        case MP_QSTR_captured:
            dest[0] = mp_obj_new_bool(self->captured);
            break;
        case MP_QSTR_wall:
            dest[0] = mp_obj_new_bool(self->wall);
            break;
        default:
            dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
            break;
    }
}

static const mp_rom_map_elem_t ring_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&ring_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_reader), MP_ROM_PTR(&ring_reader_obj) },
    { MP_ROM_QSTR(MP_QSTR_since), MP_ROM_PTR(&ring_since_obj) },
    { MP_ROM_QSTR(MP_QSTR_mirror), MP_ROM_PTR(&ring_mirror_obj) },
    { MP_ROM_QSTR(MP_QSTR_logger), MP_ROM_PTR(&ring_logger_obj) },
    { MP_ROM_QSTR(MP_QSTR_attach), MP_ROM_PTR(&ring_attach_obj) },
    { MP_ROM_QSTR(MP_QSTR_clear), MP_ROM_PTR(&ring_clear_obj) },
};
static MP_DEFINE_CONST_DICT(ring_locals_dict, ring_locals_dict_table);

MP_DEFINE_CONST_OBJ_TYPE(
    ringlog_ring_type, MP_QSTR_Ring, MP_TYPE_FLAG_NONE,
    make_new, ring_make_new,
    unary_op, ring_unary_op,
    attr, ring_attr,
    locals_dict, &ring_locals_dict
    );

// ---------------------------------------------------------------- Reader

static mp_obj_t reader_next(mp_obj_t self_in) {
    reader_obj_t *self = MP_OBJ_TO_PTR(self_in);
    ringlog_check_buffer(self->ring);
    if (self->block != self->ring->core.block) {
        // The ring has been attached to another block: begin at its oldest record.
        self->block = self->ring->core.block;
        ringlog_rewind(&self->ring->core, &self->cursor, ALL);
    }
    self->valid = ringlog_next_record(self->ring, &self->cursor, &self->record, &self->lost);
    return mp_obj_new_bool(self->valid);
}
static MP_DEFINE_CONST_FUN_OBJ_1(reader_next_obj, reader_next);

// Name or text as a str, None if the record is gone by now.
static mp_obj_t reader_str(reader_obj_t *self, bool is_name) {
    if (!self->valid || self->block != self->ring->core.block) {
        return mp_const_none;
    }
    ringlog_check_buffer(self->ring);
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
        : ringlog_copy_text(&self->ring->core, &self->record, 0, (uint8_t *)out, len);
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
        case MP_QSTR_stamp: {
            char out[RINGLOG_STAMP];
            dest[0] = self->valid ? mp_obj_new_str(out, ringlog_stamp(self->ring, &self->record, out)) : mp_const_none;
            break;
        }
        case MP_QSTR_level:
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->valid ? self->record.level : 0);
            break;
        case MP_QSTR_seq: // of the record, or of the next one while there is none
            dest[0] = mp_obj_new_int_from_uint(self->valid ? self->record.seq : self->cursor.seq);
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

// ---------------------------------------------------------------- module

static mp_obj_t mod_level_name(mp_obj_t level) {
    const char *name = ringlog_level_name(ringlog_get_level(level));
    return mp_obj_new_str(name, strlen(name));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_level_name_obj, mod_level_name);

// persistent(): the memory that a reset leaves alone, as a memoryview of words; None if the chip has none.
static mp_obj_t mod_persistent(void) {
    size_t size;
    void *memory = ringlog_memory(&size);
    if (memory == NULL) {
        return mp_const_none;
    }
    return mp_obj_new_memoryview('I' | MP_OBJ_ARRAY_TYPECODE_FLAG_RW, size / 4, memory);
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_persistent_obj, mod_persistent);

// default(ring): the ring that coldframe_log() writes into. None: no ring.
static mp_obj_t mod_default(mp_obj_t ring) {
    if (ring != mp_const_none && !mp_obj_is_type(ring, &ringlog_ring_type)) {
        mp_raise_TypeError(MP_ERROR_TEXT("ring: expected a Ring or None"));
    }
    MP_STATE_VM(ringlog_default) = ring == mp_const_none ? NULL : MP_OBJ_TO_PTR(ring);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_default_obj, mod_default);

// log(level, name, text): what coldframe_log() does, for a program.
static mp_obj_t mod_log(mp_obj_t level, mp_obj_t name, mp_obj_t text) {
    size_t len;
    const char *s = mp_obj_str_get_data(text, &len);
    coldframe_log(ringlog_get_level(level), mp_obj_str_get_str(name), s, len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_log_obj, mod_log);

static const mp_rom_map_elem_t ringlog_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_ringlog) },
    { MP_ROM_QSTR(MP_QSTR_Ring), MP_ROM_PTR(&ringlog_ring_type) },
    { MP_ROM_QSTR(MP_QSTR_Reader), MP_ROM_PTR(&reader_type) },
    { MP_ROM_QSTR(MP_QSTR_Logger), MP_ROM_PTR(&ringlog_logger_type) },
    { MP_ROM_QSTR(MP_QSTR_Capture), MP_ROM_PTR(&ringlog_capture_type) },
    { MP_ROM_QSTR(MP_QSTR_persistent), MP_ROM_PTR(&mod_persistent_obj) },
    { MP_ROM_QSTR(MP_QSTR_default), MP_ROM_PTR(&mod_default_obj) },
    { MP_ROM_QSTR(MP_QSTR_log), MP_ROM_PTR(&mod_log_obj) },
    { MP_ROM_QSTR(MP_QSTR_level_name), MP_ROM_PTR(&mod_level_name_obj) },
};
static MP_DEFINE_CONST_DICT(ringlog_globals, ringlog_globals_table);

const mp_obj_module_t ringlog_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&ringlog_globals,
};
MP_REGISTER_MODULE(MP_QSTR_ringlog, ringlog_module);

MP_REGISTER_ROOT_POINTER(void *ringlog_default);
