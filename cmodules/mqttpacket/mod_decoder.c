// SPDX-License-Identifier: MIT
//
// The class Decoder of the MicroPython module `mqttpacket`.
//
// What costs on a microcontroller is the way from Python into C and the
// objects made on it, so: few calls, few arguments, no tuples. The fields of a
// packet are read as attributes straight from the struct; the memoryview of
// the payload is one object for the decoder's life, and a topic that equals
// the last one is the same str again.

#include <string.h>

#include "py/objarray.h"
#include "py/objstr.h"
#include "py/objtype.h"
#include "py/runtime.h"
#include "py/stream.h"

#include "mod_mqttpacket.h"

typedef struct _decoder_obj_t {
    mp_obj_base_t base;
    mqtt_decoder_t core;
    mp_obj_array_t *buf; // the bytearray or memoryview that core.buf points into
    void *buf_items; // ... and its storage when it was given to us
    mp_obj_array_t *payload; // the one memoryview, made when first asked for
    mp_obj_t topic; // the last topic delivered as a str
    mp_int_t delivered; // messages given to callbacks
    bool calling; // inside a callback, or that has raised an exception
} decoder_obj_t;

// Python may resize the bytearray behind our back; then its storage has moved.
static void check_buffer(const decoder_obj_t *self) {
    if (self->buf->items != self->buf_items || self->buf->len != self->core.size) {
        mp_raise_ValueError(MP_ERROR_TEXT("decoder's buffer was resized"));
    }
}

static void check_version(mp_int_t version) {
    if (version != MQTT_V311 && version != MQTT_V5) {
        mp_raise_ValueError(MP_ERROR_TEXT("version: expected 4 (MQTT 3.1.1) or 5"));
    }
}

static mp_obj_t decoder_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *all_args) {
    enum { ARG_buf, ARG_limit, ARG_version };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_buf, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_limit, MP_ARG_INT, { .u_int = 0 } },
        { MP_QSTR_version, MP_ARG_INT, { .u_int = 4 } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all_kw_array(n_args, n_kw, all_args, MP_ARRAY_SIZE(allowed), allowed, args);

    mp_obj_t buf = args[ARG_buf].u_obj;
    if (!mp_obj_is_type(buf, &mp_type_bytearray) && !mp_obj_is_type(buf, &mp_type_memoryview)) {
        mp_raise_TypeError(MP_ERROR_TEXT("buf: expected a bytearray or memoryview"));
    }
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_RW);
    mp_obj_array_t *array = MP_OBJ_TO_PTR(buf);
    // A memoryview of something else than bytes counts its length otherwise.
    if (info.len < MQTT_MIN_BUFFER || info.len > MQTT_MAX_REMAINING || info.len != array->len) {
        mp_raise_ValueError(MP_ERROR_TEXT("buf: expected 16 bytes or more"));
    }
    if (args[ARG_limit].u_int < 0 || args[ARG_limit].u_int >> 30 > 3) {
        mp_raise_ValueError(MP_ERROR_TEXT("limit: expected 0 (none) or a number of bytes"));
    }
    check_version(args[ARG_version].u_int);
    decoder_obj_t *self = mp_obj_malloc(decoder_obj_t, type);
    mqtt_decoder_init(&self->core, info.buf, info.len, args[ARG_limit].u_int, args[ARG_version].u_int);
    self->buf = array;
    self->buf_items = array->items;
    self->payload = NULL;
    self->topic = MP_OBJ_NULL;
    self->delivered = 0;
    self->calling = false;
    return MP_OBJ_FROM_PTR(self);
}

// fill(stream): one read of what the stream has into the free part of the buffer.
static mp_obj_t decoder_fill(mp_obj_t self_in, mp_obj_t stream) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check_buffer(self);
    if (self->core.error < 0) {
        mqttpacket_raise_malformed(self->core.error);
    }
    uint32_t space;
    uint8_t *at = mqtt_decoder_space(&self->core, &space);
    if (space == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("buffer is full: call next() until it returns 0"));
    }
    uint32_t end = self->core.end;
    mp_uint_t n;
    const mp_obj_type_t *type = mp_obj_get_type(stream);
    if (mp_obj_is_instance_type(type) || !MP_OBJ_TYPE_HAS_SLOT(type, protocol)) {
        // An object of a Python class: its readinto() gets a view of the free part.
        mp_obj_t dest[3];
        mp_load_method(stream, MP_QSTR_readinto, dest);
        mp_obj_array_t *view = m_new_obj(mp_obj_array_t);
        size_t offset = at - (uint8_t *)self->buf_items;
        mp_obj_memoryview_init(view, 'B' | MP_OBJ_ARRAY_TYPECODE_FLAG_RW, offset, space, self->buf_items);
        dest[2] = MP_OBJ_FROM_PTR(view);
        mp_obj_t result = mp_call_method_n_kw(1, 0, dest);
        check_buffer(self);
        if (result == mp_const_none) {
            return mp_const_none;
        }
        mp_int_t count = mp_obj_get_int(result);
        if (count < 0 || (mp_uint_t)count > space) {
            mp_raise_ValueError(MP_ERROR_TEXT("readinto() returned more than it was asked for"));
        }
        n = count;
    } else {
        const mp_stream_p_t *protocol = mp_get_stream_raise(stream, MP_STREAM_OP_READ);
        int error = 0;
        n = protocol->read(stream, at, space, &error);
        if (n == MP_STREAM_ERROR) {
            if (mp_is_nonblocking_error(error)) {
                return mp_const_none;
            }
            mp_raise_OSError(error);
        }
        if (n > space) {
            mp_raise_OSError(MP_EIO);
        }
        check_buffer(self); // a stream can be Python code behind a native one
    }
    if (self->core.end != end) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("decoder was filled inside readinto()"));
    }
    mqtt_decoder_filled(&self->core, n);
    return MP_OBJ_NEW_SMALL_INT(n);
}
static MP_DEFINE_CONST_FUN_OBJ_2(decoder_fill_obj, decoder_fill);

static mp_obj_t decoder_topic(decoder_obj_t *self) {
    check_buffer(self);
    const char *s = (const char *)self->core.buf + self->core.topic;
    size_t len = self->core.topic_len;
    if (len == 0) {
        return MP_OBJ_NEW_QSTR(MP_QSTR_); // and the last topic stays remembered
    }
    if (self->topic != MP_OBJ_NULL) {
        size_t last_len;
        const char *last = mp_obj_str_get_data(self->topic, &last_len);
        if (last_len == len && memcmp(last, s, len) == 0) {
            return self->topic;
        }
    }
    self->topic = mp_obj_new_str(s, len);
    return self->topic;
}

// May the callback of next() have this PUBLISH? It wants no acknowledgement, is
// whole, and has a topic of its own and none that a later one will refer to.
static bool is_plain_message(const mqtt_decoder_t *d) {
    mqtt_prop_t alias;
    return (d->flags & 6) == 0 && d->topic_len > 0 && !d->busy && !d->skipped && d->part == 0 &&
        (d->props_len == 0 || !mqtt_prop_find(d->buf + d->props, d->props_len, MQTT_PROP_ALIAS, &alias));
}

// Call callback(topic, payload, retain) with the PUBLISH that was decoded last.
static mp_obj_t give(decoder_obj_t *self, mp_obj_t callback) {
    mqtt_decoder_t *d = &self->core;
    mp_obj_t message[3] = { decoder_topic(self), mp_obj_new_bytes(d->buf + d->payload, d->payload_len),
                            mp_obj_new_bool(d->flags & 1) };
    self->delivered = (self->delivered + 1) & 0x3fffffff;
    self->calling = true;
    mp_obj_t result = mp_call_function_n_kw(callback, 3, 0, message);
    self->calling = false;
    return result;
}

// next(callback=None)
static mp_obj_t decoder_next(size_t n_args, const mp_obj_t *args) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    mqtt_decoder_t *d = &self->core;
    bool called = n_args > 1 && args[1] != mp_const_none;
    self->calling = false;
    for (;;) {
        check_buffer(self);
        int type = mqtt_decoder_next(d);
        if (type < 0) {
            mqttpacket_raise_malformed(type);
        }
        if (!called || type != MQTT_PUBLISH || !is_plain_message(d)) {
            return MP_OBJ_NEW_SMALL_INT(type);
        }
        // Whatever it does with this decoder, the next turn finds it sound.
        if (give(self, args[1]) == mp_const_true) {
            return MP_OBJ_NEW_SMALL_INT(-1);
        }
    }
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(decoder_next_obj, 1, 2, decoder_next);

// deliver(callback): the PUBLISH that next() has returned, in the same way.
static mp_obj_t decoder_deliver(mp_obj_t self_in, mp_obj_t callback) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->core.type != MQTT_PUBLISH) {
        mp_raise_ValueError(MP_ERROR_TEXT("no message to deliver"));
    }
    return give(self, callback);
}
static MP_DEFINE_CONST_FUN_OBJ_2(decoder_deliver_obj, decoder_deliver);

// reset(version=0)
static mp_obj_t decoder_reset(size_t n_args, const mp_obj_t *args) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_int_t version = n_args > 1 ? mp_obj_get_int(args[1]) : 0;
    if (version == 0) {
        version = self->core.version;
    }
    check_version(version);
    mqtt_decoder_reset(&self->core, version);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(decoder_reset_obj, 1, 2, decoder_reset);

static mp_obj_t text(mqtt_string_t s) {
    return mp_obj_new_str((const char *)s.data, s.len);
}

// prop(id): the first property of that identifier, None if there is none.
static mp_obj_t decoder_prop(mp_obj_t self_in, mp_obj_t id_in) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check_buffer(self);
    mp_int_t id = mp_obj_get_int(id_in);
    uint8_t type = id < 0 || id > 0x7f ? MQTT_PROP_NONE : mqtt_prop_type(id);
    if (type == MQTT_PROP_NONE) {
        mp_raise_ValueError(MP_ERROR_TEXT("no property has this identifier"));
    }
    mqtt_prop_t prop;
    if (!mqtt_prop_find(self->core.buf + self->core.props, self->core.props_len, id, &prop)) {
        return mp_const_none;
    }
    switch (type) {
        case MQTT_PROP_BINARY:
            return mp_obj_new_bytes(prop.data.data, prop.data.len);
        case MQTT_PROP_TEXT:
            return text(prop.data);
        case MQTT_PROP_PAIR: {
            mp_obj_t pair[2] = { text(prop.key), text(prop.data) };
            return mp_obj_new_tuple(2, pair);
        }
        default:
            return mp_obj_new_int_from_uint(prop.value);
    }
}
static MP_DEFINE_CONST_FUN_OBJ_2(decoder_prop_obj, decoder_prop);

static mp_obj_t decoder_user_properties(mp_obj_t self_in) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check_buffer(self);
    mp_obj_t list = mp_obj_new_list(0, NULL);
    uint32_t at = 0;
    while (at < self->core.props_len) {
        mqtt_prop_t prop;
        int32_t next = mqtt_prop_read(self->core.buf + self->core.props, self->core.props_len, at, &prop);
        if (next < 0) {
            mqttpacket_raise_malformed(next); // Python has written into the buffer
        }
        if (prop.id == MQTT_PROP_USER) {
            mp_obj_t pair[2] = { text(prop.key), text(prop.data) };
            mp_obj_list_append(list, mp_obj_new_tuple(2, pair));
        }
        at = next;
    }
    return list;
}
static MP_DEFINE_CONST_FUN_OBJ_1(decoder_user_properties_obj, decoder_user_properties);

// A memoryview of [at, at + len) of the buffer; `view` is used again if there is one.
static mp_obj_t decoder_view(decoder_obj_t *self, mp_obj_array_t **view, uint32_t at, uint32_t len) {
    check_buffer(self);
    if (*view == NULL) {
        *view = m_new_obj(mp_obj_array_t);
    }
    // The view keeps the storage's start, so that the garbage collector sees it.
    size_t offset = self->core.buf + at - (uint8_t *)self->buf_items;
    mp_obj_memoryview_init(*view, 'B' | MP_OBJ_ARRAY_TYPECODE_FLAG_RW, offset, len, self->buf_items);
    return MP_OBJ_FROM_PTR(*view);
}

static void decoder_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (dest[0] != MP_OBJ_NULL) {
        if (attr == MP_QSTR_delivered && dest[1] != MP_OBJ_NULL) {
            self->delivered = mp_obj_get_int(dest[1]) & 0x3fffffff;
            dest[0] = MP_OBJ_NULL; // stored
        }
        return; // no other attribute can be set
    }
    mqtt_decoder_t *d = &self->core;
    mp_int_t value;
    mp_obj_array_t *fresh = NULL;
    switch (attr) {
        case MP_QSTR_next:
            dest[0] = MP_OBJ_FROM_PTR(&decoder_next_obj);
            dest[1] = self_in;
            return;
        case MP_QSTR_fill:
            dest[0] = MP_OBJ_FROM_PTR(&decoder_fill_obj);
            dest[1] = self_in;
            return;
        case MP_QSTR_topic:
            dest[0] = decoder_topic(self);
            return;
        case MP_QSTR_payload:
            dest[0] = decoder_view(self, &self->payload, d->payload, d->payload_len);
            return;
        case MP_QSTR_payload_bytes:
            check_buffer(self);
            dest[0] = mp_obj_new_bytes(d->buf + d->payload, d->payload_len);
            return;
        case MP_QSTR_topic_view:
            dest[0] = decoder_view(self, &fresh, d->topic, d->topic_len);
            return;
        case MP_QSTR_codes:
            value = d->type == MQTT_SUBACK || d->type == MQTT_UNSUBACK ? d->payload_len : 0;
            dest[0] = decoder_view(self, &fresh, d->payload, value);
            return;
        case MP_QSTR_props:
            dest[0] = decoder_view(self, &fresh, d->props, d->props_len);
            return;
        case MP_QSTR_retain:
            dest[0] = mp_obj_new_bool(d->type == MQTT_PUBLISH && (d->flags & 1));
            return;
        case MP_QSTR_dup:
            dest[0] = mp_obj_new_bool(d->type == MQTT_PUBLISH && (d->flags & 8));
            return;
        case MP_QSTR_session:
            dest[0] = mp_obj_new_bool(d->session);
            return;
        case MP_QSTR_skipped:
            dest[0] = mp_obj_new_bool(d->type == MQTT_PUBLISH && d->skipped);
            return;
        case MP_QSTR_qos:
            value = d->type == MQTT_PUBLISH ? d->flags >> 1 & 3 : 0;
            break;
        case MP_QSTR_type:
            value = d->type;
            break;
        case MP_QSTR_flags:
            value = d->flags;
            break;
        case MP_QSTR_id:
            value = d->id;
            break;
        case MP_QSTR_code:
            value = d->code;
            break;
        case MP_QSTR_keepalive:
            value = d->keepalive;
            break;
        case MP_QSTR_more:
            value = d->more;
            break;
        case MP_QSTR_part:
            value = d->part;
            break;
        case MP_QSTR_version:
            value = d->version;
            break;
        case MP_QSTR_calling:
            dest[0] = mp_obj_new_bool(self->calling);
            return;
        case MP_QSTR_delivered:
            value = self->delivered;
            break;
        default:
            dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
            return;
    }
    dest[0] = MP_OBJ_NEW_SMALL_INT(value);
}

static const mp_rom_map_elem_t decoder_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_fill), MP_ROM_PTR(&decoder_fill_obj) },
    { MP_ROM_QSTR(MP_QSTR_next), MP_ROM_PTR(&decoder_next_obj) },
    { MP_ROM_QSTR(MP_QSTR_deliver), MP_ROM_PTR(&decoder_deliver_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&decoder_reset_obj) },
    { MP_ROM_QSTR(MP_QSTR_prop), MP_ROM_PTR(&decoder_prop_obj) },
    { MP_ROM_QSTR(MP_QSTR_user_properties), MP_ROM_PTR(&decoder_user_properties_obj) },
};
static MP_DEFINE_CONST_DICT(decoder_locals_dict, decoder_locals_dict_table);

MP_DEFINE_CONST_OBJ_TYPE(
    mqttpacket_type_Decoder, MP_QSTR_Decoder, MP_TYPE_FLAG_NONE,
    make_new, decoder_make_new,
    attr, decoder_attr,
    locals_dict, &decoder_locals_dict
    );
