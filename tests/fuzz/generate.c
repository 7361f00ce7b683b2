// SPDX-License-Identifier: MIT
//
// See generate.h. Packets are written here as the standards say, without our own
// encoder, and often a little wrong.
#include <string.h>

#include "fuzz.h"
#include "generate.h"
#include "mqttpacket.h"

static uint64_t state;

void generate_seed(uint64_t seed) {
    state = seed * 0x9e3779b97f4a7c15u + 1;
}

static uint32_t below(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

static uint8_t *put(uint8_t *p, const void *data, size_t n) {
    memcpy(p, data, n);
    return p + n;
}

static uint8_t *put_number(uint8_t *p, uint32_t value, int bytes) {
    while (bytes-- > 0) {
        *p++ = value >> (8 * bytes);
    }
    return p;
}

static uint8_t *put_text(uint8_t *p, const char *s) {
    return put(put_number(p, strlen(s), 2), s, strlen(s));
}

static const char *some_text(int filter) {
    static const char *topics[] = {
        "a", "a/b", "home/greenhouse/temperature", "\xc3\xa5/\xe2\x82\xac/\xf0\x9f\x8c\xb1", "t/\xc3", "x\xe2\x82", "\xf0\x9f\x8c",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", "",
    };
    static const char *filters[] = { "#", "a/+", "+/b/#", "a", "$share/g/a", "x\xe2\x82", "$share/g/+" };
    return filter ? filters[below(7)] : topics[below(8) ? below(4) : below(9)];
}

// Remaining or property length, sometimes in more bytes than it needs.
static uint8_t *put_varint(uint8_t *p, uint32_t value) {
    int extra = below(40) == 0 ? below(5) : 0;
    value &= 0xfffffff;
    while (value >= 0x80 || extra-- > 0) {
        *p++ = value | 0x80;
        value >>= 7;
    }
    *p++ = value;
    return p;
}

// One property with a value that it may have, mostly.
static uint8_t *put_property(uint8_t *p, uint8_t id) {
    static const char *kinds = ".blt....tx.v.....ltw.txblbt.t..t.wwwbbplbbb";
    char kind = id <= 0x2a ? kinds[id] : '.';
    *p++ = id;
    switch (kind) {
        case 'b':
            *p++ = below(20) ? below(2) : below(256);
            return p;
        case 'w':
            return put_number(p, below(10) ? 1 + below(300) : below(2), 2);
        case 'l':
            return put_number(p, below(10) ? 1 + below(100000) : below(2) - 1, 4);
        case 'v':
            return put_varint(p, below(8) ? 1 + below(300) : below(1 << 28) >> below(28));
        case 'x':
            return put_text(p, "\xff\1binary");
        case 'p':
            p = put_text(p, some_text(0));
            // fall through
        default:
            return put_text(p, some_text(below(20) == 0));
    }
}

// Properties with their length: mostly such that a packet of this type has (0: the will).
static uint8_t *put_props(uint8_t *p, uint32_t type) {
    static const char *of[16] = {
        "\1\2\3\x08\x09\x18", "\x11\x15\x16\x17\x19\x21\x22\x27",
        "\x11\x12\x13\x15\x16\x1a\x1c\x1f\x21\x22\x24\x25\x27\x28\x29\x2a", "\1\2\3\x08\x09\x0b\x23",
        "\x1f", "\x1f", "\x1f", "\x1f", "\x0b", "\x1f", "\x26", "\x1f", "\x26", "\x26", "\x11\x1c\x1f", "\x15\x16\x1f",
    };
    uint8_t body[1400], *q = body;
    uint32_t known = strlen(of[type]), at = below(known);
    if (type == MQTT_AUTH) {
        at = 0; // the method is a must
    }
    for (uint32_t n = below(3) ? below(4) : 0; n > 0; --n) {
        // In a row, so that hardly any comes twice.
        q = put_property(q, below(24) == 0 ? below(48) : below(5) == 0 ? 0x26u : (uint8_t)of[type][at++ % known]);
    }
    uint32_t len = q - body, said = below(30) ? len : below(len + 8);
    return put(put_varint(p, said), body, len);
}

// A reason code that a packet of this type may have, mostly.
static uint8_t some_code(uint32_t type) {
    static const char *of[16] = {
        "", "", "\x80\x87\x9f", "", "\x10\x80\x99", "\x10\x97", "\x92", "\x92", "", "\1\2\x80\xa2", "", "\x11\x80\x91", "", "",
        "\4\x81\x8b\x9d", "\x18\x19",
    };
    uint32_t n = strlen(of[type]);
    return below(20) == 0 ? below(256) : n == 0 || below(3) == 0 ? 0 : (uint8_t)of[type][below(n)];
}

static uint8_t *put_connect(uint8_t *p, int v5) {
    uint8_t flags = (uint8_t[]) { 0x02, 0x06, 0x82, 0xc2, 0xee, 0x26, 0x42, 0xf6 }[below(8)];
    p = put(p, "\0\4MQTT", 6);
    *p++ = below(30) ? 4u + v5 : below(7);
    *p++ = flags;
    p = put_number(p, below(65536), 2);
    if (v5) {
        p = put_props(p, MQTT_CONNECT);
    }
    p = put_text(p, some_text(0));
    if (flags & 0x04) {
        if (v5) {
            p = put_props(p, 0);
        }
        p = put_text(p, some_text(0));
        p = put_text(p, some_text(0));
    }
    if (flags & 0x80) {
        p = put_text(p, some_text(0));
    }
    return flags & 0x40 ? put_text(p, some_text(0)) : p;
}

// A packet as a peer sends it, sometimes wrong. *last: nothing may follow it, so
// that what is beyond its end is beyond everything.
static uint32_t packet(uint8_t *out, int v5, int *last) {
    uint8_t body[16384], *p = body;
    uint32_t type = below(3) == 0 ? MQTT_PUBLISH : 1 + below(15);
    uint8_t first = type << 4;
    switch (type) {
        case MQTT_CONNECT:
            p = put_connect(p, v5);
            break;
        case MQTT_CONNACK:
            *p++ = below(20) ? below(2) : below(256);
            *p++ = below(10) && body[0] ? 0 : v5 ? some_code(type) : below(7);
            if (v5) {
                p = put_props(p, type);
            }
            break;
        case MQTT_PUBLISH:
            first |= below(8) ? below(3) << 1 | below(2) : below(16);
            p = put_text(p, v5 && below(8) == 0 ? "" : some_text(below(30) == 0));
            if (first & 6) {
                p = put_number(p, below(8) ? 1 + below(600) : below(2), 2);
            }
            if (v5) {
                p = put_props(p, type);
            }
            for (uint32_t n = below(4) ? below(40) : below(1000); n > 0; --n) {
                *p++ = below(256);
            }
            break;
        case MQTT_SUBSCRIBE:
        case MQTT_UNSUBSCRIBE:
            first |= 2;
            p = put_number(p, 1 + below(300), 2);
            if (v5) {
                p = put_props(p, type);
            }
            for (uint32_t n = below(20) ? 1 + below(3) : 0; n > 0; --n) {
                p = put_text(p, some_text(1));
                if (type == MQTT_SUBSCRIBE) {
                    *p++ = below(8) == 0 ? below(256) : v5 ? below(3) | below(4) << 2 | below(3) << 4 : below(3);
                }
            }
            break;
        case MQTT_SUBACK:
        case MQTT_UNSUBACK:
            p = put_number(p, 1 + below(300), 2);
            if (v5) {
                p = put_props(p, type);
            }
            for (uint32_t n = type == MQTT_SUBACK || v5 ? below(5) : 0; n > 0; --n) {
                *p++ = v5 ? some_code(type) : below(4) ? below(3) : 0x80;
            }
            break;
        case MQTT_PINGREQ:
        case MQTT_PINGRESP:
            break;
        case MQTT_DISCONNECT:
        case MQTT_AUTH:
            if (v5 && below(4)) {
                *p++ = some_code(type);
                p = below(4) ? put_props(p, type) : p;
            }
            break;
        default:
            first |= type == MQTT_PUBREL ? 2 : 0;
            p = put_number(p, below(8) ? 1 + below(600) : below(2), 2);
            if (v5 && below(4)) {
                *p++ = some_code(type);
                p = below(2) ? put_props(p, type) : p;
            }
            break;
    }
    uint32_t len = p - body;
    if (len > 0 && below(8) == 0) {
        len -= 1 + below(below(2) ? 3 : len) % len; // ends in the middle of a field
        *last = 1;
    }
    uint8_t *q = out;
    *q++ = below(60) ? first : first ^ 1 << below(4);
    // Sometimes a length that is not true.
    uint32_t said = below(16) ? len : below(3) ? len - 1 - below(3) : below(1 << 28) >> below(20);
    return put(put_varint(q, said), body, len) - out;
}

// Some bytes at `from` or behind are spoilt; returns how many are left of the n.
static uint32_t spoil(uint8_t *in, uint32_t from, uint32_t n) {
    for (uint32_t spoils = below(2) * below(6); spoils > 0; --spoils) {
        uint32_t at = from + (below(3) ? below(24) : below(n)) % (n - from);
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
                n -= n > from + 1;
                break;
            default: // ends here
                n = at + 1;
                break;
        }
    }
    return n;
}

// A topic or a filter of up to five levels, of which two are alike rather often.
static uint32_t levels(uint8_t *out, int wildcards) {
    static const char *names[] = { "a", "b", "", "ab", "\xc3\xa5", "$s", "x\xc3", "+", "#", "a+", "+", "#" };
    uint8_t *p = out;
    if (wildcards && below(8) == 0) {
        p = put(p, "$share/g/", below(8) ? 9 : below(9));
    }
    for (uint32_t n = 1 + below(5); n > 0; --n) {
        const char *name = names[below(below(3) ? 2 : wildcards ? 12 : 7)];
        p = put(p, name, strlen(name));
        if (n > 1) {
            *p++ = '/';
        }
    }
    return p - out;
}

uint32_t generate_input(const char *target, uint8_t *in) {
    uint32_t n = 0;
    if (strcmp(target, "topic") == 0) {
        in[0] = levels(in + 1, 1);
        return 1 + in[0] + levels(in + 1 + in[0], below(16) == 0);
    }
    if (strcmp(target, "props") == 0) {
        uint8_t with_length[1500], *p = with_length;
        in[n++] = below(16);
        in[n++] = below(64);
        p = put_props(p, in[0]);
        uint32_t skip = 1;
        while (with_length[skip - 1] & 0x80) {
            ++skip;
        }
        n = put(in + n, with_length + skip, p - with_length - skip) - in;
        return n > 2 ? spoil(in, 2, n) : n;
    }
    if (strcmp(target, "decode") != 0) {
        uint32_t len = 1 + below(below(4) ? 60 : 400);
        while (n < len) {
            in[n++] = below(5) ? below(256) : below(8);
        }
        return n;
    }
    for (; n < FUZZ_DECODE_HEAD; ++n) {
        in[n] = below(256); // how it is run: the version, the buffer's size, the limit, the pieces
    }
    int last = 0;
    for (uint32_t packets = 1 + below(4); packets > 0 && !last; --packets) {
        n += packet(in + n, below(40) ? in[0] & 1 : !(in[0] & 1), &last);
    }
    // Half of the inputs are as above, the others are spoilt.
    return spoil(in, FUZZ_DECODE_HEAD, n);
}
