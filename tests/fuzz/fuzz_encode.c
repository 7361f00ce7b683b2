// SPDX-License-Identifier: MIT
//
// Fuzz targets of the encoders. Arguments for each of them, with buffers of exact
// size: what was encoded must be what the reference decoder and our own see in it,
// and what does not fit must not be written.
#include <string.h>

#include "fuzz.h"
#include "mqttpacket.h"
#include "reference.h"

// A string of its own memory, so that reading beyond it is seen. NULL sometimes.
static mqtt_string_t take_text(input_t *in, int may_be_absent) {
    uint32_t how = take(in, 16), n = how == 0 ? take(in, 300) : how == 1 ? 65530 + take(in, 10) : take(in, 24);
    if (how == 1 && take(in, 4)) {
        n -= 65530; // the longest take their time
    }
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

static void release(mqtt_string_t s) {
    free((void *)s.data);
}

static int untouched(const uint8_t *p, uint32_t n) {
    while (n > 0 && *p == 0xaa) {
        ++p, --n;
    }
    return n == 0;
}

// Memory of exactly n bytes, all of them 0xaa.
static uint8_t *paper(uint8_t *old, uint32_t n) {
    free(old);
    return memset(malloc(n ? n : 1), 0xaa, n ? n : 1);
}

// Encode into buf, which has `room` bytes; with `fit`, if it does not fit, once more
// into as many bytes as it said to need.
#define FIT(fit, call) \
    do { \
        n = (call); \
        if ((fit) && n > (int32_t)room && n < 400000) { \
            CHECK(untouched(buf, room)); \
            buf = paper(buf, room = n); \
            CHECK((call) == n); \
        } \
    } while (0)

// A property, perhaps one that does not exist, put behind the others at *all; its
// memory grows to the exact size.
static void append(input_t *in, mqtt_string_t *all) {
    static const uint8_t known[] = {
        0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x11, 0x12, 0x13, 0x15, 0x16, 0x17, 0x18, 0x19,
        0x1a, 0x1c, 0x1f, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x26,
    };
    uint32_t id = take(in, 32);
    mqtt_prop_t prop = { .id = id < sizeof(known) ? known[id] : take(in, 256) };
    uint32_t kind = mqtt_prop_type(prop.id);
    uint32_t wide = take(in, 4);
    prop.value = wide == 0 ? take(in, 65536) << 16 | take(in, 65536) : wide == 1 ? take(in, 65536) : take(in, 4);
    if (kind >= MQTT_PROP_BINARY) {
        prop.data = take_text(in, 0);
    }
    if (kind == MQTT_PROP_PAIR) {
        prop.key = take_text(in, 0);
    }
    uint32_t room = take(in, 30), fit = take(in, 3);
    uint8_t *buf = paper(NULL, room);
    int32_t n;
    FIT(fit, mqtt_prop_put(buf, room, &prop));
    if (n > 0 && (uint32_t)n <= room) {
        CHECK(untouched(buf + n, room - n));
        // It is read again as it was, by us and by the reference in one of its packets.
        uint8_t *grown = malloc(all->len + n);
        memcpy(grown, all->data, all->len);
        memcpy(grown + all->len, buf, n);
        mqtt_prop_t again;
        CHECK(mqtt_prop_read(grown, all->len + n, all->len, &again) == (int32_t)(all->len + n));
        CHECK(again.id == prop.id && (kind >= MQTT_PROP_BINARY || again.value == prop.value));
        CHECK(again.data.len == prop.data.len && again.key.len == prop.key.len);
        CHECK(prop.data.len == 0 || memcmp(again.data.data, prop.data.data, prop.data.len) == 0);
        CHECK(prop.key.len == 0 || memcmp(again.key.data, prop.key.data, prop.key.len) == 0);
        int somewhere = 0;
        for (uint32_t type = 0; type < 16; ++type) {
            somewhere |= reference_props(buf, n, type) || prop.id == 0x16;
        }
        CHECK(somewhere);
        release(*all);
        *all = (mqtt_string_t) { grown, all->len + n };
    } else {
        CHECK(n >= MQTT_ERR_LAST && untouched(buf, room));
    }
    free(buf);
    release(prop.data);
    release(prop.key);
}

// Properties of a packet: absent (MQTT 3.1.1), well made, or any bytes.
static mqtt_string_t take_props(input_t *in) {
    uint32_t how = take(in, 8);
    mqtt_string_t all = { NULL, 0 };
    if (how < 3) {
        return all;
    }
    all.data = malloc(1);
    if (how == 3) {
        release(all);
        return take_text(in, 0);
    }
    for (uint32_t n = take(in, 5); n > 0; --n) {
        append(in, &all);
    }
    return all;
}

// What an encoder was asked for.
typedef struct _wanted_t {
    uint32_t type, id, code, payload_len; // the payload of a PUBLISH, which is not written
    mqtt_string_t topic, props;
} wanted_t;

static int equal(const uint8_t *packet, span_t s, mqtt_string_t wanted) {
    return s.len == wanted.len && (s.len == 0 || memcmp(packet + s.at, wanted.data, s.len) == 0);
}

// Encoded into a buffer of `size` bytes exactly; what fits must decode.
static void check_encoded(const uint8_t *buf, uint32_t size, int32_t n, wanted_t w) {
    if (n < 0) {
        CHECK(n >= MQTT_ERR_LAST && untouched(buf, size));
        return;
    }
    CHECK(n > 0);
    if ((uint32_t)n > size) {
        CHECK(untouched(buf, size)); // nothing was written
        return;
    }
    CHECK(untouched(buf + n, size - n));
    uint32_t total = n + w.payload_len, space;
    if (total > 400000) {
        return;
    }
    int version = w.props.data == NULL ? 4 : 5;
    uint32_t room = total < MQTT_MIN_BUFFER ? MQTT_MIN_BUFFER : total;
    uint8_t *copy = calloc(1, room);
    mqtt_decoder_t d;
    mqtt_decoder_init(&d, copy, room, 0, version);
    memcpy(mqtt_decoder_space(&d, &space), buf, n);
    mqtt_decoder_filled(&d, total);
    CHECK(mqtt_decoder_next(&d) == (int)w.type && d.id == w.id && d.pos == total);
    CHECK(w.type != MQTT_PUBLISH || d.payload_len == w.payload_len);
    reference_t r = reference(copy, total, version);
    CHECK(r.valid != REF_NO && r.whole && r.total == total && r.type == w.type && r.id == w.id && r.code == w.code);
    CHECK(equal(copy, r.topic, w.topic) && equal(copy, r.props, w.props));
    free(copy);
    ++fuzz_good;
}

static void check_connect(input_t *in, uint32_t room, uint32_t fit, mqtt_string_t props) {
    uint8_t *buf = paper(NULL, room);
    int32_t n;
    mqtt_connect_t c = {
        .client_id = take_text(in, 0), .will_topic = take_text(in, 1), .will_payload = take_text(in, 1),
        .user = take_text(in, 1), .password = take_text(in, 1), .keepalive = take(in, 65536),
        .will_qos = take(in, 4), .will_retain = take(in, 2), .clean = take(in, 2), .props = props,
        .will_props = take_props(in),
    };
    int will = c.will_topic.data != NULL;
    if (!will && take(in, 4)) { // mostly without what contradicts itself
        c.will_qos = c.will_payload.len = c.will_props.len = 0;
        c.will_retain = false;
    }
    uint32_t flags = (c.user.data ? 0x80 : 0) | (c.password.data ? 0x40 : 0) | (c.clean ? 2 : 0) |
        (will ? 4 | c.will_qos << 3 | (c.will_retain ? 0x20 : 0) : 0);
    FIT(fit, mqtt_encode_connect(buf, room, &c));
    check_encoded(buf, room, n, (wanted_t) { MQTT_CONNECT, 0, flags, 0, c.client_id, props });
    if (n > 0 && (uint32_t)n <= room) {
        reference_t r = reference(buf, n, props.data ? 5 : 4);
        CHECK(r.keepalive == c.keepalive && r.session == c.clean && equal(buf, r.will_topic, c.will_topic));
        CHECK(equal(buf, r.will_payload, c.will_payload) && equal(buf, r.will_props, c.will_props));
        CHECK(equal(buf, r.user, c.user) && equal(buf, r.password, c.password));
    }
    free(buf);
    release(c.client_id);
    release(c.will_topic);
    release(c.will_payload);
    release(c.user);
    release(c.password);
    release(c.will_props);
}

void fuzz_encode(const uint8_t *data, size_t size) {
    input_t in = { data, size };
    uint32_t which = take(&in, 8), fit = take(&in, 2), room = fit ? take(&in, 20) : take(&in, 300);
    uint16_t id = take(&in, 4) ? take(&in, 65536) : 0;
    mqtt_string_t props = take_props(&in), none = { NULL, 0 };
    uint8_t *buf = paper(NULL, room);
    int32_t n;
    if (which == 0) {
        mqtt_string_t topic = take_text(&in, 0);
        uint8_t flags = take(&in, 16);
        uint32_t payload_len = take(&in, 8) == 0 ? MQTT_MAX_REMAINING - take(&in, 400) : take(&in, 1000);
        FIT(fit, mqtt_encode_publish(buf, room, topic, payload_len, flags, id, props));
        check_encoded(buf, room, n, (wanted_t) { MQTT_PUBLISH, id, 0, payload_len, topic, props });
        release(topic);
    } else if (which == 1) {
        uint8_t type = take(&in, 16), code = take(&in, 256);
        FIT(fit, mqtt_encode_ack(buf, room, type, id, code, props));
        check_encoded(buf, room, n, (wanted_t) { type, id, code, 0, none, props });
    } else if (which == 2 || which == 3) {
        mqtt_string_t filter = take_text(&in, 0);
        uint8_t options = which == 2 ? take(&in, 256) : 0;
        FIT(fit, which == 2 ? mqtt_encode_subscribe(buf, room, id, filter, options, props)
                            : mqtt_encode_unsubscribe(buf, room, id, filter, props));
        uint32_t type = which == 2 ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE;
        check_encoded(buf, room, n, (wanted_t) { type, id, options, 0, filter, props });
        release(filter);
    } else if (which == 4) {
        mqtt_string_t codes = take_text(&in, 0);
        uint8_t type = take(&in, 16), some = take(&in, 4);
        type = some == 0 ? type : some == 1 ? MQTT_UNSUBACK : MQTT_SUBACK;
        for (uint32_t i = 0; i < codes.len && id % 8; ++i) {
            uint8_t *code = (uint8_t *)codes.data + i;
            *code = (uint8_t[]) { 0, type == MQTT_UNSUBACK ? 0x11 : 1, 0x80, 0x87 }[*code % 4];
        }
        FIT(fit, mqtt_encode_codes(buf, room, type, id, codes, props));
        check_encoded(buf, room, n, (wanted_t) { type, id, codes.len ? codes.data[0] : 0, 0, none, props });
        release(codes);
    } else if (which == 5) {
        uint8_t session = take(&in, 2), code = take(&in, 2) ? 0 : take(&in, 256);
        FIT(fit, mqtt_encode_connack(buf, room, session, code, props));
        check_encoded(buf, room, n, (wanted_t) { MQTT_CONNACK, 0, code, 0, none, props });
    } else if (which == 6) {
        uint8_t type = take(&in, 16), code = take(&in, 256);
        type = take(&in, 2) ? MQTT_DISCONNECT + take(&in, 2) : type;
        FIT(fit, mqtt_encode_reason(buf, room, type, code, props));
        check_encoded(buf, room, n, (wanted_t) { type, 0, code, 0, none, props });
    } else {
        check_connect(&in, room, fit, props);
    }
    free(buf);
    release(props);
}

void fuzz_props(const uint8_t *data, size_t size) {
    // The properties as they come from the wire, and what reads them.
    input_t in = { data, size };
    uint32_t type = take(&in, 16), wanted = take(&in, 64);
    uint8_t *props = malloc(in.size ? in.size : 1);
    memcpy(props, in.data, in.size);
    int good = mqtt_check_props(props, in.size, type) == 0;
    CHECK(good == reference_props(props, in.size, type));
    fuzz_good += good;
    mqtt_prop_t prop, first = { 0 };
    uint32_t at = 0, found = 0;
    while (at < in.size) {
        int32_t next = mqtt_prop_read(props, in.size, at, &prop);
        if (next < 0) {
            CHECK(next >= MQTT_ERR_LAST && !good);
            break;
        }
        CHECK(next > (int32_t)at && next <= (int32_t)in.size && prop.id == props[at]);
        CHECK(prop.data.len == 0 || (prop.data.data > props && prop.data.data + prop.data.len == props + next));
        CHECK(prop.key.len == 0 || (prop.key.data == props + at + 3 && prop.key.data + prop.key.len + 2 == prop.data.data));
        uint8_t *again = malloc(next - at);
        CHECK(mqtt_prop_put(again, next - at, &prop) == next - (int32_t)at && memcmp(again, props + at, next - at) == 0);
        free(again);
        if (prop.id == wanted && !found) {
            found = 1;
            first = prop;
        }
        at = next;
    }
    CHECK(mqtt_prop_read(props, in.size, in.size, &prop) < 0); // there is none at the end
    CHECK(mqtt_prop_find(props, in.size, wanted, &prop) == (int)found);
    CHECK(!found || (prop.value == first.value && prop.data.data == first.data.data && prop.key.data == first.key.data));
    free(props);
}
