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

static uint8_t *put_string(uint8_t *p, mqtt_string_t s) {
    p = put16(p, s.len);
    if (s.len > 0) {
        memcpy(p, s.data, s.len);
    }
    return p + s.len;
}

// How many bytes the fixed header has in front of `len` more.
static uint32_t header_size(uint32_t len) {
    return len < 0x80 ? 2 : len < 0x4000 ? 3 : len < 0x200000 ? 4 : 5;
}

static uint8_t *put_header(uint8_t *p, uint8_t first, uint32_t len) {
    *p++ = first;
    while (len >= 0x80) {
        *p++ = len | 0x80;
        len >>= 7;
    }
    *p++ = len;
    return p;
}

int32_t mqtt_encode_publish(uint8_t *buf, uint32_t size, mqtt_string_t topic,
    uint32_t payload_len, uint8_t flags, uint16_t id) {
    int error = mqtt_check_first_byte(MQTT_PUBLISH << 4 | (flags & 15));
    if (error == 0) {
        error = mqtt_check_topic(topic.data, topic.len);
    }
    if (error < 0) {
        return error;
    }
    bool has_id = flags & 6;
    if (has_id != (id != 0)) {
        return MQTT_ERR_ID;
    }
    uint32_t head = 2 + topic.len + (has_id ? 2 : 0);
    if (payload_len > MQTT_MAX_REMAINING - head) {
        return MQTT_ERR_TOO_BIG;
    }
    uint32_t need = header_size(head + payload_len) + head;
    if (BOUND(13, need > size)) {
        return need;
    }
    uint8_t *p = put_header(buf, MQTT_PUBLISH << 4 | (flags & 15), head + payload_len);
    p = put_string(p, topic);
    if (has_id) {
        put16(p, id);
    }
    return need;
}

int32_t mqtt_encode_ack(uint8_t *buf, uint32_t size, uint8_t type, uint16_t id) {
    if (!((type >= MQTT_PUBACK && type <= MQTT_PUBCOMP) || type == MQTT_UNSUBACK)) {
        return MQTT_ERR_TYPE;
    }
    if (id == 0) {
        return MQTT_ERR_ID;
    }
    if (BOUND(14, size < 4)) {
        return 4;
    }
    put16(put_header(buf, type << 4 | (type == MQTT_PUBREL ? 2 : 0), 2), id);
    return 4;
}

// SUBSCRIBE (qos 0 to 2) or UNSUBSCRIBE (qos -1) with one filter.
static int32_t encode_filter(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter, int qos) {
    int error = mqtt_check_filter(filter.data, filter.len);
    if (error < 0) {
        return error;
    }
    if (qos > 2) {
        return MQTT_ERR_QOS;
    }
    if (id == 0) {
        return MQTT_ERR_ID;
    }
    uint32_t len = 4 + filter.len + (qos >= 0 ? 1 : 0);
    uint32_t need = header_size(len) + len;
    if (BOUND(15, need > size)) {
        return need;
    }
    uint8_t type = qos >= 0 ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE;
    uint8_t *p = put_string(put16(put_header(buf, type << 4 | 2, len), id), filter);
    if (qos >= 0) {
        *p = qos;
    }
    return need;
}

int32_t mqtt_encode_subscribe(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter, uint8_t qos) {
    return encode_filter(buf, size, id, filter, qos);
}

int32_t mqtt_encode_unsubscribe(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter) {
    return encode_filter(buf, size, id, filter, -1);
}

int32_t mqtt_encode_suback(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t codes) {
    if (id == 0) {
        return MQTT_ERR_ID;
    }
    if (codes.len == 0) {
        return MQTT_ERR_NO_ENTRY;
    }
    for (uint32_t i = 0; i < codes.len; ++i) {
        if (codes.data[i] > 2 && codes.data[i] != 0x80) {
            return MQTT_ERR_CODE;
        }
    }
    if (codes.len > MQTT_MAX_REMAINING - 2) {
        return MQTT_ERR_TOO_BIG;
    }
    uint32_t need = header_size(2 + codes.len) + 2 + codes.len;
    if (BOUND(16, need > size)) {
        return need;
    }
    memcpy(put16(put_header(buf, MQTT_SUBACK << 4, 2 + codes.len), id), codes.data, codes.len);
    return need;
}

int32_t mqtt_encode_connack(uint8_t *buf, uint32_t size, bool session, uint8_t code) {
    if (code > 5) {
        return MQTT_ERR_CODE;
    }
    if (session && code) {
        return MQTT_ERR_SESSION;
    }
    if (BOUND(17, size < 4)) {
        return 4;
    }
    put16(put_header(buf, MQTT_CONNACK << 4, 2), (session ? 0x100 : 0) | code);
    return 4;
}

int32_t mqtt_encode_connect(uint8_t *buf, uint32_t size, const mqtt_connect_t *c) {
    const mqtt_string_t *all[] = { &c->client_id, &c->will_topic, &c->will_payload, &c->user, &c->password };
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
    // An empty client identifier wants a clean session (MQTT-3.1.3-7), a
    // password a user name (MQTT-3.1.2-22), and will options a will.
    if ((c->client_id.len == 0 && !c->clean) || (c->password.data != NULL && c->user.data == NULL) ||
        (!will && (c->will_qos || c->will_retain || c->will_payload.len))) {
        return MQTT_ERR_CONNECT_FLAGS;
    }
    uint32_t need = header_size(len) + len;
    if (BOUND(18, need > size)) {
        return need;
    }
    uint8_t *p = put_header(buf, MQTT_CONNECT << 4, len);
    memcpy(p, "\0\4MQTT\4", 7);
    p[7] = (c->user.data ? 0x80 : 0) | (c->password.data ? 0x40 : 0) | (c->clean ? 0x02 : 0) |
        (will ? 0x04 | c->will_qos << 3 | (c->will_retain ? 0x20 : 0) : 0);
    p = put_string(put16(p + 8, c->keepalive), c->client_id);
    if (will) {
        p = put_string(put_string(p, c->will_topic), c->will_payload);
    }
    if (c->user.data != NULL) {
        p = put_string(p, c->user);
    }
    if (c->password.data != NULL) {
        put_string(p, c->password);
    }
    return need;
}
