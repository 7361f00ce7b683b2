// SPDX-License-Identifier: MIT
//
// See reference.h. The sections are those of the standards: 3.1.1 and 5.0 number
// the packets alike.
#include <string.h>

#include "mqttpacket.h"
#include "reference.h"

// Reads on, and remembers once it was asked for more than there is.
typedef struct _cursor_t {
    const uint8_t *p;
    uint32_t at, end;
    int bad;
} cursor_t;

static uint32_t number(cursor_t *c, uint32_t bytes) {
    uint32_t value = 0;
    if (c->bad || c->end - c->at < bytes) {
        c->bad = 1;
        return 0;
    }
    while (bytes-- > 0) {
        value = value * 256 + c->p[c->at++];
    }
    return value;
}

static span_t bytes(cursor_t *c, uint32_t n) {
    span_t s = { c->at, n };
    if (c->bad || c->end - c->at < n) {
        c->bad = 1;
        return (span_t) { 0, 0 };
    }
    c->at += n;
    return s;
}

static span_t binary(cursor_t *c) {
    return bytes(c, number(c, 2));
}

static span_t text(cursor_t *c, int topic) {
    span_t s = binary(c);
    c->bad |= !reference_text(c->p + s.at, s.len, topic);
    return s;
}

static uint32_t varint(cursor_t *c) { // 1.5.5
    uint32_t value = 0, factor = 1;
    for (int i = 0; i < 4; ++i, factor *= 128) {
        uint32_t byte = number(c, 1);
        value += (byte & 127) * factor;
        if (byte < 128) {
            c->bad |= i > 0 && byte == 0; // fewer bytes would do
            return value;
        }
    }
    c->bad = 1;
    return 0;
}

int reference_text(const uint8_t *s, size_t n, int topic) { // 1.5.3 and 4.7
    for (size_t i = 0; i < n;) {
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

// ---------------------------------------------------------------- topics

// The level that begins at *at, without its '/'; *at moves to the next one, SIZE_MAX after the last.
static span_t level(const uint8_t *s, size_t n, size_t *at) {
    size_t begin = *at, end = begin;
    while (end < n && s[end] != '/') {
        ++end;
    }
    *at = end < n ? end + 1 : SIZE_MAX;
    return (span_t) { begin, end - begin };
}

static int is(const uint8_t *s, span_t l, char c) {
    return l.len == 1 && s[l.at] == c;
}

static int has(const uint8_t *s, span_t l, char c) {
    return l.len > 0 && memchr(s + l.at, c, l.len) != NULL;
}

// Wildcards stand alone in their level, '#' only in the last one (4.7.1).
static int well_formed(const uint8_t *s, size_t n) {
    for (size_t at = 0; at != SIZE_MAX;) {
        span_t l = level(s, n, &at);
        if ((has(s, l, '+') && !is(s, l, '+')) || (has(s, l, '#') && !(is(s, l, '#') && at == SIZE_MAX))) {
            return 0;
        }
    }
    return n > 0;
}

// "$share/GROUP/FILTER": where FILTER begins, 0 for an ordinary filter, SIZE_MAX if
// it is ill-formed (4.8.2: a group is one character or more, none of them / + #).
static size_t shared(const uint8_t *f, size_t n) {
    if (n < 7 || memcmp(f, "$share/", 7) != 0) {
        return 0;
    }
    size_t at = 7;
    span_t group = level(f, n, &at);
    return group.len == 0 || has(f, group, '+') || has(f, group, '#') || at == SIZE_MAX || at == n ? SIZE_MAX : at;
}

int reference_filter(const uint8_t *s, size_t n) {
    if (!reference_text(s, n, 0) || !well_formed(s, n)) {
        return REF_NO;
    }
    return shared(s, n) == SIZE_MAX ? REF_EITHER : REF_YES;
}

static int selects(const uint8_t *f, size_t fn, const uint8_t *t, size_t tn) {
    size_t i = 0, k = 0;
    if (tn == 0 || (t[0] == '$' && (f[0] == '+' || f[0] == '#'))) {
        return 0; // 4.7.2
    }
    while (i != SIZE_MAX) {
        span_t a = level(f, fn, &i);
        if (is(f, a, '#')) {
            return 1; // the parent level too
        }
        if (k == SIZE_MAX) {
            return 0;
        }
        span_t b = level(t, tn, &k);
        if (!is(f, a, '+') && (a.len != b.len || memcmp(f + a.at, t + b.at, a.len) != 0)) {
            return 0;
        }
    }
    return k == SIZE_MAX;
}

int reference_match(const uint8_t *f, size_t fn, const uint8_t *t, size_t tn) {
    size_t skip = shared(f, fn);
    return skip != SIZE_MAX && well_formed(f + skip, fn - skip) && selects(f + skip, fn - skip, t, tn);
}

// ------------------------------------------------------------ properties

// 2.2.2.2: how the value is written, from identifier 0 on. b w l: 1, 2, 4 bytes;
// v: variable; x: binary; t: text; T: topic name; p: two texts.
static const char kinds[] = ".blt....Tx.v.....ltw.txblbt.t..t.wwwbbplbbb";

// In which packets: C CONNECT, c CONNACK, P PUBLISH, S SUBSCRIBE, U UNSUBSCRIBE, D DISCONNECT,
// A AUTH, W the will; a: what acknowledges (PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK).
static const char *where(uint32_t id) {
    switch (id) {
        case 0x01: // payload format indicator
        case 0x02: // message expiry interval
        case 0x03: // content type
        case 0x08: // response topic
        case 0x09: // correlation data
            return "PW";
        case 0x0b: // subscription identifier
            return "PS";
        case 0x11: // session expiry interval
            return "CcD";
        case 0x15: // authentication method
        case 0x16: // authentication data
            return "CcA";
        case 0x17: // request problem information
        case 0x19: // request response information
            return "C";
        case 0x18: // will delay interval
            return "W";
        case 0x1c: // server reference
            return "cD";
        case 0x1f: // reason string
            return "caDA";
        case 0x21: // receive maximum
        case 0x22: // topic alias maximum
        case 0x27: // maximum packet size
            return "Cc";
        case 0x23: // topic alias
            return "P";
        case 0x26: // user property
            return "CcPWaSUDA";
        default: // the others tell what the server can do
            return "c";
    }
}

static const char packets[] = "WCcPaaaaSaUa..DA"; // by type

// Walks over properties. seen: how often each is there.
static int walk(const uint8_t *p, size_t n, uint32_t type, uint8_t *seen) {
    cursor_t c = { p, 0, n, 0 };
    if (packets[type & 15] == '.') {
        return n == 0;
    }
    while (c.at < c.end && !c.bad) {
        uint32_t id = varint(&c), value = 1;
        if (id >= sizeof(kinds) - 1 || kinds[id] == '.' || !strchr(where(id), packets[type])) {
            return 0;
        }
        switch (kinds[id]) {
            case 'b':
                c.bad |= number(&c, 1) > 1; // each of them is a yes or no
                break;
            case 'w':
                value = number(&c, 2);
                break;
            case 'l':
                value = number(&c, 4);
                break;
            case 'v':
                value = varint(&c);
                break;
            case 'x':
                binary(&c);
                break;
            case 'T':
                c.bad |= text(&c, 1).len == 0;
                break;
            case 'p':
                text(&c, 0);
                text(&c, 0);
                break;
            default:
                text(&c, 0);
                break;
        }
        if (value == 0 && (id == 0x0b || id == 0x21 || id == 0x23 || id == 0x27)) {
            return 0;
        }
        if (seen[id] && id != 0x26 && !(id == 0x0b && type == MQTT_PUBLISH)) {
            return 0;
        }
        seen[id] = 1;
    }
    if ((seen[0x16] || type == MQTT_AUTH) && !seen[0x15]) {
        return 0; // 3.1.2.11.10, 3.15.2.2.2
    }
    return !c.bad;
}

int reference_props(const uint8_t *p, size_t n, uint32_t type) {
    uint8_t seen[sizeof(kinds)] = { 0 };
    return walk(p, n, type, seen);
}

static int has_alias(const uint8_t *p, size_t n) {
    uint8_t seen[sizeof(kinds)] = { 0 };
    return walk(p, n, MQTT_PUBLISH, seen) && seen[0x23];
}

// 2.4, with the letters of where() and: b PUBACK and PUBREC, r PUBREL and PUBCOMP,
// s SUBACK, u UNSUBACK.
int reference_code(int version, uint32_t type, uint32_t code) {
    static const char carriers[] = "..c.bbrr.s.u..DA";
    static const char *const errors[] = {
        "cbsuD", "cD", "cD", "cbsuD", "c", "c", "c", "cbsuD", "c", "cD", "c", "D", "cD", "D", "D", "suD", // 0x80
        "cbD", "bsu", "r", "D", "D", "cD", "D", "cbsD", "D", "cbD", "cD", "cD", "cD", "cD", "sD", "cD", // 0x90
        "D", "sD", "sD", // 0xa0
    };
    if (version < 5) {
        return type == MQTT_CONNACK ? code <= 5 : type == MQTT_SUBACK ? code <= 2 || code == 128 : code == 0;
    }
    char who = carriers[type & 15];
    if (who == '.') {
        return 0;
    }
    switch (code) {
        case 0:
            return 1;
        case 1:
        case 2:
            return who == 's';
        case 4:
            return who == 'D';
        case 0x10:
            return who == 'b';
        case 0x11:
            return who == 'u';
        case 0x18:
        case 0x19:
            return who == 'A';
        default:
            return code >= 0x80 && code <= 0xa2 && strchr(errors[code - 0x80], who) != NULL;
    }
}

// --------------------------------------------------------------- packets

static span_t props(cursor_t *c, uint32_t type) {
    span_t s = bytes(c, varint(c));
    c->bad |= !c->bad && !reference_props(c->p + s.at, s.len, type);
    return s;
}

// What is left of the packet.
static span_t rest(cursor_t *c) {
    return bytes(c, c->end - c->at);
}

static void connect(reference_t *r, cursor_t *c, int version) { // 3.1
    span_t name = binary(c);
    c->bad |= name.len != 4 || memcmp(c->p + name.at, "MQTT", 4) != 0;
    c->bad |= number(c, 1) != (uint32_t)version;
    r->code = number(c, 1);
    int will = r->code >> 2 & 1, will_qos = r->code >> 3 & 3, retain = r->code >> 5 & 1;
    int password = r->code >> 6 & 1, user = r->code >> 7 & 1;
    c->bad |= (r->code & 1) || will_qos == 3 || (!will && (will_qos || retain));
    c->bad |= version == 4 && password && !user;
    r->session = r->code >> 1 & 1;
    r->keepalive = number(c, 2);
    if (version == 5) {
        r->props = props(c, MQTT_CONNECT);
    }
    r->topic = text(c, 0);
    if (version == 4 && r->topic.len == 0 && !r->session) {
        r->valid = REF_EITHER; // 3.1.3-8: to be answered with code 2, or not at all
    }
    r->payload = (span_t) { c->at, c->end - c->at };
    if (will) {
        if (version == 5) {
            r->will_props = props(c, 0);
        }
        r->will_topic = text(c, 1);
        c->bad |= r->will_topic.len == 0;
        r->will_payload = binary(c);
    }
    if (user) {
        r->user = text(c, 0);
    }
    if (password) {
        r->password = binary(c);
    }
}

static void subscribe(reference_t *r, cursor_t *c, int version) { // 3.8 and 3.10
    r->id = number(c, 2);
    if (version == 5) {
        r->props = props(c, r->type);
    }
    r->payload = (span_t) { c->at, c->end - c->at };
    c->bad |= c->at == c->end;
    for (int first = 1; c->at < c->end && !c->bad; first = 0) {
        span_t filter = binary(c);
        int good = reference_filter(c->p + filter.at, filter.len);
        uint32_t options = r->type == MQTT_SUBSCRIBE ? number(c, 1) : 0;
        c->bad |= good == REF_NO || (options & 3) == 3;
        c->bad |= version == 4 ? options > 2 : options >= 64 || (options & 0x30) == 0x30;
        if (version == 5 && (options & 4)) {
            c->bad |= filter.len > 7 && memcmp(c->p + filter.at, "$share/", 7) == 0; // 3.8.3-4
        }
        if (good == REF_EITHER) {
            r->valid = REF_EITHER;
        }
        if (first) {
            r->topic = filter;
            r->code = options;
        }
    }
}

static void body(reference_t *r, cursor_t *c, int version) {
    switch (r->type) {
        case MQTT_CONNECT:
            connect(r, c, version);
            break;
        case MQTT_CONNACK: // 3.2
            r->session = number(c, 1);
            r->code = number(c, 1);
            c->bad |= r->session > 1 || (r->session && r->code);
            if (version == 5 && c->at == c->end && r->code == 1 && !r->session) {
                r->valid = REF_EITHER; // so a server of 3.1.1 refuses the version
                r->code = 0x84;
            } else if (version == 5) {
                r->props = props(c, r->type);
            }
            break;
        case MQTT_PUBLISH: // 3.3
            r->topic = text(c, 1);
            if (r->flags & 6) {
                r->id = number(c, 2);
            }
            if (version == 5) {
                r->props = props(c, r->type);
            }
            if (r->topic.len == 0) {
                c->bad |= version == 4 || !has_alias(c->p + r->props.at, r->props.len);
            }
            r->payload = rest(c);
            break;
        case MQTT_SUBSCRIBE:
        case MQTT_UNSUBSCRIBE:
            subscribe(r, c, version);
            break;
        case MQTT_SUBACK: // 3.9
        case MQTT_UNSUBACK: // 3.11
            r->id = number(c, 2);
            if (version == 4 && r->type == MQTT_UNSUBACK) {
                break;
            }
            if (version == 5) {
                r->props = props(c, r->type);
            }
            r->payload = rest(c);
            c->bad |= r->payload.len == 0;
            for (uint32_t i = 0; i < r->payload.len; ++i) {
                c->bad |= !reference_code(version, r->type, c->p[r->payload.at + i]);
            }
            r->code = c->bad ? 0 : c->p[r->payload.at];
            break;
        case MQTT_PINGREQ:
        case MQTT_PINGRESP:
            break;
        case MQTT_DISCONNECT: // 3.14
        case MQTT_AUTH: // 3.15
            if (version == 5 && c->at < c->end) {
                r->code = number(c, 1);
                if (c->at < c->end) {
                    r->props = props(c, r->type);
                }
            }
            if (r->type == MQTT_AUTH && r->props.len == 0 && !c->bad) {
                r->valid = REF_EITHER; // 3.15.2.1 lets all be left out, 3.15.2.2.2 wants the method
            }
            break;
        default: // PUBACK PUBREC PUBREL PUBCOMP, 3.4 to 3.7
            r->id = number(c, 2);
            if (version == 5 && c->at < c->end) {
                r->code = number(c, 1);
                if (c->at < c->end) {
                    r->props = props(c, r->type);
                }
            }
            break;
    }
}

reference_t reference(const uint8_t *p, size_t n, int version) {
    reference_t r = { .valid = REF_YES };
    if (n == 0) {
        return r;
    }
    static const uint8_t must[] = { 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0 }; // 2.2.2
    r.type = p[0] / 16;
    r.flags = p[0] % 16;
    uint32_t qos = r.flags / 2 % 4;
    if (r.type == 0 || (r.type == MQTT_AUTH && version == 4)) {
        r.valid = REF_NO;
    } else if (r.type == MQTT_PUBLISH) {
        r.valid = qos == 3 || (qos == 0 && r.flags >= 8) ? REF_NO : REF_YES;
    } else if (r.flags != must[r.type]) {
        r.valid = REF_NO;
    }
    // The remaining length: 3.1.1 does not ask for the fewest bytes.
    uint32_t len = 0, at = 1, factor = 1;
    for (;; factor *= 128) {
        if (at == 5) {
            r.valid = REF_NO;
            return r;
        }
        if (at == n) {
            return r;
        }
        len += (p[at] & 127) * factor;
        if (p[at++] < 128) {
            break;
        }
    }
    int longer = version == 5 && at > 2 && p[at - 1] == 0;
    r.total = at + len;
    r.whole = r.total <= n;
    if (!r.whole || r.valid == REF_NO) {
        return r;
    }
    cursor_t c = { p, at, r.total, 0 };
    body(&r, &c, version);
    int wants = r.type == MQTT_PUBLISH ? qos > 0 : r.type >= MQTT_PUBACK && r.type <= MQTT_UNSUBACK;
    int coded = r.type == MQTT_CONNACK || (r.type >= MQTT_PUBACK && r.type <= MQTT_PUBCOMP) || r.type >= MQTT_DISCONNECT;
    if (c.bad || c.at != c.end || wants != (r.id != 0) || (coded && !reference_code(version, r.type, r.code))) {
        r.valid = REF_NO;
    } else if (longer) {
        r.valid = REF_EITHER;
    }
    return r;
}
