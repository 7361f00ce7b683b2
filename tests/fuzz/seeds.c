// SPDX-License-Identifier: MIT
//
// Writes the corpus that libFuzzer starts from, made by our own encoders: every
// packet of both versions, alone and with each property that it may have.
//
//   seeds FOLDER        FOLDER/decode, FOLDER/encode ... must be there
#include <string.h>

#include "fuzz.h"
#include "generate.h"
#include "mqttpacket.h"

unsigned drop_check;

static const char *folder;
static unsigned written;

static mqtt_string_t text(const char *s) {
    return (mqtt_string_t) { (const uint8_t *)s, strlen(s) };
}

static void save(const char *target, const void *head, size_t head_len, const void *data, size_t len) {
    char name[1000];
    snprintf(name, sizeof(name), "%s/%s/seed-%04u", folder, target, written++);
    FILE *f = fopen(name, "wb");
    if (f == NULL || fwrite(head, 1, head_len, f) != head_len || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
        perror(name);
        exit(1);
    }
}

// A packet, as a decoder with a large buffer and one with a small buffer receive it.
static void packet(int version, const uint8_t *p, int32_t n) {
    CHECK(n > 0);
    const uint8_t heads[2][FUZZ_DECODE_HEAD] = { { version - 4, 249, 1 }, { version - 4, 3, 1, 0, 0, 1, 2 } };
    save("decode", heads[0], FUZZ_DECODE_HEAD, p, n);
    save("decode", heads[1], FUZZ_DECODE_HEAD, p, n);
}

// Every packet that can have these properties; without data: of MQTT 3.1.1. id: the
// property that is in them, 0 for none.
static void packets(mqtt_string_t props, uint8_t id) {
    static uint8_t buf[2000];
    const uint32_t size = sizeof(buf);
    int v = props.data == NULL ? 4 : 5;
    for (uint32_t type = 0; type < 16; ++type) {
        if (id != 0 && mqtt_check_props(props.data, props.len, type) < 0) {
            continue;
        }
        mqtt_string_t codes = text(type == MQTT_SUBACK ? "\1\2\x80" : "\x11\x80");
        switch (type) {
            case 0: // the will
            case MQTT_CONNECT: {
                mqtt_string_t none = { v == 5 ? (const uint8_t *)"" : NULL, 0 };
                mqtt_connect_t c = {
                    .client_id = text("client"), .will_topic = text("gone/away"), .will_payload = text("yes"),
                    .user = text("user"), .password = text("pass"), .will_qos = 1, .will_retain = true, .clean = true,
                    .keepalive = 60, .props = type == 0 ? none : props, .will_props = type == 0 ? props : none,
                };
                packet(v, buf, mqtt_encode_connect(buf, size, &c));
                c = (mqtt_connect_t) { .client_id = text("c"), .clean = type == 0, .props = type == 0 ? none : props };
                packet(v, buf, mqtt_encode_connect(buf, size, &c));
                break;
            }
            case MQTT_CONNACK:
                packet(v, buf, mqtt_encode_connack(buf, size, true, 0, props));
                packet(v, buf, mqtt_encode_connack(buf, size, false, v == 5 ? 0x87 : 5, props));
                break;
            case MQTT_PUBLISH:
                for (uint32_t qos = 0; qos < 3; ++qos) {
                    int32_t n = mqtt_encode_publish(buf, size, text("a/b"), 5, qos ? qos << 1 | 8 : 1, qos * 1000, props);
                    memcpy(buf + n, "12345", 5);
                    packet(v, buf, n + 5);
                }
                if (id == MQTT_PROP_ALIAS) {
                    packet(v, buf, mqtt_encode_publish(buf, size, text(""), 0, 0, 0, props));
                }
                break;
            case MQTT_PUBACK:
            case MQTT_PUBREC:
            case MQTT_PUBREL:
            case MQTT_PUBCOMP:
                packet(v, buf, mqtt_encode_ack(buf, size, type, 258, 0, props));
                if (v == 5) {
                    packet(v, buf, mqtt_encode_ack(buf, size, type, 258, type <= MQTT_PUBREC ? 0x10 : 0x92, props));
                }
                break;
            case MQTT_SUBSCRIBE:
                packet(v, buf, mqtt_encode_subscribe(buf, size, 7, text("a/+/#"), 1, props));
                packet(v, buf, mqtt_encode_subscribe(buf, size, 7, text("$share/g/a/+"), v == 5 ? 0x1a : 2, props));
                break;
            case MQTT_UNSUBSCRIBE:
                packet(v, buf, mqtt_encode_unsubscribe(buf, size, 7, text("a/+/#"), props));
                break;
            case MQTT_SUBACK:
            case MQTT_UNSUBACK:
                packet(v, buf, type == MQTT_UNSUBACK && v == 4 ? mqtt_encode_ack(buf, size, type, 7, 0, props)
                                                               : mqtt_encode_codes(buf, size, type, 7, codes, props));
                break;
            case MQTT_PINGREQ:
            case MQTT_PINGRESP:
                packet(v, (const uint8_t[]) { type << 4, 0 }, 2);
                break;
            case MQTT_DISCONNECT:
                packet(v, buf, mqtt_encode_reason(buf, size, type, 0, props));
                if (v == 5) {
                    packet(v, buf, mqtt_encode_reason(buf, size, type, 0x8b, props));
                }
                break;
            default:
                if (v == 5 && id != 0) {
                    packet(v, buf, mqtt_encode_reason(buf, size, MQTT_AUTH, 0x18, props));
                }
                break;
        }
    }
    if (id == 0) {
        return;
    }
    for (uint32_t type = 0; type < 16; ++type) {
        save("props", (const uint8_t[]) { type, id }, 2, props.data, props.len);
    }
}

// A PUBLISH that is longer than the buffer or the limit, in its topic or its payload.
static void large(void) {
    static uint8_t buf[2000];
    for (uint32_t i = 0; i < 3 * 2 * 3; ++i) {
        uint32_t qos = i % 3, v = 4 + i / 3 % 2, topic_len = i / 6 * 40 + 5;
        mqtt_string_t topic = { (const uint8_t *)"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234", topic_len };
        mqtt_string_t props = { v == 5 ? (const uint8_t *)"\3\0\1t" : NULL, v == 5 ? 4 : 0 };
        int32_t n = mqtt_encode_publish(buf, sizeof(buf), topic, 100, qos << 1, qos * 1000, props);
        memset(buf + n, 'x', 100);
        n += 100 + mqtt_encode_ack(buf + n + 100, 10, MQTT_PUBACK, 1, 0, (mqtt_string_t) { NULL, 0 });
        packet(v, buf, n);
        const uint8_t limited[FUZZ_DECODE_HEAD] = { v - 4, 249, 0, 0, 50 };
        save("decode", limited, FUZZ_DECODE_HEAD, buf, n);
    }
}

// Properties one by one, each a whole block; and two at a time.
static void with_properties(void) {
    uint8_t block[200];
    for (uint32_t id = 1; id < 256; ++id) {
        mqtt_prop_t prop = { .id = id, .value = 1, .data = text("text"), .key = text("key") };
        if (mqtt_prop_type(id) == MQTT_PROP_NONE) {
            continue;
        }
        int32_t n = mqtt_prop_put(block, sizeof(block), &prop);
        CHECK(n > 0);
        // Authentication wants its method.
        prop = (mqtt_prop_t) { .id = id == 0x15 ? 0x26 : 0x15, .data = text("method"), .key = text("k") };
        int32_t more = mqtt_prop_put(block + n, sizeof(block) - n, &prop);
        packets((mqtt_string_t) { block, n }, id);
        packets((mqtt_string_t) { block, n + more }, id);
    }
}

int main(int argc, char **argv) {
    static uint8_t in[1 << 16];
    if (argc != 2) {
        fprintf(stderr, "usage: seeds FOLDER\n");
        return 2;
    }
    folder = argv[1];
    packets((mqtt_string_t) { NULL, 0 }, 0);
    packets(text(""), 0);
    with_properties();
    large();
    // The other targets take a program of calls, or a filter and a topic: any will do.
    static const char *const others[] = { "encode", "topic", "ringlog", "ringlog", "ringlog" };
    generate_seed(1);
    for (uint32_t i = 0; i < 1000; ++i) {
        save(others[i % 5], NULL, 0, in, generate_input(others[i % 5], in));
    }
    printf("%u inputs\n", written);
    return 0;
}
