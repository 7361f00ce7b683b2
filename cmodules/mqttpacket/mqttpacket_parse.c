// SPDX-License-Identifier: MIT
//
// The decoder's other half: every packet but PUBLISH. They are whole when they
// come here. Lengths that came from the wire are compared with the bytes that
// are left (never added to a position first), so nothing can wrap.

#include <string.h>

#include "mqttpacket_private.h"

// Takes a length and as many bytes from *p. Returns the length, or an error.
static int32_t take_binary(const uint8_t **p, const uint8_t *end) {
    if (BOUND(5, end - *p < 2)) {
        return MQTT_ERR_SHORT;
    }
    uint32_t n = mqtt_get16(*p);
    if (BOUND(6, n > (uint32_t)(end - *p - 2))) {
        return MQTT_ERR_SHORT;
    }
    *p += 2 + n;
    return n;
}

// The same for a string, which is checked.
static int32_t take_string(const uint8_t **p, const uint8_t *end, bool is_topic) {
    int32_t n = take_binary(p, end);
    if (n < 0) {
        return n;
    }
    if (is_topic && n == 0) {
        return MQTT_ERR_TOPIC_EMPTY;
    }
    int error = mqtt_check_string(*p - n, n, is_topic);
    return error < 0 ? error : n;
}

int mqtt_take_props(mqtt_decoder_t *d, const uint8_t **p, const uint8_t *end, uint8_t type) {
    uint32_t n = 0;
    int size = mqtt_get_varint(*p, end, &n);
    if (size <= 0) {
        return size < 0 ? size : MQTT_ERR_SHORT;
    }
    *p += size;
    if (BOUND(30, n > (uint32_t)(end - *p))) {
        return MQTT_ERR_SHORT;
    }
    int error = mqtt_check_props(*p, n, type);
    if (error == 0) {
        d->props = *p - d->buf;
        d->props_len = n;
        *p += n;
    }
    return error;
}

static int parse_connect(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    if (BOUND(7, end - p < 10)) {
        return MQTT_ERR_SHORT;
    }
    if (memcmp(p, "\0\4MQTT", 6) != 0 || p[6] != d->version) {
        return MQTT_ERR_PROTOCOL;
    }
    bool v5 = d->version >= MQTT_V5;
    uint8_t flags = p[7];
    bool will = flags & 0x04;
    if ((flags & 0x01) || (!will && (flags & 0x38)) || (flags & 0x18) == 0x18 || (!v5 && (flags & 0xc0) == 0x40)) {
        return MQTT_ERR_CONNECT_FLAGS;
    }
    d->code = flags;
    d->session = flags & 0x02;
    d->keepalive = mqtt_get16(p + 8);
    p += 10;
    if (v5) {
        int error = mqtt_take_props(d, &p, end, MQTT_CONNECT);
        if (error < 0) {
            return error;
        }
    }
    int32_t n = take_string(&p, end, false);
    if (n < 0) {
        return n;
    }
    d->topic = p - n - d->buf;
    d->topic_len = n;
    d->payload = p - d->buf;
    d->payload_len = end - p;
    if (will) {
        if (v5) { // checked, but the packet's own are those that d keeps
            uint32_t props = d->props, props_len = d->props_len;
            int error = mqtt_take_props(d, &p, end, MQTT_WILL);
            if (error < 0) {
                return error;
            }
            d->props = props;
            d->props_len = props_len;
        }
        n = take_string(&p, end, true);
        if (n < 0) {
            return n;
        }
        n = take_binary(&p, end);
        if (n < 0) {
            return n;
        }
    }
    if (flags & 0x80) {
        n = take_string(&p, end, false);
        if (n < 0) {
            return n;
        }
    }
    if (flags & 0x40) {
        n = take_binary(&p, end);
        if (n < 0) {
            return n;
        }
    }
    return p == end ? 0 : MQTT_ERR_TRAILING;
}

static int parse_connack(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    if (BOUND(9, end - p < 2)) {
        return MQTT_ERR_SHORT;
    }
    if (p[0] > 1) {
        return MQTT_ERR_FLAGS;
    }
    d->session = p[0];
    d->code = p[1];
    p += 2;
    if (d->version >= MQTT_V5) {
        if (p == end && d->code == 1 && !d->session) {
            // A broker that knows MQTT 3.1.1 only refuses the version like that.
            d->code = 0x84;
            return 0;
        }
        int error = mqtt_take_props(d, &p, end, MQTT_CONNACK);
        if (error < 0) {
            return error;
        }
    }
    if (p != end) {
        return MQTT_ERR_TRAILING;
    }
    if (!mqtt_code_valid(d->version, MQTT_CONNACK, d->code)) {
        return MQTT_ERR_CODE;
    }
    return d->session && d->code ? MQTT_ERR_SESSION : 0;
}

// SUBSCRIBE and UNSUBSCRIBE, from their entries on.
static int parse_filters(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    d->payload = p - d->buf;
    d->payload_len = end - p;
    bool first = true;
    while (p < end) {
        int32_t n = take_binary(&p, end);
        if (n < 0) {
            return n;
        }
        const uint8_t *filter = p - n;
        int error = mqtt_check_filter(filter, n);
        if (error < 0) {
            return error;
        }
        uint8_t options = 0;
        if (d->type == MQTT_SUBSCRIBE) {
            if (BOUND(8, p == end)) {
                return MQTT_ERR_SHORT;
            }
            options = *p++;
            error = mqtt_check_options(d->version, options, filter, n);
            if (error < 0) {
                return error;
            }
        }
        if (first) {
            d->topic = filter - d->buf;
            d->topic_len = n;
            d->code = options;
            first = false;
        }
    }
    return first ? MQTT_ERR_NO_ENTRY : 0;
}

// SUBACK, and UNSUBACK of MQTT 5, from their codes on.
static int parse_codes(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    if (p == end) {
        return MQTT_ERR_NO_ENTRY;
    }
    d->payload = p - d->buf;
    d->payload_len = end - p;
    d->code = *p;
    for (; p < end; ++p) {
        if (!mqtt_code_valid(d->version, d->type, *p)) {
            return MQTT_ERR_CODE;
        }
    }
    return 0;
}

// The end of a packet that may leave out its reason code and its properties:
// acknowledgements, DISCONNECT, AUTH.
static int parse_reason(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    if (p == end) {
        return 0;
    }
    if (d->version < MQTT_V5) {
        return MQTT_ERR_TRAILING;
    }
    d->code = *p++;
    if (!mqtt_code_valid(d->version, d->type, d->code)) {
        return MQTT_ERR_CODE;
    }
    if (p == end && d->type != MQTT_AUTH) {
        return 0;
    }
    int error = mqtt_take_props(d, &p, end, d->type);
    if (error < 0) {
        return error;
    }
    return p == end ? 0 : MQTT_ERR_TRAILING;
}

int mqtt_parse_other(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    uint8_t type = d->type;
    switch (type) {
        case MQTT_CONNECT:
            return parse_connect(d, p, end);
        case MQTT_CONNACK:
            return parse_connack(d, p, end);
        case MQTT_PINGREQ:
        case MQTT_PINGRESP:
            return p == end ? 0 : MQTT_ERR_TRAILING;
        case MQTT_DISCONNECT:
        case MQTT_AUTH:
            return parse_reason(d, p, end);
        default:
            break;
    }
    // All others begin with a packet identifier.
    if (BOUND(31, end - p < 2)) {
        return MQTT_ERR_SHORT;
    }
    d->id = mqtt_get16(p);
    p += 2;
    if (d->id == 0) {
        return MQTT_ERR_ID;
    }
    if (type <= MQTT_PUBCOMP || (type == MQTT_UNSUBACK && d->version < MQTT_V5)) {
        return parse_reason(d, p, end);
    }
    if (d->version >= MQTT_V5) {
        int error = mqtt_take_props(d, &p, end, type);
        if (error < 0) {
            return error;
        }
    }
    return type == MQTT_SUBACK || type == MQTT_UNSUBACK ? parse_codes(d, p, end) : parse_filters(d, p, end);
}
