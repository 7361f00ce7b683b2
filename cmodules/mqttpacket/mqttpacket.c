// SPDX-License-Identifier: MIT
//
// See mqttpacket.h. Lengths that came from the wire are compared with the
// bytes that are left (never added to a position first), so nothing can wrap.

#include <string.h>

#include "mqttpacket_private.h"

typedef struct _error_info_t {
    uint8_t reason;
    const char *text;
} error_info_t;

static const error_info_t errors[-MQTT_ERR_LAST] = {
    { 0x81, "packet type does not exist in MQTT 3.1.1" },
    { 0x81, "reserved flags of the first byte are wrong" },
    { 0x81, "QoS 3" },
    { 0x81, "DUP set with QoS 0" },
    { 0x81, "remaining length has more than four bytes" },
    { 0x81, "a field reaches past the end of its packet" },
    { 0x81, "bytes left over after the last field" },
    { 0x82, "packet identifier 0" },
    { 0x81, "empty topic" },
    { 0x81, "wildcard in a topic name" },
    { 0x81, "invalid UTF-8" },
    { 0x81, "NUL character in a string" },
    { 0x81, "return code that the standard does not define" },
    { 0x82, "session present in a refused CONNACK" },
    { 0x81, "connect flags contradict each other" },
    { 0x84, "protocol name or level is not that of MQTT 3.1.1" },
    { 0x8f, "ill-formed topic filter" },
    { 0x82, "no entry where at least one is needed" },
    { 0x95, "packet is longer than the limit" },
    { 0x95, "packet does not fit the buffer" },
    { 0x81, "string longer than 65535 bytes" },
    { 0x95, "packet longer than the protocol can say" },
};

const char *mqtt_error_text(int error) {
    return errors[(error < 0 && error >= MQTT_ERR_LAST) ? -error - 1 : 0].text;
}

uint8_t mqtt_error_reason(int error) {
    return errors[(error < 0 && error >= MQTT_ERR_LAST) ? -error - 1 : 0].reason;
}

// Everything of the fixed header's first byte, seen as soon as it is there.
int mqtt_check_first_byte(uint32_t byte) {
    // Types whose low nibble must be 0 (bit set at type), and must be 2.
    const uint32_t zero = 1u << MQTT_CONNECT | 1u << MQTT_CONNACK | 1u << MQTT_PUBACK | 1u << MQTT_PUBREC |
        1u << MQTT_PUBCOMP | 1u << MQTT_SUBACK | 1u << MQTT_UNSUBACK | 1u << MQTT_PINGREQ |
        1u << MQTT_PINGRESP | 1u << MQTT_DISCONNECT;
    const uint32_t two = 1u << MQTT_PUBREL | 1u << MQTT_SUBSCRIBE | 1u << MQTT_UNSUBSCRIBE;
    uint32_t type = byte >> 4, flags = byte & 15;
    if (type == MQTT_PUBLISH) {
        if ((flags & 6) == 6) {
            return MQTT_ERR_QOS;
        }
        return (flags & 14) == 8 ? MQTT_ERR_DUP : 0;
    }
    if (zero >> type & 1) {
        return flags == 0 ? 0 : MQTT_ERR_FLAGS;
    }
    if (two >> type & 1) {
        return flags == 2 ? 0 : MQTT_ERR_FLAGS;
    }
    return MQTT_ERR_TYPE;
}

void mqtt_decoder_init(mqtt_decoder_t *d, uint8_t *buf, uint32_t size, uint32_t limit) {
    memset(d, 0, sizeof(*d));
    d->buf = buf;
    d->size = size;
    d->limit = limit;
}

void mqtt_decoder_reset(mqtt_decoder_t *d) {
    mqtt_decoder_init(d, d->buf, d->size, d->limit);
}

static void drop_packet(mqtt_decoder_t *d) {
    if (d->more == 0) {
        d->hold = 0;
        d->type = 0;
        d->topic_len = 0;
    }
    d->payload_len = 0;
}

uint8_t *mqtt_decoder_space(mqtt_decoder_t *d, uint32_t *space) {
    drop_packet(d);
    if (d->pos > d->hold) {
        uint32_t rest = d->end - d->pos;
        if (rest > 0) {
            memmove(d->buf + d->hold, d->buf + d->pos, rest);
        }
        d->pos = d->hold;
        d->end = d->hold + rest;
    }
    *space = d->size - d->end;
    return d->buf + d->end;
}

void mqtt_decoder_filled(mqtt_decoder_t *d, uint32_t n) {
    d->end += n;
}

// The variable header of a PUBLISH: body begins at p, has len bytes. Sets
// topic and identifier, returns the header's length or an error.
static int32_t parse_publish(mqtt_decoder_t *d, const uint8_t *p, uint32_t len) {
    uint32_t fixed = (d->flags & 6) ? 4 : 2; // topic length, identifier
    if (BOUND(2, len < fixed)) {
        return MQTT_ERR_SHORT;
    }
    uint32_t n = mqtt_get16(p);
    if (BOUND(3, n > len - fixed)) {
        return MQTT_ERR_SHORT;
    }
    if (BOUND(4, fixed + n > (uint32_t)(d->buf + d->end - p))) {
        return MQTT_ERR_BUFFER; // comes in parts, and not even the header is there
    }
    if (n == 0) {
        return MQTT_ERR_TOPIC_EMPTY;
    }
    int error = mqtt_check_string(p + 2, n, true);
    if (error < 0) {
        return error;
    }
    if (fixed == 4) {
        d->id = mqtt_get16(p + 2 + n);
        if (d->id == 0) {
            return MQTT_ERR_ID;
        }
    }
    d->topic = p + 2 - d->buf;
    d->topic_len = n;
    return fixed + n;
}

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

static int parse_connect(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    if (BOUND(7, end - p < 10)) {
        return MQTT_ERR_SHORT;
    }
    if (memcmp(p, "\0\4MQTT\4", 7) != 0) {
        return MQTT_ERR_PROTOCOL;
    }
    uint8_t flags = p[7];
    bool will = flags & 0x04;
    if ((flags & 0x01) || (!will && (flags & 0x38)) || (flags & 0x18) == 0x18 || (flags & 0xc0) == 0x40) {
        return MQTT_ERR_CONNECT_FLAGS;
    }
    d->code = flags;
    d->session = flags & 0x02;
    d->keepalive = mqtt_get16(p + 8);
    p += 10;
    int32_t n = take_string(&p, end, false);
    if (n < 0) {
        return n;
    }
    d->topic = p - n - d->buf;
    d->topic_len = n;
    d->payload = p - d->buf;
    d->payload_len = end - p;
    if (will) {
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

static int parse_subscribe(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    d->payload = p - d->buf;
    d->payload_len = end - p;
    bool first = true;
    while (p < end) {
        int32_t n = take_binary(&p, end);
        if (n < 0) {
            return n;
        }
        int error = mqtt_check_filter(p - n, n);
        if (error < 0) {
            return error;
        }
        uint8_t qos = 0;
        if (d->type == MQTT_SUBSCRIBE) {
            if (BOUND(8, p == end)) {
                return MQTT_ERR_SHORT;
            }
            qos = *p;
            if (qos > 2) {
                return MQTT_ERR_QOS;
            }
        }
        if (first) {
            d->topic = p - n - d->buf;
            d->topic_len = n;
            d->code = qos;
            first = false;
        }
        if (d->type == MQTT_SUBSCRIBE) {
            ++p;
        }
    }
    return first ? MQTT_ERR_NO_ENTRY : 0;
}

// Every packet but PUBLISH. It is whole: its body is [p, end).
static int parse_other(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end) {
    switch (d->type) {
        case MQTT_CONNECT:
            return parse_connect(d, p, end);
        case MQTT_PINGREQ:
        case MQTT_PINGRESP:
        case MQTT_DISCONNECT:
            return p == end ? 0 : MQTT_ERR_TRAILING;
        default:
            break;
    }
    // All others begin with two bytes.
    if (BOUND(9, end - p < 2)) {
        return MQTT_ERR_SHORT;
    }
    uint32_t first = mqtt_get16(p);
    p += 2;
    if (d->type == MQTT_CONNACK) {
        if (p != end) {
            return MQTT_ERR_TRAILING;
        }
        if (first >> 9) {
            return MQTT_ERR_FLAGS;
        }
        d->session = first >> 8;
        d->code = first;
        if (d->code > 5) {
            return MQTT_ERR_CODE;
        }
        return d->session && d->code ? MQTT_ERR_SESSION : 0;
    }
    if (first == 0) {
        return MQTT_ERR_ID;
    }
    d->id = first;
    switch (d->type) {
        case MQTT_SUBSCRIBE:
        case MQTT_UNSUBSCRIBE:
            return parse_subscribe(d, p, end);
        case MQTT_SUBACK:
            if (p == end) {
                return MQTT_ERR_NO_ENTRY;
            }
            d->payload = p - d->buf;
            d->payload_len = end - p;
            d->code = *p;
            for (; p < end; ++p) {
                if (*p > 2 && *p != 0x80) {
                    return MQTT_ERR_CODE;
                }
            }
            return 0;
        default:
            return p == end ? 0 : MQTT_ERR_TRAILING;
    }
}

static int fail(mqtt_decoder_t *d, int error) {
    d->type = 0;
    d->topic_len = d->payload_len = 0;
    d->hold = d->more = 0;
    d->error = error;
    return error;
}

// Another part of a PUBLISH that is larger than the buffer. Parts are always
// as large as they can be, so that how the bytes arrive does not show.
static int next_part(mqtt_decoder_t *d) {
    uint32_t room = d->size - d->hold;
    uint32_t n = d->more < room ? d->more : room;
    d->payload_len = 0;
    if (d->end - d->pos < n) {
        return 0;
    }
    d->payload = d->pos;
    d->payload_len = n;
    d->part = d->part_end;
    d->part_end += n;
    d->pos += n;
    d->more -= n;
    return MQTT_PUBLISH;
}

int mqtt_decoder_next(mqtt_decoder_t *d) {
    if (d->error < 0) {
        return d->error;
    }
    if (d->more > 0) {
        return next_part(d);
    }
    drop_packet(d);
    const uint8_t *p = d->buf + d->pos;
    uint32_t avail = d->end - d->pos;
    if (avail == 0) {
        return 0;
    }
    int error = mqtt_check_first_byte(p[0]);
    if (error < 0) {
        return fail(d, error);
    }

    // The remaining length: seven bits a byte, the lowest first.
    uint32_t len = 0, head = 1;
    for (;;) {
        if (BOUND(10, head == avail)) {
            return 0;
        }
        uint32_t byte = p[head];
        len |= (byte & 0x7f) << (7 * (head - 1));
        ++head;
        if (byte < 0x80) {
            break;
        }
        if (BOUND(11, head == 5)) {
            return fail(d, MQTT_ERR_LENGTH);
        }
    }
    uint32_t total = head + len;
    if (d->limit > 0 && total > d->limit) {
        return fail(d, MQTT_ERR_LIMIT);
    }
    if (total > avail) {
        if (total <= d->size) {
            return 0;
        }
        if (p[0] >> 4 != MQTT_PUBLISH) {
            return fail(d, MQTT_ERR_BUFFER);
        }
        if (avail < d->size) {
            return 0; // the first part begins when the buffer is full
        }
    }

    d->type = p[0] >> 4;
    d->flags = p[0] & 15;
    d->code = 0;
    d->session = false;
    d->id = 0;
    d->keepalive = 0;
    d->part = 0;
    p += head;
    if (d->type == MQTT_PUBLISH) {
        int32_t n = parse_publish(d, p, len);
        if (n < 0) {
            return fail(d, n);
        }
        head += n;
        d->payload = d->pos + head;
        if (BOUND(12, total > avail)) {
            if (head == avail) {
                return fail(d, MQTT_ERR_BUFFER); // no room for a payload beside the topic
            }
            d->payload_len = d->part_end = avail - head;
            d->more = total - avail;
            d->hold = head;
            d->pos = d->end;
            return MQTT_PUBLISH;
        }
        d->payload_len = total - head;
    } else {
        error = parse_other(d, p, p + len);
        if (error < 0) {
            return fail(d, error);
        }
    }
    d->pos += total;
    return d->type;
}
