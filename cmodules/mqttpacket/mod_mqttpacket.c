// SPDX-License-Identifier: MIT
//
// The MicroPython module `mqttpacket`: a thin binding of mqttpacket.h.
//
// What costs on a microcontroller is the way from Python into C and the
// objects made on it, so: few calls, few arguments, no tuples. The fields of a
// packet are read as attributes straight from the struct; the memoryview of
// the payload is one object for the decoder's life, and a topic that equals
// the last one is the same str again.

#include <string.h>

#include "py/objarray.h"
#include "py/objexcept.h"
#include "py/objstr.h"
#include "py/objtype.h"
#include "py/runtime.h"
#include "py/stream.h"

#include "mqttpacket.h"

// class Malformed(ValueError): args are (reason code, text)
static MP_DEFINE_CONST_OBJ_TYPE(
    mqttpacket_type_Malformed, MP_QSTR_Malformed, MP_TYPE_FLAG_NONE,
    make_new, mp_obj_exception_make_new,
    print, mp_obj_exception_print,
    attr, mp_obj_exception_attr,
    parent, &mp_type_ValueError
    );

static mp_obj_t error_text(int error) {
    const char *text = mqtt_error_text(error);
    return mp_obj_new_str(text, strlen(text));
}

static MP_NORETURN void raise_malformed(int error) {
    mp_obj_t args[2] = { MP_OBJ_NEW_SMALL_INT(mqtt_error_reason(error)), error_text(error) };
    nlr_raise(mp_obj_new_exception_args(&mqttpacket_type_Malformed, 2, args));
}

// --------------------------------------------------------------- Decoder

typedef struct _decoder_obj_t {
    mp_obj_base_t base;
    mqtt_decoder_t core;
    mp_obj_array_t *buf; // the bytearray or memoryview that core.buf points into
    void *buf_items; // ... and its storage when it was given to us
    mp_obj_array_t *payload; // the one memoryview, made when first asked for
    mp_obj_t topic; // the last topic delivered as a str
} decoder_obj_t;

static const mp_obj_type_t decoder_type;

// Python may resize the bytearray behind our back; then its storage has moved.
static void check_buffer(const decoder_obj_t *self) {
    if (self->buf->items != self->buf_items || self->buf->len != self->core.size) {
        mp_raise_ValueError(MP_ERROR_TEXT("decoder's buffer was resized"));
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
    if (args[ARG_limit].u_int < 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("limit: expected 0 (none) or a number of bytes"));
    }
    if (args[ARG_version].u_int != 4) {
        mp_raise_ValueError(MP_ERROR_TEXT("version: expected 4 (MQTT 3.1.1)"));
    }
    decoder_obj_t *self = mp_obj_malloc(decoder_obj_t, type);
    mqtt_decoder_init(&self->core, info.buf, info.len, args[ARG_limit].u_int);
    self->buf = array;
    self->buf_items = array->items;
    self->payload = NULL;
    self->topic = MP_OBJ_NULL;
    return MP_OBJ_FROM_PTR(self);
}

// fill(stream): one read of what the stream has into the free part of the buffer.
static mp_obj_t decoder_fill(mp_obj_t self_in, mp_obj_t stream) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check_buffer(self);
    if (self->core.error < 0) {
        raise_malformed(self->core.error);
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
    }
    if (self->core.end != end) { // a stream can be Python code, which has done this
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("decoder was filled inside readinto()"));
    }
    mqtt_decoder_filled(&self->core, n);
    return MP_OBJ_NEW_SMALL_INT(n);
}
static MP_DEFINE_CONST_FUN_OBJ_2(decoder_fill_obj, decoder_fill);

static mp_obj_t decoder_next(mp_obj_t self_in) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check_buffer(self);
    int type = mqtt_decoder_next(&self->core);
    if (type < 0) {
        raise_malformed(type);
    }
    return MP_OBJ_NEW_SMALL_INT(type);
}
static MP_DEFINE_CONST_FUN_OBJ_1(decoder_next_obj, decoder_next);

static mp_obj_t decoder_reset(mp_obj_t self_in) {
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mqtt_decoder_reset(&self->core);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(decoder_reset_obj, decoder_reset);

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
    if (dest[0] != MP_OBJ_NULL) {
        return; // no attribute can be set
    }
    decoder_obj_t *self = MP_OBJ_TO_PTR(self_in);
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
            dest[0] = decoder_view(self, &fresh, d->payload, d->type == MQTT_SUBACK ? d->payload_len : 0);
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
        default:
            dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
            return;
    }
    dest[0] = MP_OBJ_NEW_SMALL_INT(value);
}

static const mp_rom_map_elem_t decoder_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_fill), MP_ROM_PTR(&decoder_fill_obj) },
    { MP_ROM_QSTR(MP_QSTR_next), MP_ROM_PTR(&decoder_next_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&decoder_reset_obj) },
};
static MP_DEFINE_CONST_DICT(decoder_locals_dict, decoder_locals_dict_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    decoder_type, MP_QSTR_Decoder, MP_TYPE_FLAG_NONE,
    make_new, decoder_make_new,
    attr, decoder_attr,
    locals_dict, &decoder_locals_dict
    );

// -------------------------------------------------------------- encoders

static mqtt_string_t get_string(mp_obj_t obj) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(obj, &info, MP_BUFFER_READ);
    if (info.len > MQTT_MAX_REMAINING) {
        info.len = MQTT_MAX_REMAINING + 1; // the encoder refuses it; sizes are 32 bits wide there
    }
    return (mqtt_string_t) { .data = info.len ? info.buf : (const uint8_t *)"", .len = info.len };
}

static mqtt_string_t get_string_or_none(mp_obj_t obj) {
    return obj == mp_const_none ? (mqtt_string_t) { NULL, 0 } : get_string(obj);
}

static uint32_t get_out(mp_obj_t obj, uint8_t **buf) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(obj, &info, MP_BUFFER_WRITE);
    *buf = info.buf;
    return MIN(info.len, MQTT_MAX_REMAINING + 5);
}

static uint16_t get_id(mp_obj_t obj) {
    mp_int_t id = mp_obj_get_int(obj);
    if (id < 0 || id > 0xffff) {
        mp_raise_ValueError(MP_ERROR_TEXT("packet identifier: expected 1 to 65535"));
    }
    return id;
}

static uint8_t get_qos(mp_obj_t obj) {
    mp_int_t qos = mp_obj_get_int(obj);
    return qos < 0 || qos > 2 ? 3 : qos; // 3 is refused by every encoder
}

static MP_NORETURN void raise_no_room(uint32_t need, uint32_t size) {
    mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("packet needs %u bytes, buffer has %u"),
        (unsigned)need, (unsigned)size);
}

// What an encoder has returned, as a result or an exception.
static mp_obj_t encoded(int32_t n, uint32_t size) {
    if (n < 0) {
        mp_obj_t text = error_text(n);
        nlr_raise(mp_obj_new_exception_args(&mp_type_ValueError, 1, &text));
    }
    if ((uint32_t)n > size) {
        raise_no_room(n, size);
    }
    return MP_OBJ_NEW_SMALL_INT(n);
}

static mp_obj_t mod_connect(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    enum { ARG_buf, ARG_client_id, ARG_keepalive, ARG_clean, ARG_user, ARG_password,
           ARG_will_topic, ARG_will_payload, ARG_will_qos, ARG_will_retain };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_buf, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_client_id, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_keepalive, MP_ARG_REQUIRED | MP_ARG_INT, { .u_int = 0 } },
        { MP_QSTR_clean, MP_ARG_BOOL, { .u_bool = true } },
        { MP_QSTR_user, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_NONE } },
        { MP_QSTR_password, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_NONE } },
        { MP_QSTR_will_topic, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_NONE } },
        { MP_QSTR_will_payload, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_NONE } },
        { MP_QSTR_will_qos, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_INT(0) } },
        { MP_QSTR_will_retain, MP_ARG_BOOL, { .u_bool = false } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed, args);

    if (args[ARG_keepalive].u_int < 0 || args[ARG_keepalive].u_int > 0xffff) {
        mp_raise_ValueError(MP_ERROR_TEXT("keepalive: expected 0 to 65535 seconds"));
    }
    mqtt_connect_t c = {
        .client_id = get_string(args[ARG_client_id].u_obj),
        .will_topic = get_string_or_none(args[ARG_will_topic].u_obj),
        .will_payload = get_string_or_none(args[ARG_will_payload].u_obj),
        .user = get_string_or_none(args[ARG_user].u_obj),
        .password = get_string_or_none(args[ARG_password].u_obj),
        .keepalive = args[ARG_keepalive].u_int,
        .will_qos = get_qos(args[ARG_will_qos].u_obj),
        .will_retain = args[ARG_will_retain].u_bool,
        .clean = args[ARG_clean].u_bool,
    };
    uint8_t *buf;
    uint32_t size = get_out(args[ARG_buf].u_obj, &buf);
    return encoded(mqtt_encode_connect(buf, size, &c), size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_connect_obj, 3, mod_connect);

static mp_obj_t mod_publish(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    enum { ARG_buf, ARG_topic, ARG_payload, ARG_qos, ARG_retain, ARG_dup, ARG_id };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_buf, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_topic, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_payload_len, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_qos, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_INT(0) } },
        { MP_QSTR_retain, MP_ARG_BOOL, { .u_bool = false } },
        { MP_QSTR_dup, MP_ARG_BOOL, { .u_bool = false } },
        { MP_QSTR_id, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_INT(0) } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed, args);

    uint8_t *buf;
    uint32_t size = get_out(args[ARG_buf].u_obj, &buf);
    mqtt_string_t payload = { NULL, 0 };
    if (mp_obj_is_int(args[ARG_payload].u_obj)) {
        mp_int_t len = mp_obj_get_int(args[ARG_payload].u_obj);
        payload.len = len < 0 || (mp_uint_t)len > MQTT_MAX_REMAINING ? MQTT_MAX_REMAINING + 1 : (uint32_t)len;
    } else {
        payload = get_string(args[ARG_payload].u_obj);
    }
    uint8_t flags = get_qos(args[ARG_qos].u_obj) << 1 | (args[ARG_retain].u_bool ? 1 : 0) |
        (args[ARG_dup].u_bool ? 8 : 0);
    // With a payload to follow the header gets only the room that it leaves.
    uint32_t head_size = payload.data == NULL ? size : payload.len > size ? 0 : size - payload.len;
    int32_t n = mqtt_encode_publish(buf, head_size, get_string(args[ARG_topic].u_obj), payload.len, flags,
        get_id(args[ARG_id].u_obj));
    if (payload.data != NULL && n >= 0) {
        if ((uint32_t)n > head_size) {
            raise_no_room(n + payload.len, size);
        }
        memcpy(buf + n, payload.data, payload.len);
        n += payload.len;
    }
    return encoded(n, size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_publish_obj, 3, mod_publish);

static mp_obj_t mod_ack(mp_obj_t buf_in, mp_obj_t type, mp_obj_t id) {
    uint8_t *buf;
    uint32_t size = get_out(buf_in, &buf);
    mp_int_t t = mp_obj_get_int(type);
    return encoded(mqtt_encode_ack(buf, size, t < 0 || t > 15 ? 0 : t, get_id(id)), size);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_ack_obj, mod_ack);

static mp_obj_t mod_subscribe(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    uint8_t *buf;
    uint32_t size = get_out(args[0], &buf);
    uint8_t qos = get_qos(args[3]);
    return encoded(mqtt_encode_subscribe(buf, size, get_id(args[1]), get_string(args[2]), qos), size);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_subscribe_obj, 4, 4, mod_subscribe);

static mp_obj_t mod_unsubscribe(mp_obj_t buf_in, mp_obj_t id, mp_obj_t filter) {
    uint8_t *buf;
    uint32_t size = get_out(buf_in, &buf);
    return encoded(mqtt_encode_unsubscribe(buf, size, get_id(id), get_string(filter)), size);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_unsubscribe_obj, mod_unsubscribe);

static mp_obj_t mod_connack(mp_obj_t buf_in, mp_obj_t session, mp_obj_t code) {
    uint8_t *buf;
    uint32_t size = get_out(buf_in, &buf);
    mp_int_t c = mp_obj_get_int(code);
    return encoded(mqtt_encode_connack(buf, size, mp_obj_is_true(session), c < 0 || c > 5 ? 255 : c), size);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_connack_obj, mod_connack);

static mp_obj_t mod_suback(mp_obj_t buf_in, mp_obj_t id, mp_obj_t codes) {
    uint8_t *buf;
    uint32_t size = get_out(buf_in, &buf);
    return encoded(mqtt_encode_suback(buf, size, get_id(id), get_string(codes)), size);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_suback_obj, mod_suback);

static mp_obj_t mod_match(mp_obj_t filter, mp_obj_t topic) {
    mqtt_string_t f = get_string(filter), t = get_string(topic);
    return mp_obj_new_bool(mqtt_match(f.data, f.len, t.data, t.len));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_match_obj, mod_match);

static const mp_obj_str_t pingreq_obj = { { &mp_type_bytes }, 0, 2, (const byte *)"\xc0\x00" };
static const mp_obj_str_t disconnect_obj = { { &mp_type_bytes }, 0, 2, (const byte *)"\xe0\x00" };

MP_DECLARE_CONST_FUN_OBJ_1(mqttpacket_poke_obj); // mod_poke.c

static const mp_rom_map_elem_t mqttpacket_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_mqttpacket) },
    { MP_ROM_QSTR(MP_QSTR_Decoder), MP_ROM_PTR(&decoder_type) },
    { MP_ROM_QSTR(MP_QSTR_Malformed), MP_ROM_PTR(&mqttpacket_type_Malformed) },
    { MP_ROM_QSTR(MP_QSTR_connect), MP_ROM_PTR(&mod_connect_obj) },
    { MP_ROM_QSTR(MP_QSTR_connack), MP_ROM_PTR(&mod_connack_obj) },
    { MP_ROM_QSTR(MP_QSTR_publish), MP_ROM_PTR(&mod_publish_obj) },
    { MP_ROM_QSTR(MP_QSTR_ack), MP_ROM_PTR(&mod_ack_obj) },
    { MP_ROM_QSTR(MP_QSTR_subscribe), MP_ROM_PTR(&mod_subscribe_obj) },
    { MP_ROM_QSTR(MP_QSTR_suback), MP_ROM_PTR(&mod_suback_obj) },
    { MP_ROM_QSTR(MP_QSTR_unsubscribe), MP_ROM_PTR(&mod_unsubscribe_obj) },
    { MP_ROM_QSTR(MP_QSTR_match), MP_ROM_PTR(&mod_match_obj) },
    { MP_ROM_QSTR(MP_QSTR_poke), MP_ROM_PTR(&mqttpacket_poke_obj) },
    { MP_ROM_QSTR(MP_QSTR_PINGREQ_PACKET), MP_ROM_PTR(&pingreq_obj) },
    { MP_ROM_QSTR(MP_QSTR_DISCONNECT_PACKET), MP_ROM_PTR(&disconnect_obj) },
    { MP_ROM_QSTR(MP_QSTR_CONNECT), MP_ROM_INT(MQTT_CONNECT) },
    { MP_ROM_QSTR(MP_QSTR_CONNACK), MP_ROM_INT(MQTT_CONNACK) },
    { MP_ROM_QSTR(MP_QSTR_PUBLISH), MP_ROM_INT(MQTT_PUBLISH) },
    { MP_ROM_QSTR(MP_QSTR_PUBACK), MP_ROM_INT(MQTT_PUBACK) },
    { MP_ROM_QSTR(MP_QSTR_PUBREC), MP_ROM_INT(MQTT_PUBREC) },
    { MP_ROM_QSTR(MP_QSTR_PUBREL), MP_ROM_INT(MQTT_PUBREL) },
    { MP_ROM_QSTR(MP_QSTR_PUBCOMP), MP_ROM_INT(MQTT_PUBCOMP) },
    { MP_ROM_QSTR(MP_QSTR_SUBSCRIBE), MP_ROM_INT(MQTT_SUBSCRIBE) },
    { MP_ROM_QSTR(MP_QSTR_SUBACK), MP_ROM_INT(MQTT_SUBACK) },
    { MP_ROM_QSTR(MP_QSTR_UNSUBSCRIBE), MP_ROM_INT(MQTT_UNSUBSCRIBE) },
    { MP_ROM_QSTR(MP_QSTR_UNSUBACK), MP_ROM_INT(MQTT_UNSUBACK) },
    { MP_ROM_QSTR(MP_QSTR_PINGREQ), MP_ROM_INT(MQTT_PINGREQ) },
    { MP_ROM_QSTR(MP_QSTR_PINGRESP), MP_ROM_INT(MQTT_PINGRESP) },
    { MP_ROM_QSTR(MP_QSTR_DISCONNECT), MP_ROM_INT(MQTT_DISCONNECT) },
    { MP_ROM_QSTR(MP_QSTR_AUTH), MP_ROM_INT(MQTT_AUTH) },
};
static MP_DEFINE_CONST_DICT(mqttpacket_globals, mqttpacket_globals_table);

const mp_obj_module_t mqttpacket_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mqttpacket_globals,
};
MP_REGISTER_MODULE(MP_QSTR_mqttpacket, mqttpacket_module);
