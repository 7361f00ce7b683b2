// SPDX-License-Identifier: MIT
//
// The properties of MQTT 5 (section 2.2.2): one table, reading, checking, writing.

#include <string.h>

#include "mqttpacket_private.h"

// What the value must be besides, in the high bits of kind.
enum {
    NOT_ZERO = 0x10,
    IS_TOPIC = 0x20, // a topic name
    MANY = 0x40, // may be there more than once
    TYPE = 0x0f, // the low bits: MQTT_PROP_BYTE ...
};

#define IN(packet) (1u << MQTT_##packet)
// All that acknowledge something, or end a connection.
#define IN_ANSWERS (IN(CONNACK) | IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | \
    IN(SUBACK) | IN(UNSUBACK) | IN(DISCONNECT) | IN(AUTH))
#define IN_ALL (IN_ANSWERS | IN(CONNECT) | IN(WILL) | IN(PUBLISH) | IN(SUBSCRIBE) | IN(UNSUBSCRIBE))

typedef struct _prop_info_t {
    uint8_t kind;
    uint16_t where; // bit n: in packets of type n; bit 0: of the will
} prop_info_t;

#define LAST_PROP (0x2a)
static const prop_info_t table[LAST_PROP + 1] = {
    [0x01] = { MQTT_PROP_BYTE, IN(PUBLISH) | IN(WILL) }, // payload format indicator
    [0x02] = { MQTT_PROP_LONG, IN(PUBLISH) | IN(WILL) }, // message expiry interval
    [0x03] = { MQTT_PROP_TEXT, IN(PUBLISH) | IN(WILL) }, // content type
    [0x08] = { MQTT_PROP_TEXT | IS_TOPIC, IN(PUBLISH) | IN(WILL) }, // response topic
    [0x09] = { MQTT_PROP_BINARY, IN(PUBLISH) | IN(WILL) }, // correlation data
    [0x0b] = { MQTT_PROP_VARINT | NOT_ZERO, IN(PUBLISH) | IN(SUBSCRIBE) }, // subscription identifier
    [0x11] = { MQTT_PROP_LONG, IN(CONNECT) | IN(CONNACK) | IN(DISCONNECT) }, // session expiry interval
    [0x12] = { MQTT_PROP_TEXT, IN(CONNACK) }, // assigned client identifier
    [0x13] = { MQTT_PROP_WORD, IN(CONNACK) }, // server keep alive
    [0x15] = { MQTT_PROP_TEXT, IN(CONNECT) | IN(CONNACK) | IN(AUTH) }, // authentication method
    [0x16] = { MQTT_PROP_BINARY, IN(CONNECT) | IN(CONNACK) | IN(AUTH) }, // authentication data
    [0x17] = { MQTT_PROP_BYTE, IN(CONNECT) }, // request problem information
    [0x18] = { MQTT_PROP_LONG, IN(WILL) }, // will delay interval
    [0x19] = { MQTT_PROP_BYTE, IN(CONNECT) }, // request response information
    [0x1a] = { MQTT_PROP_TEXT, IN(CONNACK) }, // response information
    [0x1c] = { MQTT_PROP_TEXT, IN(CONNACK) | IN(DISCONNECT) }, // server reference
    [0x1f] = { MQTT_PROP_TEXT, IN_ANSWERS }, // reason string
    [0x21] = { MQTT_PROP_WORD | NOT_ZERO, IN(CONNECT) | IN(CONNACK) }, // receive maximum
    [0x22] = { MQTT_PROP_WORD, IN(CONNECT) | IN(CONNACK) }, // topic alias maximum
    [0x23] = { MQTT_PROP_WORD | NOT_ZERO, IN(PUBLISH) }, // topic alias
    [0x24] = { MQTT_PROP_BYTE, IN(CONNACK) }, // maximum QoS
    [0x25] = { MQTT_PROP_BYTE, IN(CONNACK) }, // retain available
    [0x26] = { MQTT_PROP_PAIR | MANY, IN_ALL }, // user property
    [0x27] = { MQTT_PROP_LONG | NOT_ZERO, IN(CONNECT) | IN(CONNACK) }, // maximum packet size
    [0x28] = { MQTT_PROP_BYTE, IN(CONNACK) }, // wildcard subscription available
    [0x29] = { MQTT_PROP_BYTE, IN(CONNACK) }, // subscription identifier available
    [0x2a] = { MQTT_PROP_BYTE, IN(CONNACK) }, // shared subscription available
};

#define AUTH_METHOD (0x15)
#define AUTH_DATA (0x16)
#define SUBSCRIPTION_ID (0x0b)

static uint32_t get_kind(uint32_t id) {
    return BOUND(19, id > LAST_PROP) ? MQTT_PROP_NONE : table[id].kind;
}

uint8_t mqtt_prop_type(uint32_t id) {
    return get_kind(id) & TYPE;
}

int mqtt_get_varint(const uint8_t *p, const uint8_t *end, uint32_t *value) {
    uint32_t n = 0;
    for (int i = 0; i < 4; ++i) {
        if (BOUND(20, p + i == end)) {
            return 0;
        }
        n |= (uint32_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] < 0x80) {
            *value = n;
            return i > 0 && p[i] == 0 ? MQTT_ERR_VARINT : i + 1; // MQTT-1.5.5-1
        }
    }
    return MQTT_ERR_VARINT;
}

uint8_t *mqtt_put_varint(uint8_t *p, uint32_t value) {
    while (value >= 0x80) {
        *p++ = value | 0x80;
        value >>= 7;
    }
    *p++ = value;
    return p;
}

// 0 if the value is one that the property may have, else an error.
static int check_value(uint32_t kind, const mqtt_prop_t *prop) {
    switch (kind & TYPE) {
        case MQTT_PROP_BYTE:
            return prop->value <= 1 ? 0 : MQTT_ERR_PROP_VALUE;
        case MQTT_PROP_WORD:
            if (prop->value > 0xffff) {
                return MQTT_ERR_PROP_VALUE;
            }
            break;
        case MQTT_PROP_VARINT:
            if (prop->value > MQTT_MAX_REMAINING) {
                return MQTT_ERR_PROP_VALUE;
            }
            break;
        case MQTT_PROP_LONG:
            break;
        default:
            if (prop->data.len > 0xffff || prop->key.len > 0xffff) {
                return MQTT_ERR_STRING;
            }
            if (kind & IS_TOPIC) {
                return mqtt_check_topic(prop->data.data, prop->data.len);
            }
            if ((kind & TYPE) != MQTT_PROP_BINARY) {
                int error = mqtt_check_string(prop->key.data, prop->key.len, false);
                return error < 0 ? error : mqtt_check_string(prop->data.data, prop->data.len, false);
            }
            return 0;
    }
    if ((kind & NOT_ZERO) && prop->value == 0) {
        return prop->id == MQTT_PROP_ALIAS ? MQTT_ERR_ALIAS : MQTT_ERR_PROP_VALUE;
    }
    return 0;
}

int32_t mqtt_prop_read(const uint8_t *props, uint32_t len, uint32_t at, mqtt_prop_t *prop) {
    const uint8_t *p = props + at, *end = props + len;
    if (BOUND(21, at >= len)) {
        return MQTT_ERR_SHORT;
    }
    // The identifier is a variable byte integer, but none of them needs two bytes.
    uint32_t kind = get_kind(*p);
    prop->id = *p++;
    prop->key = prop->data = (mqtt_string_t) { NULL, 0 };
    uint32_t size = 2, value = 0;
    switch (kind & TYPE) {
        case MQTT_PROP_NONE:
            return MQTT_ERR_PROP_ID;
        case MQTT_PROP_VARINT: {
            int n = mqtt_get_varint(p, end, &value);
            if (n <= 0) {
                return n < 0 ? n : MQTT_ERR_SHORT;
            }
            p += n;
            size = 0;
            break;
        }
        case MQTT_PROP_BYTE:
            size = 1;
            break;
        case MQTT_PROP_LONG:
            size = 4;
            break;
        case MQTT_PROP_PAIR:
            if (BOUND(22, end - p < 2)) {
                return MQTT_ERR_SHORT;
            }
            prop->key.len = mqtt_get16(p);
            p += 2;
            if (BOUND(23, prop->key.len > (uint32_t)(end - p))) {
                return MQTT_ERR_SHORT;
            }
            prop->key.data = p;
            p += prop->key.len;
            break;
        default:
            break;
    }
    // Now a number of so many bytes, or the length of a string.
    if (BOUND(24, (uint32_t)(end - p) < size)) {
        return MQTT_ERR_SHORT;
    }
    for (; size > 0; --size) {
        value = value << 8 | *p++;
    }
    if ((kind & TYPE) >= MQTT_PROP_BINARY) {
        if (BOUND(25, value > (uint32_t)(end - p))) {
            return MQTT_ERR_SHORT;
        }
        prop->data.data = p;
        prop->data.len = value;
        p += value;
        value = 0;
    }
    prop->value = value;
    int error = check_value(kind, prop);
    return error < 0 ? error : p - props;
}

bool mqtt_prop_find(const uint8_t *props, uint32_t len, uint8_t id, mqtt_prop_t *prop) {
    uint32_t at = 0;
    while (at < len) {
        int32_t next = mqtt_prop_read(props, len, at, prop);
        if (next < 0) {
            return false;
        }
        if (prop->id == id) {
            return true;
        }
        at = next;
    }
    return false;
}

int mqtt_check_props(const uint8_t *props, uint32_t len, uint8_t type) {
    uint32_t seen[2] = { 0, 0 }; // a bit for each identifier
    uint32_t at = 0;
    while (at < len) {
        mqtt_prop_t prop;
        int32_t next = mqtt_prop_read(props, len, at, &prop);
        if (next < 0) {
            return next;
        }
        at = next;
        const prop_info_t *info = &table[prop.id];
        if (!(info->where >> type & 1)) {
            return MQTT_ERR_PROP_ID;
        }
        uint32_t bit = 1u << (prop.id & 31);
        // A PUBLISH has the identifiers of all subscriptions that it is sent for.
        bool many = (info->kind & MANY) || (prop.id == SUBSCRIPTION_ID && type == MQTT_PUBLISH);
        if ((seen[prop.id >> 5] & bit) && !many) {
            return MQTT_ERR_PROP_TWICE;
        }
        seen[prop.id >> 5] |= bit;
    }
    // Sections 3.1.2.11.10 and 3.15.2.2.2
    bool wants_method = (seen[0] >> AUTH_DATA & 1) || type == MQTT_AUTH;
    return wants_method && !(seen[0] >> AUTH_METHOD & 1) ? MQTT_ERR_AUTH : 0;
}

int32_t mqtt_prop_put(uint8_t *buf, uint32_t size, const mqtt_prop_t *prop) {
    uint32_t kind = get_kind(prop->id);
    int error = kind == MQTT_PROP_NONE ? MQTT_ERR_PROP_ID : check_value(kind, prop);
    if (error < 0) {
        return error;
    }
    uint32_t need, bytes = 0;
    switch (kind & TYPE) {
        case MQTT_PROP_BYTE:
            bytes = 1;
            break;
        case MQTT_PROP_WORD:
            bytes = 2;
            break;
        case MQTT_PROP_LONG:
            bytes = 4;
            break;
        default:
            break;
    }
    if ((kind & TYPE) == MQTT_PROP_VARINT) {
        need = 1 + mqtt_varint_size(prop->value);
    } else if (bytes > 0) {
        need = 1 + bytes;
    } else {
        need = 3 + prop->data.len + ((kind & TYPE) == MQTT_PROP_PAIR ? 2 + prop->key.len : 0);
    }
    if (BOUND(26, need > size)) {
        return need;
    }
    uint8_t *p = buf;
    *p++ = prop->id;
    if ((kind & TYPE) == MQTT_PROP_VARINT) {
        mqtt_put_varint(p, prop->value);
        return need;
    }
    if (bytes > 0) {
        for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
            *p++ = prop->value >> shift;
        }
        return need;
    }
    if ((kind & TYPE) == MQTT_PROP_PAIR) {
        p = mqtt_put_string(p, prop->key);
    }
    mqtt_put_string(p, prop->data);
    return need;
}
