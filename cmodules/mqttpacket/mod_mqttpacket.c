// SPDX-License-Identifier: MIT
//
// The MicroPython module `mqttpacket`: a thin binding of mqttpacket.h. Here are
// the encoders; the decoder is in mod_decoder.c.

#include <string.h>

#include "py/objexcept.h"
#include "py/objstr.h"
#include "py/runtime.h"

#include "mod_mqttpacket.h"
#include "mod_writer.h"

// class Malformed(ValueError): args are (reason code, text)
MP_DEFINE_CONST_OBJ_TYPE(
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

MP_NORETURN void mqttpacket_raise_malformed(int error) {
    mp_obj_t args[2] = { MP_OBJ_NEW_SMALL_INT(mqtt_error_reason(error)), error_text(error) };
    nlr_raise(mp_obj_new_exception_args(&mqttpacket_type_Malformed, 2, args));
}

// -------------------------------------------------------------- encoders

mqtt_string_t mqttpacket_get_string(mp_obj_t obj) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(obj, &info, MP_BUFFER_READ);
    if (info.len > MQTT_MAX_REMAINING) {
        info.len = MQTT_MAX_REMAINING + 1; // the encoder refuses it; sizes are 32 bits wide there
    }
    return (mqtt_string_t) { .data = info.len ? info.buf : (const uint8_t *)"", .len = info.len };
}

mqtt_string_t mqttpacket_get_string_or_none(mp_obj_t obj) {
    return obj == mp_const_none ? (mqtt_string_t) { NULL, 0 } : mqttpacket_get_string(obj);
}

uint32_t mqttpacket_get_out(mp_obj_t obj, uint8_t **buf) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(obj, &info, MP_BUFFER_WRITE);
    *buf = info.buf;
    return MIN(info.len, MQTT_MAX_REMAINING + 5);
}

uint16_t mqttpacket_get_id(mp_obj_t obj) {
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
mp_obj_t mqttpacket_encoded(int32_t n, uint32_t size) {
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
           ARG_will_topic, ARG_will_payload, ARG_will_qos, ARG_will_retain, ARG_props, ARG_will_props };
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
        { MP_QSTR_props, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_NONE } },
        { MP_QSTR_will_props, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_NONE } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed, args);

    if (args[ARG_keepalive].u_int < 0 || args[ARG_keepalive].u_int > 0xffff) {
        mp_raise_ValueError(MP_ERROR_TEXT("keepalive: expected 0 to 65535 seconds"));
    }
    mqtt_connect_t c = {
        .client_id = mqttpacket_get_string(args[ARG_client_id].u_obj),
        .will_topic = mqttpacket_get_string_or_none(args[ARG_will_topic].u_obj),
        .will_payload = mqttpacket_get_string_or_none(args[ARG_will_payload].u_obj),
        .user = mqttpacket_get_string_or_none(args[ARG_user].u_obj),
        .password = mqttpacket_get_string_or_none(args[ARG_password].u_obj),
        .props = mqttpacket_get_string_or_none(args[ARG_props].u_obj),
        .will_props = mqttpacket_get_string_or_none(args[ARG_will_props].u_obj),
        .keepalive = args[ARG_keepalive].u_int,
        .will_qos = get_qos(args[ARG_will_qos].u_obj),
        .will_retain = args[ARG_will_retain].u_bool,
        .clean = args[ARG_clean].u_bool,
    };
    uint8_t *buf;
    uint32_t size = mqttpacket_get_out(args[ARG_buf].u_obj, &buf);
    return mqttpacket_encoded(mqtt_encode_connect(buf, size, &c), size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_connect_obj, 3, mod_connect);

static mp_obj_t mod_publish(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    enum { ARG_buf, ARG_topic, ARG_payload, ARG_qos, ARG_retain, ARG_dup, ARG_id, ARG_props };
    static const mp_arg_t allowed[] = {
        { MP_QSTR_buf, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_topic, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_payload_len, MP_ARG_REQUIRED | MP_ARG_OBJ, { .u_obj = MP_OBJ_NULL } },
        { MP_QSTR_qos, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_INT(0) } },
        { MP_QSTR_retain, MP_ARG_BOOL, { .u_bool = false } },
        { MP_QSTR_dup, MP_ARG_BOOL, { .u_bool = false } },
        { MP_QSTR_id, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_INT(0) } },
        { MP_QSTR_props, MP_ARG_OBJ, { .u_rom_obj = MP_ROM_NONE } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args, pos_args, kw_args, MP_ARRAY_SIZE(allowed), allowed, args);

    uint8_t *buf;
    uint32_t size = mqttpacket_get_out(args[ARG_buf].u_obj, &buf);
    mqtt_string_t payload = { NULL, 0 };
    if (mp_obj_is_int(args[ARG_payload].u_obj)) {
        mp_int_t len = mp_obj_get_int(args[ARG_payload].u_obj);
        payload.len = len < 0 || (mp_uint_t)len > MQTT_MAX_REMAINING ? MQTT_MAX_REMAINING + 1 : (uint32_t)len;
    } else {
        payload = mqttpacket_get_string(args[ARG_payload].u_obj);
    }
    uint8_t flags = get_qos(args[ARG_qos].u_obj) << 1 | (args[ARG_retain].u_bool ? 1 : 0) |
        (args[ARG_dup].u_bool ? 8 : 0);
    // With a payload to follow the header gets only the room that it leaves.
    uint32_t head_size = payload.data == NULL ? size : payload.len > size ? 0 : size - payload.len;
    int32_t n = mqtt_encode_publish(buf, head_size, mqttpacket_get_string(args[ARG_topic].u_obj), payload.len,
        flags, mqttpacket_get_id(args[ARG_id].u_obj), mqttpacket_get_string_or_none(args[ARG_props].u_obj));
    if (payload.data != NULL && n >= 0) {
        if ((uint32_t)n > head_size) {
            raise_no_room(n + payload.len, size);
        }
        memcpy(buf + n, payload.data, payload.len);
        n += payload.len;
    }
    return mqttpacket_encoded(n, size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_publish_obj, 3, mod_publish);

// A number from 0 to 255, else 255: no packet type, reason code or options byte.
static uint8_t get_byte(mp_obj_t obj) {
    mp_int_t value = mp_obj_get_int(obj);
    return value < 0 || value > 0xff ? 0xff : value;
}

// Arguments of the smaller encoders: so many of them, props (None if not given)
// being the last one. They can be named as in `names`.
static mqtt_string_t parse_args(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args,
    size_t n, size_t required, const uint16_t *names, mp_obj_t *args) {
    if (n_args > n) {
        mp_arg_error_terse_mismatch();
    }
    size_t named = 0;
    for (size_t i = 0; i < n; ++i) {
        mp_map_elem_t *elem = NULL;
        if (kw_args->used > named) {
            elem = mp_map_lookup(kw_args, MP_OBJ_NEW_QSTR(names[i]), MP_MAP_LOOKUP);
        }
        if (elem != NULL && i >= n_args) {
            args[i] = elem->value;
            ++named;
        } else if (i < n_args) {
            args[i] = pos_args[i];
        } else if (i >= required) {
            args[i] = i == n - 1 ? mp_const_none : MP_OBJ_NEW_SMALL_INT(0);
        } else {
            mp_arg_error_terse_mismatch();
        }
    }
    if (named != kw_args->used) {
        mp_arg_error_terse_mismatch();
    }
    return mqttpacket_get_string_or_none(args[n - 1]);
}
#define PARSE_ARGS(required, ...) \
    static const uint16_t names[] = { __VA_ARGS__ }; \
    mp_obj_t args[MP_ARRAY_SIZE(names)]; \
    mqtt_string_t props = parse_args(n_args, pos_args, kw_args, MP_ARRAY_SIZE(names), required, names, args); \
    uint8_t *buf; \
    uint32_t size = mqttpacket_get_out(args[0], &buf)

static mp_obj_t mod_ack(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    PARSE_ARGS(3, MP_QSTR_buf, MP_QSTR_type, MP_QSTR_id, MP_QSTR_code, MP_QSTR_props);
    int32_t n = mqtt_encode_ack(buf, size, get_byte(args[1]), mqttpacket_get_id(args[2]), get_byte(args[3]), props);
    return mqttpacket_encoded(n, size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_ack_obj, 3, mod_ack);

static mp_obj_t mod_subscribe(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    PARSE_ARGS(4, MP_QSTR_buf, MP_QSTR_id, MP_QSTR_topic, MP_QSTR_options, MP_QSTR_props);
    int32_t n = mqtt_encode_subscribe(buf, size, mqttpacket_get_id(args[1]), mqttpacket_get_string(args[2]),
        get_byte(args[3]), props);
    return mqttpacket_encoded(n, size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_subscribe_obj, 4, mod_subscribe);

static mp_obj_t mod_unsubscribe(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    PARSE_ARGS(3, MP_QSTR_buf, MP_QSTR_id, MP_QSTR_topic, MP_QSTR_props);
    int32_t n = mqtt_encode_unsubscribe(buf, size, mqttpacket_get_id(args[1]), mqttpacket_get_string(args[2]), props);
    return mqttpacket_encoded(n, size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_unsubscribe_obj, 3, mod_unsubscribe);

static mp_obj_t mod_connack(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    PARSE_ARGS(3, MP_QSTR_buf, MP_QSTR_session, MP_QSTR_code, MP_QSTR_props);
    return mqttpacket_encoded(mqtt_encode_connack(buf, size, mp_obj_is_true(args[1]), get_byte(args[2]), props), size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_connack_obj, 3, mod_connack);

static mp_obj_t codes(uint8_t type, size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    PARSE_ARGS(3, MP_QSTR_buf, MP_QSTR_id, MP_QSTR_codes, MP_QSTR_props);
    uint16_t id = mqttpacket_get_id(args[1]);
    return mqttpacket_encoded(mqtt_encode_codes(buf, size, type, id, mqttpacket_get_string(args[2]), props), size);
}

static mp_obj_t mod_suback(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    return codes(MQTT_SUBACK, n_args, pos_args, kw_args);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_suback_obj, 3, mod_suback);

static mp_obj_t mod_unsuback(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    return codes(MQTT_UNSUBACK, n_args, pos_args, kw_args);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_unsuback_obj, 3, mod_unsuback);

static mp_obj_t mod_disconnect(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    PARSE_ARGS(1, MP_QSTR_buf, MP_QSTR_code, MP_QSTR_props);
    return mqttpacket_encoded(mqtt_encode_reason(buf, size, MQTT_DISCONNECT, get_byte(args[1]), props), size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_disconnect_obj, 1, mod_disconnect);

static mp_obj_t mod_auth(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    PARSE_ARGS(3, MP_QSTR_buf, MP_QSTR_code, MP_QSTR_props);
    return mqttpacket_encoded(mqtt_encode_reason(buf, size, MQTT_AUTH, get_byte(args[1]), props), size);
}
static MP_DEFINE_CONST_FUN_OBJ_KW(mod_auth_obj, 3, mod_auth);

// put_prop(buf, at, id, value)
static mp_obj_t mod_put_prop(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    uint8_t *buf;
    uint32_t size = mqttpacket_get_out(args[0], &buf);
    mp_int_t at = mp_obj_get_int(args[1]);
    if (at < 0 || (mp_uint_t)at > size) {
        mp_raise_ValueError(MP_ERROR_TEXT("at: expected a position in the buffer"));
    }
    mqtt_prop_t prop = { .id = get_byte(args[2]) };
    mp_obj_t value = args[3];
    switch (mqtt_prop_type(prop.id)) {
        case MQTT_PROP_NONE:
            mp_raise_ValueError(MP_ERROR_TEXT("no property has this identifier"));
        case MQTT_PROP_BINARY:
        case MQTT_PROP_TEXT:
            prop.data = mqttpacket_get_string(value);
            break;
        case MQTT_PROP_PAIR: {
            mp_obj_t *pair;
            mp_obj_get_array_fixed_n(value, 2, &pair);
            prop.key = mqttpacket_get_string(pair[0]);
            prop.data = mqttpacket_get_string(pair[1]);
            break;
        }
        default:
            prop.value = mp_obj_get_int_truncated(value);
            if (mp_binary_op(MP_BINARY_OP_RSHIFT, value, MP_OBJ_NEW_SMALL_INT(32)) != MP_OBJ_NEW_SMALL_INT(0)) {
                mqttpacket_encoded(MQTT_ERR_PROP_VALUE, 0); // negative, or more than 32 bits
            }
            break;
    }
    int32_t n = mqtt_prop_put(buf + at, size - at, &prop);
    return mqttpacket_encoded(n < 0 ? n : n + (int32_t)at, size);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_put_prop_obj, 4, 4, mod_put_prop);

static mp_obj_t mod_match(mp_obj_t filter, mp_obj_t topic) {
    mqtt_string_t f = mqttpacket_get_string(filter), t = mqttpacket_get_string(topic);
    return mp_obj_new_bool(mqtt_match(f.data, f.len, t.data, t.len));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_match_obj, mod_match);

static const mp_obj_str_t pingreq_obj = { { &mp_type_bytes }, 0, 2, (const byte *)"\xc0\x00" };
static const mp_obj_str_t disconnect_obj = { { &mp_type_bytes }, 0, 2, (const byte *)"\xe0\x00" };

MP_DECLARE_CONST_FUN_OBJ_1(mqttpacket_poke_obj); // mod_poke.c

static const mp_rom_map_elem_t mqttpacket_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_mqttpacket) },
    { MP_ROM_QSTR(MP_QSTR_Decoder), MP_ROM_PTR(&mqttpacket_type_Decoder) },
    { MP_ROM_QSTR(MP_QSTR_Writer), MP_ROM_PTR(&mqttpacket_type_Writer) },
    { MP_ROM_QSTR(MP_QSTR_Malformed), MP_ROM_PTR(&mqttpacket_type_Malformed) },
    { MP_ROM_QSTR(MP_QSTR_connect), MP_ROM_PTR(&mod_connect_obj) },
    { MP_ROM_QSTR(MP_QSTR_connack), MP_ROM_PTR(&mod_connack_obj) },
    { MP_ROM_QSTR(MP_QSTR_publish), MP_ROM_PTR(&mod_publish_obj) },
    { MP_ROM_QSTR(MP_QSTR_ack), MP_ROM_PTR(&mod_ack_obj) },
    { MP_ROM_QSTR(MP_QSTR_subscribe), MP_ROM_PTR(&mod_subscribe_obj) },
    { MP_ROM_QSTR(MP_QSTR_suback), MP_ROM_PTR(&mod_suback_obj) },
    { MP_ROM_QSTR(MP_QSTR_unsubscribe), MP_ROM_PTR(&mod_unsubscribe_obj) },
    { MP_ROM_QSTR(MP_QSTR_unsuback), MP_ROM_PTR(&mod_unsuback_obj) },
    { MP_ROM_QSTR(MP_QSTR_disconnect), MP_ROM_PTR(&mod_disconnect_obj) },
    { MP_ROM_QSTR(MP_QSTR_auth), MP_ROM_PTR(&mod_auth_obj) },
    { MP_ROM_QSTR(MP_QSTR_put_prop), MP_ROM_PTR(&mod_put_prop_obj) },
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
