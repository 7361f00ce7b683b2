// SPDX-License-Identifier: MIT
//
// Fuzz target of the decoder. The first bytes choose the version, the buffer's size
// and the limit, the rest is what the network sends. It is decoded in one go, byte
// by byte and in random pieces. Memory beyond what was received is forbidden to the
// decoder, every event is compared with the reference decoder, and each whole packet
// is encoded again and must give the same bytes.
#include <string.h>

#include "fuzz.h"
#include "mqttpacket.h"
#include "reference.h"

typedef struct _events_t {
    uint64_t hash;
    uint32_t count;
} events_t;

// What is sent, and how far it has been decoded.
typedef struct _stream_t {
    const uint8_t *data;
    size_t size;
    size_t fed; // bytes given to the decoder
    size_t start; // where the packet begins that is decoded now
    int version;
} stream_t;

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

// Is a part of the decoder's buffer what the packet has there?
static int same(const mqtt_decoder_t *d, uint32_t at, uint32_t len, const uint8_t *packet, span_t s) {
    CHECK(at <= d->size && len <= d->size - at);
    return len == s.len && memcmp(d->buf + at, packet + s.at, len) == 0;
}

static mqtt_string_t at(const uint8_t *packet, span_t s, int there) {
    return (mqtt_string_t) { there ? packet + s.at : NULL, there ? s.len : 0 };
}

// What was decoded, encoded again, gives the same bytes but for what may be written
// in two ways: the remaining length, and a reason code or properties that are left out.
static void check_again(const uint8_t *packet, const reference_t *r, int version) {
    static uint8_t out[8192];
    mqtt_string_t topic = at(packet, r->topic, 1), payload = at(packet, r->payload, 1);
    mqtt_string_t props = { version == 5 ? packet + r->props.at : NULL, r->props.len };
    int32_t n, extra = 0;
    switch (r->type) {
        case MQTT_CONNECT: {
            int will = r->code & 4;
            mqtt_connect_t c = {
                .client_id = topic, .will_topic = at(packet, r->will_topic, will),
                .will_payload = at(packet, r->will_payload, will), .user = at(packet, r->user, r->code & 0x80),
                .password = at(packet, r->password, r->code & 0x40), .props = props,
                .will_props = at(packet, r->will_props, will && version == 5), .keepalive = r->keepalive,
                .will_qos = r->code >> 3 & 3, .will_retain = r->code & 0x20, .clean = r->session,
            };
            n = mqtt_encode_connect(out, sizeof(out), &c);
            break;
        }
        case MQTT_PUBLISH:
            n = mqtt_encode_publish(out, sizeof(out), topic, payload.len, r->flags, r->id, props);
            CHECK(n > 0);
            if ((size_t)n + payload.len <= sizeof(out)) {
                memcpy(out + n, payload.data, payload.len);
                extra = payload.len;
            }
            break;
        case MQTT_CONNACK:
            n = mqtt_encode_connack(out, sizeof(out), r->session, r->code, props);
            break;
        case MQTT_UNSUBACK:
        case MQTT_SUBACK:
            n = r->payload.len > 0 ? mqtt_encode_codes(out, sizeof(out), r->type, r->id, payload, props)
                                   : mqtt_encode_ack(out, sizeof(out), r->type, r->id, 0, props);
            break;
        case MQTT_SUBSCRIBE:
            if (payload.len != topic.len + 3) {
                return; // several filters
            }
            n = mqtt_encode_subscribe(out, sizeof(out), r->id, topic, r->code, props);
            break;
        case MQTT_UNSUBSCRIBE:
            if (payload.len != topic.len + 2) {
                return;
            }
            n = mqtt_encode_unsubscribe(out, sizeof(out), r->id, topic, props);
            break;
        case MQTT_DISCONNECT:
        case MQTT_AUTH:
            n = mqtt_encode_reason(out, sizeof(out), r->type, r->code, props);
            break;
        case MQTT_PINGREQ:
        case MQTT_PINGRESP:
            return;
        default:
            n = mqtt_encode_ack(out, sizeof(out), r->type, r->id, r->code, props);
            break;
    }
    if (r->valid == REF_EITHER && n < 0) {
        return;
    }
    CHECK(n > 0);
    if ((uint32_t)(n + extra) > sizeof(out) || r->total > sizeof(out)) {
        return;
    }
    n += extra;
    // A decoder must take what the encoder made for the same packet.
    reference_t again = reference(out, n, version);
    CHECK(again.valid != REF_NO && again.total == (uint32_t)n && again.type == r->type && again.flags == r->flags);
    CHECK(again.id == r->id && again.code == r->code && again.session == r->session && again.keepalive == r->keepalive);
    CHECK(again.topic.len == r->topic.len && again.payload.len == r->payload.len && again.props.len == r->props.len);
    uint32_t body = r->topic.len + r->payload.len + r->props.len;
    if (version == 4 || body > 0) {
        // Then nothing can be left out: the same bytes from behind the remaining length on.
        uint32_t head = 1, head_again = 1;
        while (packet[head++] & 0x80) {
        }
        while (out[head_again++] & 0x80) {
        }
        CHECK(n - head_again == r->total - head && memcmp(out + head_again, packet + head, n - head_again) == 0);
    }
}

// Everything that must hold for an event.
static void check_event(const mqtt_decoder_t *d, int type, const stream_t *s) {
    const uint8_t *packet = s->data + s->start;
    reference_t r = reference(packet, s->size - s->start, s->version);
    CHECK(d->pos <= d->end && d->end <= d->size && type == d->type);
    CHECK(r.total > 0 && r.type == d->type && r.flags == d->flags && (d->skipped || r.valid != REF_NO));
    if (d->more > 0 || d->part > 0) {
        // Parts of a PUBLISH: whether it is one was seen with the first of them.
        CHECK(type == MQTT_PUBLISH && !d->skipped && r.total > d->size && d->payload_len > 0);
        CHECK(d->limit == 0 || r.total <= d->limit);
        uint32_t payload_len = d->part + d->payload_len + d->more, head = r.total - payload_len;
        uint32_t ids = (d->flags & 6) ? 2 : 0, here = s->fed - (d->end - d->pos) - s->start;
        CHECK(payload_len < r.total && here == head + d->part + d->payload_len);
        CHECK(memcmp(d->buf + d->payload, packet + head + d->part, d->payload_len) == 0);
        uint32_t at = 1;
        while (packet[at++] & 0x80) {
        }
        span_t topic = { at + 2, packet[at] * 256 + packet[at + 1] }, props = { 0, 0 };
        CHECK(same(d, d->topic, d->topic_len, packet, topic) && reference_text(packet + topic.at, topic.len, 1));
        at = topic.at + topic.len + ids;
        CHECK(d->id == (ids ? packet[at - 2] * 256 + packet[at - 1] : 0) && (d->id != 0) == (ids != 0));
        if (s->version == 5) {
            uint32_t factor = 1;
            do {
                props.len += (packet[at] & 127) * factor;
                factor *= 128;
            } while (packet[at++] & 0x80);
            props.at = at;
            CHECK(reference_props(packet + props.at, props.len, MQTT_PUBLISH));
        }
        CHECK(same(d, d->props, d->props_len, packet, props) && at + props.len == head);
        CHECK(topic.len > 0 || props.len > 0);
        return;
    }
    CHECK(r.whole);
    if (d->skipped) {
        CHECK(type == MQTT_PUBLISH && d->payload_len == 0 && (r.total > d->size || r.total > d->limit));
        CHECK(r.total > d->limit || d->limit == 0 || r.total > d->size);
        // Its header was not looked at where it did not fit, but the identifier was.
        uint32_t at = 1;
        while (packet[at++] & 0x80) {
        }
        span_t topic = { at + 2, packet[at] * 256 + packet[at + 1] };
        CHECK(d->topic_len == 0 || same(d, d->topic, d->topic_len, packet, topic));
        CHECK(d->props_len == 0 || same(d, d->props, d->props_len, packet, r.props));
        if (d->flags & 6) {
            at = topic.at + topic.len;
            CHECK(at + 2 <= r.total && d->id != 0 && d->id == packet[at] * 256 + packet[at + 1]);
        } else {
            CHECK(d->id == 0);
        }
        return;
    }
    CHECK(r.valid != REF_NO && (d->limit == 0 || r.total <= d->limit));
    CHECK(d->id == r.id && d->code == r.code && d->session == r.session && d->keepalive == r.keepalive);
    CHECK(same(d, d->topic, d->topic_len, packet, r.topic));
    CHECK(same(d, d->payload, d->payload_len, packet, r.payload));
    CHECK(same(d, d->props, d->props_len, packet, r.props));
    check_again(packet, &r, s->version);
}

// A refusal: the bytes that were there are not the beginning of anything that is allowed.
static void check_refusal(mqtt_decoder_t *d, int error, const stream_t *s) {
    CHECK(error >= MQTT_ERR_LAST && d->type == 0 && mqtt_decoder_next(d) == error);
    CHECK(mqtt_error_reason(error) >= 0x80 && mqtt_error_text(error)[0] != 0);
    reference_t r = reference(s->data + s->start, s->fed - s->start, s->version);
    if (error == MQTT_ERR_LIMIT) {
        CHECK(r.type != MQTT_PUBLISH && d->limit > 0 && r.total > d->limit);
    } else if (error == MQTT_ERR_BUFFER) {
        CHECK(r.type != MQTT_PUBLISH && r.total > d->size);
    } else {
        CHECK(!(r.whole && r.valid == REF_YES));
    }
}

// Decode what arrives in pieces: of `piece` bytes, or random ones for 0.
static events_t run(stream_t s, uint32_t buf_size, uint32_t limit, uint32_t piece, uint32_t seed) {
    events_t e = { 14695981039346656037u, 0 };
    uint8_t *buf = malloc(buf_size);
    mqtt_decoder_t d;
    mqtt_decoder_init(&d, buf, buf_size, limit, s.version);
    FORBID(buf, buf_size);
    for (;;) {
        int type = mqtt_decoder_next(&d);
        if (type < 0) {
            check_refusal(&d, type, &s);
            add(&e, (uint64_t)-type << 32);
            break;
        }
        if (type > 0) {
            check_event(&d, type, &s);
            ++e.count;
            ++fuzz_good;
            add(&e, (uint64_t)type << 48 | (uint64_t)d.flags << 40 | (uint64_t)d.skipped << 32 | d.id);
            add(&e, (uint64_t)d.code << 32 | (uint64_t)d.session << 16 | d.keepalive);
            add(&e, (uint64_t)d.part << 32 | d.more);
            add_bytes(&e, buf + d.topic, d.topic_len);
            add_bytes(&e, buf + d.payload, d.payload_len);
            add_bytes(&e, buf + d.props, d.props_len);
            if (d.more == 0) {
                s.start = s.fed - (d.end - d.pos);
            }
            continue;
        }
        if (s.fed == s.size) {
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
        n = n < s.size - s.fed ? n : s.size - s.fed;
        ALLOW(buf, d.end + n);
        FORBID(buf + d.end + n, buf_size - d.end - n);
        memcpy(at, s.data + s.fed, n);
        mqtt_decoder_filled(&d, n);
        s.fed += n;
    }
    ALLOW(buf, buf_size);
    free(buf);
    return e;
}

void fuzz_decode(const uint8_t *data, size_t size) {
    input_t in = { data, size };
    int version = take(&in, 2) ? 5 : 4;
    uint32_t buf_size = MQTT_MIN_BUFFER + take(&in, 250);
    uint32_t limited = take(&in, 4), limit = take(&in, 400), seed = take(&in, 65536); // FUZZ_DECODE_HEAD bytes
    limit = limited == 0 ? limit + 1 : 0;
    stream_t s = { in.data, in.size, 0, 0, version };
    events_t whole = run(s, buf_size, limit, UINT32_MAX, 0);
    events_t single = run(s, buf_size, limit, 1, 0);
    events_t random = run(s, buf_size, limit, 0, seed);
    CHECK(whole.count == single.count && whole.hash == single.hash);
    CHECK(whole.count == random.count && whole.hash == random.hash);
}
