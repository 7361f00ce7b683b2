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
    d->limit = limit > 0 ? limit : UINT32_MAX;
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

static NOINLINE int fail(mqtt_decoder_t *d, int error) {
    d->type = 0;
    d->topic_len = d->payload_len = d->props_len = 0;
    d->hold = d->more = d->skip = 0;
    d->error = error;
    d->busy = true;
    return error;
}

// The properties of a PUBLISH, whose topic is known: they begin at p, `len` bytes
// of the packet are left there, and `have` bytes of the buffer. Returns how many
// bytes they take with their length, or an error, MQTT_ERR_BUFFER if they go on
// beyond the buffer.
static NOINLINE int32_t parse_publish_props(mqtt_decoder_t *d, const uint8_t *p, uint32_t len, uint32_t have) {
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
    p += size;
    int error = n > 0 ? mqtt_check_props(p, n, MQTT_PUBLISH) : 0;
    if (error < 0) {
        return error;
    }
    mqtt_prop_t alias;
    if (d->topic_len == 0 && !mqtt_prop_find(p, n, MQTT_PROP_ALIAS, &alias)) {
        return MQTT_ERR_NO_TOPIC;
    }
    d->props = p - d->buf;
    d->props_len = n;
    return size + n;
}

// Topic and identifier of a PUBLISH of these flags: they begin at p, `len` bytes
// of the packet are left there. Returns where they end, or NULL and d->error.
static ALWAYS_INLINE const uint8_t *parse_topic(mqtt_decoder_t *d, uint32_t flags, const uint8_t *p, uint32_t len) {
    if (BOUND(2, len < 2)) {
        d->error = MQTT_ERR_SHORT;
        return NULL;
    }
    uint32_t n = mqtt_get16(p);
    len -= 2;
    p += 2;
    if (BOUND(3, n > len)) {
        d->error = MQTT_ERR_SHORT;
        return NULL;
    }
    d->topic = p - d->buf;
    d->topic_len = n;
    len -= n;
    const uint8_t *end = p + n;
    p = mqtt_skip_plain(p, end);
    if (p < end) {
        d->error = mqtt_check_string(p, end - p, true);
        if (d->error < 0) {
            return NULL;
        }
    }
    if (flags & 6) {
        if (BOUND(35, len < 2)) {
            d->error = MQTT_ERR_SHORT;
            return NULL;
        }
        d->id = mqtt_get16(end);
        if (d->id == 0) {
            d->error = MQTT_ERR_ID;
            return NULL;
        }
        end += 2;
    }
    return end;
}

// The same where it is not often called.
static NOINLINE int parse_topic_apart(mqtt_decoder_t *d, const uint8_t *p, uint32_t len) {
    parse_topic(d, d->flags, p, len);
    return d->error;
}

// Goes on reading past a PUBLISH that is too large. Delivers it at its end.
static int next_skipped(mqtt_decoder_t *d) {
    uint32_t n = d->end - d->pos;
    if (n > d->skip) {
        n = d->skip;
    }
    for (uint32_t i = 0; d->skip_id > 0 && i < 2; ++i) {
        uint32_t at = d->skip - (d->skip_id - i); // more than n as well when it has passed
        if (!BOUND(29, at >= n)) {
            d->id = d->id << 8 | d->buf[d->pos + at];
        }
    }
    d->pos += n;
    d->skip -= n;
    if (d->skip > 0) {
        return 0;
    }
    d->busy = false;
    if ((d->flags & 6) && d->id == 0) {
        return fail(d, MQTT_ERR_ID);
    }
    d->type = MQTT_PUBLISH;
    d->skipped = true;
    return MQTT_PUBLISH;
}

// A PUBLISH that is larger than the buffer, which is full and begins with it:
// `head` bytes of fixed header, `total` bytes in all.
static NOINLINE int first_part(mqtt_decoder_t *d, uint32_t head, uint32_t total) {
    const uint8_t *p = d->buf;
    uint32_t topic_end = head + 2 + mqtt_get16(p + head); // and the identifier begins
    uint32_t fixed_end = topic_end + (d->flags & 6 ? 2 : 0);
    int32_t n = MQTT_ERR_BUFFER;
    if (fixed_end > total) {
        n = MQTT_ERR_SHORT;
    } else if (!BOUND(4, fixed_end >= d->size)) {
        n = parse_topic_apart(d, p + head, total - head);
        d->hold = fixed_end;
        if (n >= 0 && d->version >= MQTT_V5) {
            n = parse_publish_props(d, p + fixed_end, total - fixed_end, d->size - fixed_end);
        } else if (n >= 0) {
            n = d->topic_len > 0 ? 0 : MQTT_ERR_TOPIC_EMPTY;
        }
        if (n >= 0) {
            n += fixed_end;
        }
    }
    if (n < 0 && n != MQTT_ERR_BUFFER) {
        return fail(d, n);
    }
    d->busy = true;
    if (n >= 0 && (uint32_t)n < d->size) {
        d->hold = n;
        if (total <= d->limit) {
            d->payload = n;
            d->payload_len = d->part_end = d->size - n;
            d->more = total - d->size;
            d->pos = d->size;
            return MQTT_PUBLISH;
        }
    } else {
        d->props_len = 0; // they do not fit
    }
    // Its header does not fit, or it is longer than the limit. What fits is kept.
    d->type = 0;
    d->skip_id = 0;
    if (d->hold == 0 && (d->flags & 6)) {
        d->skip_id = total - topic_end; // next_skipped() takes it from what comes by
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
    d->busy = d->more > 0;
    return MQTT_PUBLISH;
}

// The remaining length: seven bits a byte, the lowest first. It goes to
// d->payload_len. Returns the length of the fixed header, 0 if more bytes are
// needed, or an error.
static NOINLINE int take_length(mqtt_decoder_t *d, const uint8_t *p, uint32_t avail) {
    uint32_t len = 0;
    for (uint32_t head = 1;; ++head) {
        if (BOUND(11, head == 5)) {
            return MQTT_ERR_LENGTH;
        }
        if (BOUND(10, head == avail)) {
            return 0;
        }
        len |= (uint32_t)(p[head] & 0x7f) << (7 * (head - 1));
        if (p[head] < 0x80) {
            if (head > 1 && p[head] == 0 && d->version >= MQTT_V5) {
                return MQTT_ERR_VARINT; // longer than it need be: MQTT-1.5.5-1
            }
            d->payload_len = len;
            return head + 1;
        }
    }
}

// The fields that a packet has not, unless they are set after this.
static ALWAYS_INLINE void clear(mqtt_decoder_t *d, uint32_t first) {
    d->type = first >> 4;
    d->flags = first & 15;
    d->code = 0;
    d->session = false;
    d->id = 0;
    d->keepalive = 0;
    d->skipped = false;
    d->part = 0;
    d->props_len = 0;
}

// The flags that each packet type but PUBLISH has, one bit set; none where the
// version has to be looked at.
static const uint8_t usual_flags[16] = { 0, 1, 1, 0, 1, 1, 4, 1, 4, 1, 4, 1, 1, 1, 1, 0 };

// A whole packet other than PUBLISH: its body is [p, p + len).
static NOINLINE int whole_other(mqtt_decoder_t *d, uint32_t first, const uint8_t *p, uint32_t len) {
    clear(d, first);
    d->topic_len = 0;
    d->payload_len = 0;
    uint32_t type = first >> 4, pos = p + len - d->buf;
    int error = 0;
    if (!(usual_flags[type] >> (first & 15) & 1)) {
        error = mqtt_check_first_byte(first, d->version);
    }
    if (error == 0) {
        if (pos - d->pos > d->limit) {
            error = MQTT_ERR_LIMIT;
        } else if (type - MQTT_PUBACK <= MQTT_PUBCOMP - MQTT_PUBACK && !BOUND(36, len != 2)) {
            // The usual acknowledgement: an identifier, and that all is well.
            d->id = mqtt_get16(p);
            error = d->id == 0 ? MQTT_ERR_ID : 0;
        } else {
            error = mqtt_parse_other(d, p, p + len);
        }
    }
    if (error < 0) {
        return fail(d, error);
    }
    d->pos = pos;
    return type;
}

// What mqtt_decoder_next() does when no whole packet is there.
static NOINLINE int next_other(mqtt_decoder_t *d) {
    if (d->error < 0) {
        return d->error;
    }
    if (d->busy) {
        return d->more > 0 ? next_part(d) : next_skipped(d);
    }
    drop_packet(d);
    const uint8_t *p = d->buf + d->pos;
    uint32_t avail = d->end - d->pos;
    if (avail == 0) {
        return 0;
    }
    uint32_t first = p[0];
    int head = mqtt_check_first_byte(first, d->version);
    if (head == 0) {
        head = take_length(d, p, avail);
    }
    if (head <= 0) {
        return head < 0 ? fail(d, head) : 0;
    }
    uint32_t total = head + d->payload_len;
    d->payload_len = 0;
    if (first >> 4 != MQTT_PUBLISH) {
        return total > d->limit ? fail(d, MQTT_ERR_LIMIT) : total > d->size ? fail(d, MQTT_ERR_BUFFER) : 0;
    }
    if (total <= d->size || avail < d->size) {
        return 0; // parts begin when the buffer is full
    }
    clear(d, first);
    return first_part(d, head, total);
}

int mqtt_decoder_next(mqtt_decoder_t *d) {
    // Whole packets first, and what is usual is kept short.
    const uint8_t *p = d->buf + d->pos;
    uint32_t avail = d->end - d->pos;
    if (d->busy || BOUND(34, avail < 2)) {
        return next_other(d);
    }
    uint32_t first = p[0], len = p[1];
    if (len < 0x80) {
        p += 2;
        avail -= 2;
    } else {
        int head = take_length(d, p, avail);
        if (head <= 0) {
            return next_other(d);
        }
        p += head;
        avail -= head;
        len = d->payload_len;
    }
    if (BOUND(12, len > avail)) {
        return next_other(d);
    }
    if (first >> 4 != MQTT_PUBLISH) {
        return whole_other(d, first, p, len);
    }
    // The flags of a PUBLISH: neither QoS 3 nor DUP with QoS 0.
    if (!(0x3c3f >> (first & 15) & 1)) {
        return next_other(d);
    }
    const uint8_t *end = p + len;
    clear(d, first);
    p = parse_topic(d, first, p, len);
    if (p == NULL) {
        return fail(d, d->error);
    }
    if (d->version >= MQTT_V5) {
        if (!BOUND(37, p == end) && *p == 0 && d->topic_len > 0) {
            ++p; // no properties
        } else {
            int32_t n = parse_publish_props(d, p, end - p, end - p);
            if (n < 0) {
                return fail(d, n);
            }
            p += n;
        }
    } else if (d->topic_len == 0) {
        return fail(d, MQTT_ERR_TOPIC_EMPTY);
    }
    d->payload = p - d->buf;
    d->payload_len = end - p;
    uint32_t pos = end - d->buf;
    if (pos - d->pos > d->limit) {
        d->payload_len = 0;
        d->skipped = true;
    }
    d->pos = pos;
    return MQTT_PUBLISH;
}
