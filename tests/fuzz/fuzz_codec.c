// SPDX-License-Identifier: MIT
//
// Fuzz targets of the packet codec.
//
// fuzz_decode: the first bytes choose the buffer's size and the limit, the rest
// is what the network sends. It is decoded in one go, byte by byte and in random
// pieces: the events must be the same. Memory beyond what was received is
// forbidden to the decoder. Each packet is encoded again and compared.
//
// fuzz_encode: arguments for every encoder, with buffers of exact size; what
// was encoded must decode to the arguments.
#include <string.h>

#include "fuzz.h"
#include "mqttpacket.h"

static const mqtt_string_t none = { NULL, 0 }; // props: MQTT 3.1.1

typedef struct _events_t {
    uint64_t hash;
    uint32_t count;
} events_t;

unsigned long fuzz_good;

static void add(events_t *e, uint64_t value) {
    e->hash = (e->hash ^ value) * 1099511628211u;
    e->hash ^= e->hash >> 29;
}

static void add_bytes(events_t *e, const uint8_t *p, uint32_t n) {
    add(e, n);
    while (n-- > 0) {
        add(e, *p++);
    }
}

// Written apart from the code under test, the slow and obvious way.
static int is_text(const uint8_t *s, uint32_t n, int topic) {
    for (uint32_t i = 0; i < n;) {
        uint32_t c = s[i], len = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
        if (len == 0 || i + len > n || c == 0 || (topic && (c == '+' || c == '#'))) {
            return 0;
        }
        uint32_t value = len == 1 ? c : c & (0x7f >> len);
        for (uint32_t k = 1; k < len; ++k) {
            if ((s[i + k] & 0xc0) != 0x80) {
                return 0;
            }
            value = value * 64 + (s[i + k] & 0x3f);
        }
        const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
            return 0;
        }
        i += len;
    }
    return 1;
}

static void check_again(const mqtt_decoder_t *d, uint32_t start) {
    // What was decoded, encoded again, gives the same bytes. The remaining length
    // of the input may be longer than needed, so only what follows it is compared.
    uint8_t out[1024];
    mqtt_string_t topic = { d->buf + d->topic, d->topic_len };
    mqtt_string_t payload = { d->buf + d->payload, d->payload_len };
    uint32_t total = d->pos - start;
    int32_t n;
    switch (d->type) {
        case MQTT_PUBLISH:
            n = mqtt_encode_publish(out, sizeof(out), topic, d->payload_len, d->flags, d->id, none);
            CHECK(n > 0);
            if ((uint32_t)n + d->payload_len > sizeof(out)) {
                return;
            }
            memcpy(out + n, payload.data, payload.len);
            n += payload.len;
            break;
        case MQTT_CONNACK:
            n = mqtt_encode_connack(out, sizeof(out), d->session, d->code, none);
            break;
        case MQTT_PUBACK:
        case MQTT_PUBREC:
        case MQTT_PUBREL:
        case MQTT_PUBCOMP:
        case MQTT_UNSUBACK:
            n = mqtt_encode_ack(out, sizeof(out), d->type, d->id, 0, none);
            break;
        case MQTT_SUBACK:
            n = mqtt_encode_codes(out, sizeof(out), MQTT_SUBACK, d->id, payload, none);
            break;
        case MQTT_SUBSCRIBE:
            n = mqtt_encode_subscribe(out, sizeof(out), d->id, topic, d->code, none);
            if (payload.len != topic.len + 3) {
                return; // several filters
            }
            break;
        case MQTT_UNSUBSCRIBE:
            n = mqtt_encode_unsubscribe(out, sizeof(out), d->id, topic, none);
            if (payload.len != topic.len + 2) {
                return;
            }
            break;
        default:
            return;
    }
    CHECK(n > 0);
    if ((uint32_t)n > sizeof(out)) {
        return;
    }
    uint32_t body = n - 2;
    for (uint32_t i = 1; out[i] & 0x80; ++i) {
        --body;
    }
    CHECK(body < total);
    CHECK(d->buf[start] == out[0]);
    CHECK(memcmp(d->buf + d->pos - body, out + n - body, body) == 0);
}

// Everything that must hold for a delivered packet that began at `start`.
static void check_packet(const mqtt_decoder_t *d, int type, uint32_t start) {
    CHECK(type == d->type && type >= MQTT_CONNECT && type <= MQTT_DISCONNECT);
    CHECK(d->pos <= d->end && d->end <= d->size);
    if (d->topic_len > 0) {
        CHECK(d->topic >= start && d->topic + d->topic_len <= d->pos);
        CHECK(is_text(d->buf + d->topic, d->topic_len, type == MQTT_PUBLISH));
    }
    if (d->payload_len > 0) {
        CHECK(d->payload >= start && d->payload + d->payload_len <= d->pos);
    }
    if (type == MQTT_PUBLISH) {
        CHECK((d->topic_len > 0 || d->skipped) && (d->flags & 6) != 6);
        CHECK(((d->flags & 6) != 0) == (d->id != 0));
        CHECK(d->skipped ? d->payload_len == 0 && d->more == 0 : d->payload + d->payload_len == d->pos);
        CHECK(d->part == 0 || d->payload_len > 0);
        CHECK(d->more == 0 || d->pos == d->size);
    } else {
        CHECK(d->more == 0 && d->part == 0);
    }
    // Identifiers are there where the standard wants them, and nowhere else.
    const uint32_t with_id = 1u << MQTT_PUBACK | 1u << MQTT_PUBREC | 1u << MQTT_PUBREL | 1u << MQTT_PUBCOMP |
        1u << MQTT_SUBSCRIBE | 1u << MQTT_SUBACK | 1u << MQTT_UNSUBSCRIBE | 1u << MQTT_UNSUBACK;
    if (type != MQTT_PUBLISH) {
        CHECK(((with_id >> type) & 1) == (d->id != 0));
    }
    CHECK(type != MQTT_SUBACK || d->payload_len > 0);
    if (type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE) {
        uint32_t i = 0, extra = type == MQTT_SUBSCRIBE ? 1 : 0; // the entries end where the packet does
        CHECK(d->payload_len > 0 && d->payload + d->payload_len == d->pos);
        while (i < d->payload_len) {
            const uint8_t *p = d->buf + d->payload + i;
            uint32_t n = p[0] * 256 + p[1];
            i += 2 + n + extra;
            CHECK(i <= d->payload_len && n > 0 && is_text(p + 2, n, 0) && (extra == 0 || p[2 + n] <= 2));
        }
    }
    if (d->part == 0 && d->more == 0 && !d->skipped) {
        check_again(d, start);
    }
}

// Decode data that arrives in pieces: of `piece` bytes, or random ones for 0.
static events_t run(const uint8_t *data, size_t size, uint32_t buf_size, uint32_t limit, uint32_t piece, uint32_t seed) {
    events_t e = { 14695981039346656037u, 0 };
    uint8_t *buf = malloc(buf_size);
    mqtt_decoder_t d;
    mqtt_decoder_init(&d, buf, buf_size, limit, MQTT_V311);
    FORBID(buf, buf_size);
    for (;;) {
        uint32_t start = d.more > 0 || d.skip > 0 ? 0 : d.pos;
        int type = mqtt_decoder_next(&d);
        if (type < 0) {
            CHECK(type >= MQTT_ERR_LAST && d.type == 0 && mqtt_decoder_next(&d) == type);
            CHECK(mqtt_error_reason(type) >= 0x80 && mqtt_error_text(type) != NULL);
            add(&e, (uint64_t)-type << 32);
            break;
        }
        if (type > 0) {
            check_packet(&d, type, start);
            ++e.count;
            ++fuzz_good;
            add(&e, (uint64_t)type << 48 | (uint64_t)d.flags << 40 | d.id);
            add(&e, (uint64_t)d.code << 32 | (uint64_t)d.session << 16 | d.keepalive);
            add(&e, (uint64_t)d.part << 32 | d.more);
            add_bytes(&e, buf + d.topic, d.topic_len);
            add_bytes(&e, buf + d.payload, d.payload_len);
            continue;
        }
        if (size == 0) {
            break;
        }
        uint32_t space, n = piece;
        uint8_t *at = mqtt_decoder_space(&d, &space);
        CHECK(space > 0 && at == buf + d.end && space == buf_size - d.end);
        if (n == 0) {
            seed = seed * 1103515245 + 12345;
            n = 1 + (seed >> 16) % ((seed >> 8) % 8 == 0 ? 300 : 9);
        }
        n = n < space ? n : space;
        n = n < size ? n : size;
        ALLOW(buf, d.end + n);
        FORBID(buf + d.end + n, buf_size - d.end - n);
        memcpy(at, data, n);
        mqtt_decoder_filled(&d, n);
        data += n;
        size -= n;
    }
    ALLOW(buf, buf_size);
    free(buf);
    return e;
}

void fuzz_decode(const uint8_t *data, size_t size) {
    input_t in = { data, size };
    uint32_t buf_size = MQTT_MIN_BUFFER + take(&in, 250);
    uint32_t limited = take(&in, 4), limit = take(&in, 400), seed = take(&in, 65536); // FUZZ_DECODE_HEAD bytes
    limit = limited == 0 ? limit + 1 : 0;
    events_t whole = run(in.data, in.size, buf_size, limit, UINT32_MAX, 0);
    events_t single = run(in.data, in.size, buf_size, limit, 1, 0);
    events_t random = run(in.data, in.size, buf_size, limit, 0, seed);
    CHECK(whole.count == single.count && whole.hash == single.hash);
    CHECK(whole.count == random.count && whole.hash == random.hash);
}

// A string of its own memory, so that reading beyond it is seen. NULL sometimes.
static mqtt_string_t take_text(input_t *in, int may_be_absent) {
    uint32_t how = take(in, 16), n = how == 0 ? take(in, 300) : how == 1 ? 65530 + take(in, 10) : take(in, 24);
    if (how == 2 && may_be_absent) {
        return (mqtt_string_t) { NULL, 0 };
    }
    uint8_t *p = malloc(n ? n : 1);
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t c = in->size > 0 ? take(in, 256) : 'x';
        p[i] = how < 10 && c >= 0x60 ? 'a' + c % 26 : c; // mostly letters
    }
    return (mqtt_string_t) { p, n };
}

// Encode into a buffer of `size` bytes exactly; what fits must decode.
static void check_encoded(const uint8_t *buf, uint32_t size, int32_t n, uint32_t payload_len, int type, uint16_t id) {
    if (n < 0) {
        CHECK(n >= MQTT_ERR_LAST);
        return;
    }
    if ((uint32_t)n > size) {
        for (uint32_t i = 0; i < size; ++i) {
            CHECK(buf[i] == 0xaa); // nothing was written
        }
        return;
    }
    for (uint32_t i = n; i < size; ++i) {
        CHECK(buf[i] == 0xaa);
    }
    uint32_t total = n + payload_len, space;
    if (total > 200000) {
        return;
    }
    uint32_t room = total < MQTT_MIN_BUFFER ? MQTT_MIN_BUFFER : total;
    uint8_t *copy = calloc(1, room);
    mqtt_decoder_t d;
    mqtt_decoder_init(&d, copy, room, 0, MQTT_V311);
    memcpy(mqtt_decoder_space(&d, &space), buf, n);
    mqtt_decoder_filled(&d, total);
    CHECK(mqtt_decoder_next(&d) == type && d.id == id && d.pos == total);
    CHECK(type != MQTT_PUBLISH || d.payload_len == payload_len);
    free(copy);
    ++fuzz_good;
}

void fuzz_encode(const uint8_t *data, size_t size) {
    input_t in = { data, size };
    uint32_t which = take(&in, 7), room = take(&in, 8) == 0 ? take(&in, 20) : take(&in, 700);
    uint16_t id = take(&in, 4) ? take(&in, 65536) : 0;
    uint8_t *buf = malloc(room ? room : 1);
    memset(buf, 0xaa, room ? room : 1);
    int32_t n;
    if (which == 0) {
        mqtt_string_t topic = take_text(&in, 0);
        uint8_t flags = take(&in, 16);
        uint32_t payload_len = take(&in, 8) == 0 ? MQTT_MAX_REMAINING - take(&in, 400) : take(&in, 1000);
        n = mqtt_encode_publish(buf, room, topic, payload_len, flags, id, none);
        check_encoded(buf, room, n, payload_len, MQTT_PUBLISH, id);
        free((void *)topic.data);
    } else if (which == 1) {
        uint8_t type = take(&in, 16);
        n = mqtt_encode_ack(buf, room, type, id, 0, none);
        check_encoded(buf, room, n, 0, type, id);
    } else if (which == 2 || which == 3) {
        mqtt_string_t filter = take_text(&in, 0);
        uint8_t qos = take(&in, 5);
        n = which == 2 ? mqtt_encode_subscribe(buf, room, id, filter, qos, none) : mqtt_encode_unsubscribe(buf, room, id, filter, none);
        check_encoded(buf, room, n, 0, which == 2 ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE, id);
        mqtt_match(filter.data, filter.len, in.data, in.size);
        free((void *)filter.data);
    } else if (which == 4) {
        mqtt_string_t codes = take_text(&in, 0);
        for (uint32_t i = 0; i < codes.len && id % 8; ++i) {
            uint8_t *code = (uint8_t *)codes.data + i;
            *code = *code % 4 == 3 ? 0x80 : *code % 4;
        }
        n = mqtt_encode_codes(buf, room, MQTT_SUBACK, id, codes, none);
        check_encoded(buf, room, n, 0, MQTT_SUBACK, id);
        free((void *)codes.data);
    } else if (which == 5) {
        uint8_t session = take(&in, 2), code = take(&in, 8);
        n = mqtt_encode_connack(buf, room, session, code, none);
        check_encoded(buf, room, n, 0, MQTT_CONNACK, 0);
    } else {
        mqtt_connect_t c = {
            .client_id = take_text(&in, 0), .will_topic = take_text(&in, 1), .will_payload = take_text(&in, 1),
            .user = take_text(&in, 1), .password = take_text(&in, 1), .keepalive = take(&in, 65536),
            .will_qos = take(&in, 4), .will_retain = take(&in, 2), .clean = take(&in, 2),
        };
        n = mqtt_encode_connect(buf, room, &c);
        check_encoded(buf, room, n, 0, MQTT_CONNECT, 0);
        free((void *)c.client_id.data);
        free((void *)c.will_topic.data);
        free((void *)c.will_payload.data);
        free((void *)c.user.data);
        free((void *)c.password.data);
    }
    free(buf);
}
