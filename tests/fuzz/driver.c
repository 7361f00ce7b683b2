// SPDX-License-Identifier: MIT
//
// Drives the fuzz targets without libFuzzer: a bounded number of inputs, made
// from a seed, so that every run is the same.
//
//   driver TARGET COUNT SEED [DROP]     TARGET: decode, encode or ringlog
//   driver TARGET FILE                  one input again, as libFuzzer leaves it
//
// DROP is the number of the bounds check to take out (the mutation check): then
// the driver must not come to its end. Prints how many inputs were run, and how
// many packets or records came out of them.
#include <string.h>

#include "fuzz.h"
#include "mqttpacket.h"

unsigned drop_check;

static uint64_t state;

static uint32_t below(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

static mqtt_string_t some_text(int filter) {
    static const char *topics[] = {
        "a", "a/b", "home/greenhouse/temperature", "\xc3\xa5/\xe2\x82\xac/\xf0\x9f\x8c\xb1", "t/\xc3", "x\xe2\x82", "\xf0\x9f\x8c",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    };
    static const char *filters[] = { "#", "a/+", "+/b/#", "a", "$share/g/a", "x\xe2\x82" };
    const char *s = filter ? filters[below(6)] : topics[below(8) ? below(4) : below(8)];
    return (mqtt_string_t) { (const uint8_t *)s, strlen(s) };
}

static uint8_t *put(uint8_t *p, const void *data, size_t n) {
    memcpy(p, data, n);
    return p + n;
}

// A packet as a peer sends it, sometimes wrong. *last: nothing may follow it, so
// that what is beyond its end is beyond everything.
static uint32_t packet(uint8_t *out, int *last) {
    uint8_t body[1200], *p = body;
    uint8_t first = (1 + below(14)) << 4;
    mqtt_string_t s;
    if (below(3) == 0) {
        first = MQTT_PUBLISH << 4;
    }
    switch (first >> 4) {
        case MQTT_CONNECT: {
            uint8_t flags = (uint8_t[]) { 0x02, 0x06, 0x82, 0xc2, 0xee, 0x26 }[below(6)];
            p = put(p, "\0\4MQTT\4", 7);
            *p++ = flags;
            *p++ = below(256);
            *p++ = below(256);
            for (int i = 0; i < 5; ++i) {
                static const uint8_t when[] = { 0xff, 0x04, 0x04, 0x80, 0x40 };
                if (flags & when[i]) {
                    s = some_text(0);
                    *p++ = s.len >> 8;
                    *p++ = s.len;
                    p = put(p, s.data, s.len);
                }
            }
            break;
        }
        case MQTT_CONNACK:
            *p++ = below(2);
            *p++ = body[0] ? 0 : below(7);
            break;
        case MQTT_PUBLISH:
            first |= below(8) ? below(3) << 1 | below(2) : below(16);
            s = some_text(0);
            *p++ = s.len >> 8;
            *p++ = s.len;
            p = put(p, s.data, s.len);
            if (first & 6) {
                *p++ = below(2);
                *p++ = below(8);
            }
            for (uint32_t n = below(4) ? below(40) : below(1000); n > 0; --n) {
                *p++ = below(256);
            }
            break;
        case MQTT_SUBSCRIBE:
        case MQTT_UNSUBSCRIBE:
            first |= 2;
            *p++ = 1;
            *p++ = below(256);
            for (uint32_t n = 1 + below(3); n > 0; --n) {
                s = some_text(1);
                *p++ = s.len >> 8;
                *p++ = s.len;
                p = put(p, s.data, s.len);
                if (first >> 4 == MQTT_SUBSCRIBE) {
                    *p++ = below(3);
                }
            }
            break;
        case MQTT_SUBACK:
            *p++ = 1;
            *p++ = below(256);
            for (uint32_t n = 1 + below(4); n > 0; --n) {
                *p++ = below(4) ? below(3) : 0x80;
            }
            break;
        case MQTT_PINGREQ:
        case MQTT_PINGRESP:
        case MQTT_DISCONNECT:
            break;
        default:
            first |= first >> 4 == MQTT_PUBREL ? 2 : 0;
            *p++ = below(3);
            *p++ = below(256);
            break;
    }
    uint32_t len = p - body;
    if (len > 0 && below(8) == 0) {
        len -= 1 + below(below(2) ? 3 : len) % len; // ends in the middle of a field
        *last = 1;
    }
    uint8_t *q = out;
    *q++ = first;
    // Sometimes a length that is not true, or in more bytes than it needs.
    uint32_t said = below(12) ? len : below(3) ? len - 1 - below(3) : below(1 << 28);
    int extra = below(30) == 0 ? below(5) : 0;
    said &= 0xfffffff;
    while (said >= 0x80 || extra-- > 0) {
        *q++ = said | 0x80;
        said >>= 7;
    }
    *q++ = said;
    return put(q, body, len) - out;
}

static uint32_t make_input(const char *target, uint8_t *in) {
    uint32_t n = 0;
    if (strcmp(target, "decode") != 0) {
        uint32_t len = 1 + below(below(4) ? 60 : 400);
        while (n < len) {
            in[n++] = below(5) ? below(256) : below(8);
        }
        return n;
    }
    for (; n < FUZZ_DECODE_HEAD; ++n) {
        in[n] = below(256); // how it is run: the buffer's size, the limit, the pieces
    }
    int last = 0;
    for (uint32_t packets = 1 + below(4); packets > 0 && !last; --packets) {
        n += packet(in + n, &last);
    }
    // Half of the inputs are as above, the others are spoilt.
    for (uint32_t spoils = below(2) * below(6); spoils > 0; --spoils) {
        uint32_t at = FUZZ_DECODE_HEAD + (below(3) ? below(12) : below(n)) % (n - FUZZ_DECODE_HEAD);
        switch (below(5)) {
            case 0:
                in[at] = below(256);
                break;
            case 1:
                in[at] ^= 1 << below(8);
                break;
            case 2:
                in[at] = (uint8_t[]) { 0, 1, 0x7f, 0x80, 0xff }[below(5)];
                break;
            case 3: // what follows moves to the front
                memmove(in + at, in + at + 1, n - at - 1);
                n -= n > FUZZ_DECODE_HEAD + 1;
                break;
            default: // ends here
                n = at + 1;
                break;
        }
    }
    return n;
}

static void call(const char *target, const uint8_t *in, size_t n) {
    // Memory of the input's exact size, so that reading beyond it is seen.
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, in, n);
    if (strcmp(target, "decode") == 0) {
        fuzz_decode(copy, n);
    } else if (strcmp(target, "encode") == 0) {
        fuzz_encode(copy, n);
    } else {
        fuzz_ringlog(copy, n);
    }
    free(copy);
}

int main(int argc, char **argv) {
    static uint8_t in[1 << 20];
    if (argc == 3) {
        FILE *f = fopen(argv[2], "rb");
        if (f == NULL) {
            perror(argv[2]);
            return 2;
        }
        call(argv[1], in, fread(in, 1, sizeof(in), f));
        fclose(f);
        return 0;
    }
    if (argc < 4) {
        fprintf(stderr, "usage: driver TARGET COUNT SEED [DROP] | driver TARGET FILE\n");
        return 2;
    }
    unsigned long count = strtoul(argv[2], NULL, 10);
    state = strtoull(argv[3], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    drop_check = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    for (unsigned long i = 0; i < count; ++i) {
        call(argv[1], in, make_input(argv[1], in));
    }
    printf("%lu inputs, %lu good\n", count, fuzz_good);
    return 0;
}
