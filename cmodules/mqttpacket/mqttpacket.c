// SPDX-License-Identifier: MIT
//
// See mqttpacket.h. Lengths that came from the wire are compared with the
// bytes that are left (never added to a position first), so nothing can wrap.

#include <string.h>

#include "mqttpacket_private.h"

// Everything of the fixed header's first byte, seen as soon as it is there.
int mqtt_check_first_byte(uint32_t byte, uint8_t version) {
    // Types whose low nibble must be 0 (bit set at type), and must be 2.
    const uint32_t zero = 1u << MQTT_CONNECT | 1u << MQTT_CONNACK | 1u << MQTT_PUBACK | 1u << MQTT_PUBREC |
        1u << MQTT_PUBCOMP | 1u << MQTT_SUBACK | 1u << MQTT_UNSUBACK | 1u << MQTT_PINGREQ |
        1u << MQTT_PINGRESP | 1u << MQTT_DISCONNECT | 1u << MQTT_AUTH;
    const uint32_t two = 1u << MQTT_PUBREL | 1u << MQTT_SUBSCRIBE | 1u << MQTT_UNSUBSCRIBE;
    uint32_t type = byte >> 4, flags = byte & 15;
    if (type == MQTT_PUBLISH) {
        if ((flags & 6) == 6) {
            return MQTT_ERR_QOS;
        }
        return (flags & 14) == 8 ? MQTT_ERR_DUP : 0;
    }
    if (type == MQTT_AUTH && version < MQTT_V5) {
        return MQTT_ERR_TYPE;
    }
    if (zero >> type & 1) {
        return flags == 0 ? 0 : MQTT_ERR_FLAGS;
    }
    if (two >> type & 1) {
        return flags == 2 ? 0 : MQTT_ERR_FLAGS;
    }
    return MQTT_ERR_TYPE;
}

void mqtt_decoder_init(mqtt_decoder_t *d, uint8_t *buf, uint32_t size, uint32_t limit, uint8_t version) {
    memset(d, 0, sizeof(*d));
    d->buf = buf;
    d->size = size;
    d->limit = limit;
    d->version = version;
}

void mqtt_decoder_reset(mqtt_decoder_t *d, uint8_t version) {
    mqtt_decoder_init(d, d->buf, d->size, d->limit, version);
}

static void drop_packet(mqtt_decoder_t *d) {
    if (d->more == 0 && d->skip == 0) {
        d->hold = 0;
        d->type = 0;
        d->topic_len = 0;
        d->props_len = 0;
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

static int fail(mqtt_decoder_t *d, int error) {
    d->type = 0;
    d->topic_len = d->payload_len = d->props_len = 0;
    d->hold = d->more = d->skip = 0;
    d->error = error;
    return error;
}

// The properties of a PUBLISH: they begin at p, `len` bytes of the packet are
// left there, and `have` bytes of the buffer. Returns how many bytes they take
// with their length, or an error.
static int32_t parse_publish_props(mqtt_decoder_t *d, const uint8_t *p, uint32_t len, uint32_t have) {
    uint32_t n = 0;
    bool whole = len <= have;
    int size = mqtt_get_varint(p, p + (whole ? len : have), &n);
    if (size <= 0) {
        return size < 0 ? size : whole ? MQTT_ERR_SHORT : MQTT_ERR_BUFFER;
    }
    if (BOUND(27, n > len - size)) {
        return MQTT_ERR_SHORT;
    }
    if (BOUND(28, n > have - size)) {
        return MQTT_ERR_BUFFER;
    }
    int error = mqtt_check_props(p + size, n, MQTT_PUBLISH);
    if (error < 0) {
        return error;
    }
    d->props = p + size - d->buf;
    d->props_len = n;
    return size + n;
}

// The variable header of a PUBLISH, which begins at p: `len` bytes of the packet
// are left there, and `have` bytes of the buffer. Sets topic, identifier and
// properties, returns the header's length or an error; MQTT_ERR_BUFFER if it
// goes on beyond the buffer, and then the topic is set if at least it and the
// identifier were there.
static int32_t parse_publish(mqtt_decoder_t *d, const uint8_t *p, uint32_t len, uint32_t have) {
    uint32_t fixed = (d->flags & 6) ? 4 : 2; // topic length, identifier
    if (BOUND(2, len < fixed)) {
        return MQTT_ERR_SHORT;
    }
    uint32_t n = mqtt_get16(p);
    if (BOUND(3, n > len - fixed)) {
        return MQTT_ERR_SHORT;
    }
    if (BOUND(4, fixed + n > have)) {
        return MQTT_ERR_BUFFER;
    }
    int error = mqtt_check_string(p + 2, n, true);
    if (error < 0) {
        return error;
    }
    d->topic = p + 2 - d->buf;
    d->topic_len = n;
    if (fixed == 4) {
        d->id = mqtt_get16(p + 2 + n);
        if (d->id == 0) {
            return MQTT_ERR_ID;
        }
    }
    uint32_t head = fixed + n;
    if (d->version < MQTT_V5) {
        return n > 0 ? (int32_t)head : MQTT_ERR_TOPIC_EMPTY;
    }
    int32_t props = parse_publish_props(d, p + head, len - head, have - head);
    if (props < 0) {
        return props;
    }
    mqtt_prop_t alias;
    if (n == 0 && !mqtt_prop_find(d->buf + d->props, d->props_len, MQTT_PROP_ALIAS, &alias)) {
        return MQTT_ERR_NO_TOPIC;
    }
    return head + props;
}

// Goes on reading past a PUBLISH that is too large. Delivers it at its end.
static int next_skipped(mqtt_decoder_t *d) {
    uint32_t n = d->end - d->pos;
    if (n > d->skip) {
        n = d->skip;
    }
    for (uint32_t i = 0; d->skip_id > 0 && i < 2; ++i) {
        uint32_t at = d->skip - (d->skip_id - i); // more than n as well when it has passed
        if (BOUND(29, at < n)) {
            d->id = d->id << 8 | d->buf[d->pos + at];
        }
    }
    d->pos += n;
    d->skip -= n;
    if (d->skip > 0) {
        return 0;
    }
    if ((d->flags & 6) && d->id == 0) {
        return fail(d, MQTT_ERR_ID);
    }
    d->type = MQTT_PUBLISH;
    d->skipped = true;
    return MQTT_PUBLISH;
}

// A PUBLISH that is larger than the buffer, which is full and begins with it:
// `head` bytes of fixed header, `total` bytes in all.
static int first_part(mqtt_decoder_t *d, uint32_t head, uint32_t total) {
    int32_t n = parse_publish(d, d->buf + head, total - head, d->size - head);
    if (n < 0 && n != MQTT_ERR_BUFFER) {
        return fail(d, n);
    }
    bool too_long = d->limit > 0 && total > d->limit;
    d->hold = n < 0 ? head + (d->flags & 6 ? 4 : 2) + d->topic_len : head + n;
    if (n >= 0 && d->hold < d->size && !too_long) {
        d->payload = d->hold;
        d->payload_len = d->part_end = d->size - d->hold;
        d->more = total - d->size;
        d->pos = d->size;
        return MQTT_PUBLISH;
    }
    // Its header does not fit, or it is longer than the limit. What fits is kept.
    d->type = 0;
    d->skip_id = 0;
    if ((n < 0 && d->topic_len == 0) || d->hold >= d->size) {
        // next_skipped() takes the identifier from what comes by.
        d->skip_id = d->flags & 6 ? total - (head + 2 + mqtt_get16(d->buf + head)) : 0;
        d->topic_len = d->props_len = 0;
        d->id = 0;
        d->hold = 0;
    }
    d->pos = d->hold;
    d->skip = total - d->hold;
    return next_skipped(d);
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
    if (d->skip > 0) {
        return next_skipped(d);
    }
    drop_packet(d);
    const uint8_t *p = d->buf + d->pos;
    uint32_t avail = d->end - d->pos;
    if (avail == 0) {
        return 0;
    }
    int error = mqtt_check_first_byte(p[0], d->version);
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
    bool too_long = d->limit > 0 && total > d->limit;
    bool is_publish = p[0] >> 4 == MQTT_PUBLISH;
    if (too_long && !is_publish) {
        return fail(d, MQTT_ERR_LIMIT);
    }
    if (total > avail) {
        if (total > d->size && !is_publish) {
            return fail(d, MQTT_ERR_BUFFER);
        }
        if (total <= d->size || avail < d->size) {
            return 0; // a PUBLISH in parts begins when the buffer is full
        }
    }

    d->type = p[0] >> 4;
    d->flags = p[0] & 15;
    d->code = 0;
    d->session = false;
    d->skipped = false;
    d->id = 0;
    d->keepalive = 0;
    d->part = 0;
    if (!is_publish) {
        error = mqtt_parse_other(d, p + head, p + total);
        if (error < 0) {
            return fail(d, error);
        }
    } else if (BOUND(12, total > avail)) {
        return first_part(d, head, total);
    } else {
        int32_t n = parse_publish(d, p + head, len, len);
        if (n < 0) {
            return fail(d, n);
        }
        head += n;
        d->skipped = too_long;
        d->payload = d->pos + head;
        d->payload_len = too_long ? 0 : total - head;
    }
    d->pos += total;
    return d->type;
}
