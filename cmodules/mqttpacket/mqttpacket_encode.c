// SPDX-License-Identifier: MIT
//
// The encoders. Each first works out the whole length, then writes only if it fits.

#include <string.h>

#include "mqttpacket_private.h"

static uint8_t *put16(uint8_t *p, uint32_t value) {
    p[0] = value >> 8;
    p[1] = value;
    return p + 2;
}

static uint8_t *put_bytes(uint8_t *p, mqtt_string_t s) {
    if (s.len > 0) {
        memcpy(p, s.data, s.len);
    }
    return p + s.len;
}

uint8_t *mqtt_put_string(uint8_t *p, mqtt_string_t s) {
    return put_bytes(put16(p, s.len), s);
}

// Properties with their length; nothing for MQTT 3.1.1.
static uint8_t *put_props(uint8_t *p, mqtt_string_t props) {
    return props.data == NULL ? p : put_bytes(mqtt_put_varint(p, props.len), props);
}

// How many bytes that is, or an error: they are checked. With less than 2^29
// each, lengths can be added up in 32 bits.
static int32_t props_size(mqtt_string_t props, uint8_t type) {
    if (props.data == NULL) {
        return 0;
    }
    if (props.len > MQTT_MAX_REMAINING) {
        return MQTT_ERR_TOO_BIG;
    }
    int error = mqtt_check_props(props.data, props.len, type);
    return error < 0 ? error : (int32_t)(mqtt_varint_size(props.len) + props.len);
}

// The length of the whole packet, from what follows the fixed header; or an error.
static int32_t packet_size(uint32_t len) {
    return len > MQTT_MAX_REMAINING ? MQTT_ERR_TOO_BIG : (int32_t)(1 + mqtt_varint_size(len) + len);
}

static uint8_t *put_header(uint8_t *p, uint8_t first, uint32_t len) {
    *p = first;
    return mqtt_put_varint(p + 1, len);
}

static uint8_t version_of(mqtt_string_t props) {
    return props.data == NULL ? MQTT_V311 : MQTT_V5;
}

int32_t mqtt_encode_publish(uint8_t *buf, uint32_t size, mqtt_string_t topic,
    uint32_t payload_len, uint8_t flags, uint16_t id, mqtt_string_t props) {
    uint8_t first = MQTT_PUBLISH << 4 | (flags & 15);
    int error = mqtt_check_first_byte(first, MQTT_V311);
    if (error < 0) {
        return error;
    }
    // Only a topic alias can stand for the topic.
    bool aliased = topic.len == 0 && props.data != NULL;
    error = aliased ? 0 : mqtt_check_topic(topic.data, topic.len);
    if (error < 0) {
        return error;
    }
    bool has_id = flags & 6;
    if (has_id != (id != 0)) {
        return MQTT_ERR_ID;
    }
    int32_t extra = props_size(props, MQTT_PUBLISH);
    if (extra < 0) {
        return extra;
    }
    mqtt_prop_t alias;
    if (aliased && !mqtt_prop_find(props.data, props.len, MQTT_PROP_ALIAS, &alias)) {
        return MQTT_ERR_NO_TOPIC;
    }
    uint32_t head = 2 + topic.len + (has_id ? 2 : 0) + extra;
    if (payload_len > MQTT_MAX_REMAINING || head + payload_len > MQTT_MAX_REMAINING) {
        return MQTT_ERR_TOO_BIG;
    }
    uint32_t need = 1 + mqtt_varint_size(head + payload_len) + head;
    if (BOUND(13, need > size)) {
        return need;
    }
    uint8_t *p = mqtt_put_string(put_header(buf, first, head + payload_len), topic);
    if (has_id) {
        p = put16(p, id);
    }
    put_props(p, props);
    return need;
}

// A packet that ends in a reason code and properties, which may be left out where
// they say nothing. id: 0 for a packet without one.
static int32_t encode_reason(uint8_t *buf, uint32_t size, uint8_t first, uint16_t id, uint8_t code,
    mqtt_string_t props) {
    uint8_t type = first >> 4;
    if (!mqtt_code_valid(version_of(props), type, code)) {
        return MQTT_ERR_CODE;
    }
    uint32_t len = id ? 2 : 0;
    bool bare = props.len == 0 && type != MQTT_AUTH;
    if (!bare || code != 0) {
        int32_t extra = bare ? 0 : props_size(props, type);
        if (extra < 0) {
            return extra;
        }
        len += 1 + extra;
    }
    int32_t need = packet_size(len);
    if (need < 0 || BOUND(14, (uint32_t)need > size)) {
        return need;
    }
    uint8_t *p = put_header(buf, first, len);
    if (id) {
        p = put16(p, id);
    }
    if (!bare || code != 0) {
        *p++ = code;
    }
    if (!bare) {
        put_props(p, props);
    }
    return need;
}

int32_t mqtt_encode_ack(uint8_t *buf, uint32_t size, uint8_t type, uint16_t id, uint8_t code, mqtt_string_t props) {
    if (!(type >= MQTT_PUBACK && type <= MQTT_PUBCOMP) && !(type == MQTT_UNSUBACK && props.data == NULL)) {
        return MQTT_ERR_TYPE;
    }
    if (id == 0) {
        return MQTT_ERR_ID;
    }
    return encode_reason(buf, size, type << 4 | (type == MQTT_PUBREL ? 2 : 0), id, code, props);
}

int32_t mqtt_encode_reason(uint8_t *buf, uint32_t size, uint8_t type, uint8_t code, mqtt_string_t props) {
    if (type != MQTT_DISCONNECT && !(type == MQTT_AUTH && props.data != NULL)) {
        return MQTT_ERR_TYPE;
    }
    return encode_reason(buf, size, type << 4, 0, code, props);
}

// SUBSCRIBE (options 0 or more) or UNSUBSCRIBE (options -1) with one filter.
static int32_t encode_filter(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter, int options,
    mqtt_string_t props) {
    int error = mqtt_check_filter(filter.data, filter.len);
    if (error == 0 && options >= 0) {
        error = mqtt_check_options(version_of(props), options, filter.data, filter.len);
    }
    if (error < 0) {
        return error;
    }
    if (id == 0) {
        return MQTT_ERR_ID;
    }
    uint8_t type = options >= 0 ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE;
    int32_t extra = props_size(props, type);
    if (extra < 0) {
        return extra;
    }
    uint32_t len = 4 + extra + filter.len + (options >= 0 ? 1 : 0);
    int32_t need = packet_size(len);
    if (need < 0 || BOUND(15, (uint32_t)need > size)) {
        return need;
    }
    uint8_t *p = put_props(put16(put_header(buf, type << 4 | 2, len), id), props);
    p = mqtt_put_string(p, filter);
    if (options >= 0) {
        *p = options;
    }
    return need;
}

int32_t mqtt_encode_subscribe(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter,
    uint8_t options, mqtt_string_t props) {
    return encode_filter(buf, size, id, filter, options, props);
}

int32_t mqtt_encode_unsubscribe(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter, mqtt_string_t props) {
    return encode_filter(buf, size, id, filter, -1, props);
}

int32_t mqtt_encode_codes(uint8_t *buf, uint32_t size, uint8_t type, uint16_t id, mqtt_string_t codes,
    mqtt_string_t props) {
    if (type != MQTT_SUBACK && !(type == MQTT_UNSUBACK && props.data != NULL)) {
        return MQTT_ERR_TYPE;
    }
    if (id == 0) {
        return MQTT_ERR_ID;
    }
    if (codes.len == 0) {
        return MQTT_ERR_NO_ENTRY;
    }
    if (codes.len > MQTT_MAX_REMAINING) {
        return MQTT_ERR_TOO_BIG;
    }
    for (uint32_t i = 0; i < codes.len; ++i) {
        if (!mqtt_code_valid(version_of(props), type, codes.data[i])) {
            return MQTT_ERR_CODE;
        }
    }
    int32_t extra = props_size(props, type);
    if (extra < 0) {
        return extra;
    }
    int32_t need = packet_size(2 + extra + codes.len);
    if (need < 0 || BOUND(16, (uint32_t)need > size)) {
        return need;
    }
    uint8_t *p = put16(put_header(buf, type << 4, 2 + extra + codes.len), id);
    put_bytes(put_props(p, props), codes);
    return need;
}

int32_t mqtt_encode_connack(uint8_t *buf, uint32_t size, bool session, uint8_t code, mqtt_string_t props) {
    if (!mqtt_code_valid(version_of(props), MQTT_CONNACK, code)) {
        return MQTT_ERR_CODE;
    }
    if (session && code) {
        return MQTT_ERR_SESSION;
    }
    int32_t extra = props_size(props, MQTT_CONNACK);
    if (extra < 0) {
        return extra;
    }
    int32_t need = packet_size(2 + extra);
    if (need < 0 || BOUND(17, (uint32_t)need > size)) {
        return need;
    }
    uint8_t *p = put_header(buf, MQTT_CONNACK << 4, 2 + extra);
    put_props(put16(p, (session ? 0x100 : 0) | code), props);
    return need;
}

int32_t mqtt_encode_connect(uint8_t *buf, uint32_t size, const mqtt_connect_t *c) {
    const mqtt_string_t *all[] = { &c->client_id, &c->will_topic, &c->will_payload, &c->user, &c->password };
    bool v5 = c->props.data != NULL;
    bool will = c->will_topic.data != NULL;
    uint32_t len = 10;
    for (uint32_t i = 0; i < 5; ++i) {
        if (all[i]->len > 0xffff) {
            return MQTT_ERR_STRING;
        }
        // The client identifier is always there; a will payload only with a will.
        if (i == 0 || (i == 2 ? will : all[i]->data != NULL)) {
            len += 2 + all[i]->len;
        }
    }
    int error = mqtt_check_string(c->client_id.data, c->client_id.len, false);
    if (error == 0 && will) {
        error = mqtt_check_topic(c->will_topic.data, c->will_topic.len);
    }
    if (error == 0) {
        error = mqtt_check_string(c->user.data, c->user.len, false);
    }
    if (error < 0) {
        return error;
    }
    if (c->will_qos > 2) {
        return MQTT_ERR_QOS;
    }
    // Will options want a will; and in MQTT 3.1.1 an empty client identifier a clean
    // session (MQTT-3.1.3-7), and a password a user name (MQTT-3.1.2-22).
    if ((!will && (c->will_qos || c->will_retain || c->will_payload.len || c->will_props.len)) ||
        (!v5 && ((c->client_id.len == 0 && !c->clean) || (c->password.data != NULL && c->user.data == NULL) ||
            c->will_props.len))) {
        return MQTT_ERR_CONNECT_FLAGS;
    }
    mqtt_string_t will_props = c->will_props;
    if (will_props.data == NULL) {
        will_props.data = c->props.data; // none of them, and they are there in MQTT 5 only
    }
    int32_t extra = props_size(c->props, MQTT_CONNECT);
    if (extra < 0) {
        return extra;
    }
    len += extra;
    if (will && v5) {
        extra = props_size(will_props, MQTT_WILL);
        if (extra < 0) {
            return extra;
        }
        len += extra;
    }
    int32_t need = packet_size(len);
    if (need < 0 || BOUND(18, (uint32_t)need > size)) {
        return need;
    }
    uint8_t *p = put_header(buf, MQTT_CONNECT << 4, len);
    memcpy(p, "\0\4MQTT", 6);
    p[6] = version_of(c->props);
    p[7] = (c->user.data ? 0x80 : 0) | (c->password.data ? 0x40 : 0) | (c->clean ? 0x02 : 0) |
        (will ? 0x04 | c->will_qos << 3 | (c->will_retain ? 0x20 : 0) : 0);
    p = mqtt_put_string(put_props(put16(p + 8, c->keepalive), c->props), c->client_id);
    if (will) {
        if (v5) {
            p = put_props(p, will_props);
        }
        p = mqtt_put_string(mqtt_put_string(p, c->will_topic), c->will_payload);
    }
    if (c->user.data != NULL) {
        p = mqtt_put_string(p, c->user);
    }
    if (c->password.data != NULL) {
        mqtt_put_string(p, c->password);
    }
    return need;
}
