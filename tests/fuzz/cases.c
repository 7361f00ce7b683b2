// SPDX-License-Identifier: MIT
//
// Cases that no generator comes upon in a short time, such as packets of 256 MB:
// with them every line and branch of the cores that can be reached is (make coverage).
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "mqttpacket.h"
#include "reference.h"

static const mqtt_string_t none = { NULL, 0 };

static mqtt_string_t text(const char *s) {
    return (mqtt_string_t) { (const uint8_t *)s, strlen(s) };
}

// All return and reason codes, in all packets of both versions.
static void codes(void) {
    for (int version = 4; version <= 5; ++version) {
        for (uint32_t i = 0; i < 16 * 256; ++i) {
            CHECK(mqtt_code_valid(version, i >> 8, i & 255) == reference_code(version, i >> 8, i & 255));
        }
    }
}

static void errors(void) {
    for (int error = MQTT_ERR_LAST; error < 0; ++error) {
        CHECK(mqtt_error_text(error)[0] != 0 && mqtt_error_reason(error) >= 0x80);
    }
    // What is no error has some text too: it must not be read from beyond the table.
    static const int others[] = { 0, 1, MQTT_ERR_LAST - 1, INT32_MIN, INT32_MAX };
    for (uint32_t i = 0; i < 5; ++i) {
        CHECK(mqtt_error_text(others[i])[0] != 0 && mqtt_error_reason(others[i]) >= 0x80);
    }
}

// After an error nothing goes on until a reset, which can change the version.
static void reset(void) {
    uint8_t buf[32];
    uint32_t space;
    mqtt_decoder_t d;
    mqtt_decoder_init(&d, buf, sizeof(buf), 20, MQTT_V311);
    memcpy(mqtt_decoder_space(&d, &space), "\xf0\0", 2);
    mqtt_decoder_filled(&d, 2);
    CHECK(space == sizeof(buf) && mqtt_decoder_next(&d) == MQTT_ERR_TYPE && mqtt_decoder_next(&d) == MQTT_ERR_TYPE);
    mqtt_decoder_reset(&d, MQTT_V5);
    CHECK(mqtt_decoder_next(&d) == 0 && d.limit == 20);
    memcpy(mqtt_decoder_space(&d, &space), "\xf0\0", 2);
    mqtt_decoder_filled(&d, 2);
    CHECK(space == sizeof(buf) && mqtt_decoder_next(&d) == MQTT_AUTH && d.pos == 2);
}

// Connect flags that contradict each other, one by one; the same for CONNACK.
static void flags(void) {
    static const uint8_t bad[] = { 0x03, 0x22, 0x0a, 0x12, 0x1e, 0x42 };
    for (int version = 4; version <= 5; ++version) {
        for (uint32_t i = 0; i < 256; ++i) {
            uint8_t connect[40] = { 0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', version, i, 0, 60 }, *p = connect + 12;
            p += version - 4; // no properties
            memcpy(p, "\0\1c", 3);
            p += 3;
            if (i & 4) {
                p += version - 4;
                memcpy(p, "\0\1w\0\0", 5);
                p += 5;
            }
            p += i & 0x80 ? 2 : 0; // empty
            p += i & 0x40 ? 2 : 0;
            connect[1] = p - connect - 2;
            int is_bad = 0;
            for (uint32_t k = 0; k < sizeof(bad); ++k) {
                is_bad |= i == bad[k] && (version == 4 || i != 0x42);
            }
            mqtt_decoder_t d;
            uint8_t buf[64];
            uint32_t space;
            mqtt_decoder_init(&d, buf, sizeof(buf), 0, version);
            memcpy(mqtt_decoder_space(&d, &space), connect, p - connect);
            mqtt_decoder_filled(&d, p - connect);
            int type = mqtt_decoder_next(&d);
            CHECK(type == MQTT_CONNECT ? !is_bad : type == MQTT_ERR_CONNECT_FLAGS);
            CHECK((type == MQTT_CONNECT) == (reference(connect, p - connect, version).valid != REF_NO));
        }
    }
    static const uint8_t connacks[][4] = { { 0x20, 2, 1, 1 }, { 0x20, 2, 0, 1 }, { 0x20, 2, 0, 2 }, { 0x20, 2, 1, 0 } };
    for (uint32_t i = 0; i < 4; ++i) {
        mqtt_decoder_t d;
        uint8_t buf[16];
        uint32_t space;
        mqtt_decoder_init(&d, buf, sizeof(buf), 0, MQTT_V5);
        memcpy(mqtt_decoder_space(&d, &space), connacks[i], 4);
        mqtt_decoder_filled(&d, 4);
        CHECK(mqtt_decoder_next(&d) == (i == 1 ? MQTT_CONNACK : MQTT_ERR_SHORT) && d.code == (i == 1 ? 0x84 : d.code));
    }
    // Will options without a will.
    uint8_t buf[64];
    mqtt_connect_t c = { .client_id = text("c"), .clean = true, .props = text("") };
    CHECK(mqtt_encode_connect(buf, sizeof(buf), &c) > 0);
    for (uint32_t i = 0; i < 4; ++i) {
        mqtt_connect_t wrong = c;
        wrong.will_qos = i == 0;
        wrong.will_retain = i == 1;
        wrong.will_payload = i == 2 ? text("x") : none;
        wrong.will_props = i == 3 ? text("\x18\0\0\0\1") : none;
        CHECK(mqtt_encode_connect(buf, sizeof(buf), &wrong) == MQTT_ERR_CONNECT_FLAGS);
    }
}

static void filters(void) {
    static const char *const bad[] = { "+a", "a+", "a+/b", "#/a", "a#", "a/#b", "a/+b", "" };
    for (uint32_t i = 0; i < 8; ++i) {
        mqtt_string_t f = text(bad[i]);
        CHECK(mqtt_check_filter(f.data, f.len) < 0 && !mqtt_match(f.data, f.len, (const uint8_t *)"xa/b", 4));
    }
    CHECK(mqtt_match((const uint8_t *)"a/#", 3, (const uint8_t *)"a", 1));
    // As many levels as a topic can have: nothing recurses (mosquitto's CVE-2019-11779).
    uint8_t *slashes = malloc(65536);
    memset(slashes, 0x2f, 65536);
    CHECK(mqtt_check_filter(slashes, 65535) == 0 && mqtt_check_filter(slashes, 65536) == MQTT_ERR_STRING);
    CHECK(mqtt_match(slashes, 65535, slashes, 65535) && !mqtt_match(slashes, 65534, slashes, 65535));
    free(slashes);
}

// The largest packets that there can be. Their properties are one piece of 64 KB
// in memory, seen 4,096 times in a row.
static void large(void) {
    const uint32_t piece = 65536, most = MQTT_MAX_REMAINING;
    int fd = memfd_create("properties", 0);
    CHECK(fd >= 0 && ftruncate(fd, piece) == 0);
    uint8_t *all = mmap(NULL, (size_t)most + 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(all != MAP_FAILED);
    for (uint32_t at = 0; at < most; at += piece) {
        CHECK(mmap(all + at, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == all + at);
    }
    memset(all, 'x', piece);
    memcpy(all, "\x26\x7f\xff", 3); // a user property of 65,536 bytes
    memcpy(all + 3 + 0x7fff, "\x7f\xfc", 2);
    uint8_t buf[64];
    mqtt_string_t props = { all, most - (piece - 1) }, too_many = { all, most + 1 }, filter = text("a");
    props.len -= props.len % piece;
    uint32_t rest = most - props.len; // what the other fields must not fill

    CHECK(mqtt_encode_publish(buf, 64, filter, rest, 0, 0, props) == MQTT_ERR_TOO_BIG);
    CHECK(mqtt_encode_publish(buf, 64, filter, rest - 7, 0, 0, props) == (int32_t)(1 + 4 + 3 + 4 + props.len));
    CHECK(mqtt_encode_publish(buf, 64, filter, rest - 6, 0, 0, props) == MQTT_ERR_TOO_BIG);
    CHECK(mqtt_encode_publish(buf, 64, filter, most - 3, 0, 0, none) == 8);
    CHECK(mqtt_encode_publish(buf, 64, filter, most - 2, 0, 0, none) == MQTT_ERR_TOO_BIG);
    CHECK(mqtt_encode_publish(buf, 64, filter, UINT32_MAX, 0, 0, none) == MQTT_ERR_TOO_BIG);
    CHECK(mqtt_encode_connack(buf, 64, false, 0, too_many) == MQTT_ERR_TOO_BIG);
    CHECK(mqtt_encode_codes(buf, 64, MQTT_SUBACK, 1, (mqtt_string_t) { all, most + 1 }, none) == MQTT_ERR_TOO_BIG);

    // All that there is, and then some: 4,096 pieces are one byte more than a packet can have.
    mqtt_connect_t c = { .client_id = text("c"), .will_topic = text("w"), .will_payload = text(""), .props = props, .will_props = props };
    CHECK(mqtt_encode_connect(buf, 64, &c) == MQTT_ERR_TOO_BIG);
    mqtt_string_t codes = { calloc(1, most), most - 1 };
    CHECK(mqtt_encode_codes(buf, 64, MQTT_SUBACK, 1, codes, none) == MQTT_ERR_TOO_BIG);
    codes.len = most - 2;
    CHECK(mqtt_encode_codes(buf, 64, MQTT_SUBACK, 1, codes, none) == (int32_t)most + 5);
    free((void *)codes.data);

    // With the last piece cut, a packet that is full of properties: nothing else fits.
    uint8_t *last = all + most - most % piece;
    CHECK(mmap(last, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == last);
    memset(last, 'x', piece);
    memcpy(last, "\x26\x7f\xff", 3);
    memcpy(last + 3 + 0x7fff, "\x7f\xfb", 2);
    props.len = most;
    CHECK(mqtt_encode_connack(buf, 64, false, 0, props) == MQTT_ERR_TOO_BIG);
    CHECK(mqtt_encode_ack(buf, 64, MQTT_PUBREC, 1, 0, props) < 0); // user properties are allowed: too big
    CHECK(mqtt_encode_reason(buf, 64, MQTT_DISCONNECT, 0, props) == MQTT_ERR_TOO_BIG);
    CHECK(mqtt_encode_subscribe(buf, 64, 1, filter, 0, props) == MQTT_ERR_TOO_BIG);
    CHECK(mqtt_encode_unsubscribe(buf, 64, 1, filter, props) == MQTT_ERR_TOO_BIG);
    munmap(all, (size_t)most + 1);
    close(fd);
}

void run_cases(void) {
    codes();
    errors();
    reset();
    flags();
    filters();
    large();
}
