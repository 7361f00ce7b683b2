// SPDX-License-Identifier: MIT
//
// The strings of MQTT: UTF-8, topic names, topic filters, and which filter selects
// which topic.

#include <string.h>

#include "mqttpacket_private.h"

// One character of two to four bytes whose first byte is c; its other bytes
// begin at s. Returns how many they are, 0 if it is not UTF-8.
static uint32_t utf8_tail(uint32_t c, const uint8_t *s, const uint8_t *end) {
    uint32_t n, low;
    if (c >= 0xf0) {
        n = 3, low = 0x10000, c &= 0x0f; // c of f8 and more comes out above 10ffff
    } else if (c >= 0xe0) {
        n = 2, low = 0x800, c &= 0x0f;
    } else if (c >= 0xc2) {
        n = 1, low = 0x80, c &= 0x1f;
    } else {
        return 0; // a continuation byte, or c0/c1, which can only be overlong
    }
    if (BOUND(1, (uint32_t)(end - s) < n)) {
        return 0;
    }
    for (uint32_t i = 0; i < n; ++i) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < low || c > 0x10ffff || (c & ~0x7ffu) == 0xd800) {
        return 0; // overlong, beyond Unicode, or half of a surrogate pair
    }
    return n;
}

#define IS_PLAIN(c) ((uint32_t)(c) - ',' < 0x80 - ',')

const uint8_t *mqtt_skip_plain(const uint8_t *s, const uint8_t *end) {
    for (; s < end && ((uintptr_t)s & 3) != 0; ++s) {
        if (!IS_PLAIN(*s)) {
            return s;
        }
    }
    // Four at once: adding 0x80 - ',' sets the high bit of a plain byte. Where a
    // carry comes out of a byte, its own high bit was set, and that is seen too.
    for (; !BOUND(33, end - s < 4); s += 4) {
        uint32_t w;
        memcpy(&w, __builtin_assume_aligned(s, 4), 4);
        if ((w | ~(w + 0x54545454)) & 0x80808080) {
            break;
        }
    }
    while (s < end && IS_PLAIN(*s)) {
        ++s;
    }
    return s;
}

// Valid UTF-8 without NUL; a topic name also without wildcards.
int mqtt_check_string(const uint8_t *s, uint32_t len, bool is_topic) {
    if (len == 0) {
        return 0; // and s may be NULL
    }
    const uint8_t *end = s + len;
    while ((s = mqtt_skip_plain(s, end)) < end) {
        uint32_t c = *s++;
        if (c >= 0x80) {
            uint32_t n = utf8_tail(c, s, end);
            if (n == 0) {
                return MQTT_ERR_UTF8;
            }
            s += n;
        } else if (c == 0) {
            return MQTT_ERR_NUL;
        } else if (is_topic && (c == '+' || c == '#')) {
            return MQTT_ERR_TOPIC_WILDCARD;
        }
    }
    return 0;
}

int mqtt_check_topic(const uint8_t *s, uint32_t len) {
    if (len == 0) {
        return MQTT_ERR_TOPIC_EMPTY;
    }
    if (len > 0xffff) {
        return MQTT_ERR_STRING;
    }
    return mqtt_check_string(s, len, true);
}

// Where the filter of a shared subscription begins: after $share/GROUP/ (section
// 4.8.2). Returns `filter` if it is an ordinary one, NULL if it is ill-formed.
static const uint8_t *shared_filter(const uint8_t *filter, uint32_t len) {
    if (!mqtt_is_shared(filter, len)) {
        return filter;
    }
    const uint8_t *f = filter + 7, *end = filter + len;
    while (!BOUND(32, f == end) && *f != '/') {
        if (*f == '+' || *f == '#') {
            return NULL;
        }
        ++f;
    }
    return end - f < 2 || f == filter + 7 ? NULL : f + 1;
}

bool mqtt_is_shared(const uint8_t *filter, uint32_t len) {
    return len >= 7 && memcmp(filter, "$share/", 7) == 0;
}

int mqtt_check_filter(const uint8_t *s, uint32_t len) {
    if (len == 0) {
        return MQTT_ERR_TOPIC_EMPTY;
    }
    if (len > 0xffff) {
        return MQTT_ERR_STRING;
    }
    int error = mqtt_check_string(s, len, false);
    if (error < 0) {
        return error;
    }
    const uint8_t *start = shared_filter(s, len);
    if (start == NULL) {
        return MQTT_ERR_FILTER;
    }
    for (uint32_t i = start - s; i < len; ++i) {
        if (s[i] != '+' && s[i] != '#') {
            continue;
        }
        bool last = i + 1 == len;
        if ((i > 0 && s[i - 1] != '/') || !(last || (s[i] == '+' && s[i + 1] == '/'))) {
            return MQTT_ERR_FILTER; // a wildcard is a whole level, and # the last one
        }
    }
    return 0;
}

int mqtt_check_options(uint8_t version, uint8_t options, const uint8_t *filter, uint32_t len) {
    if ((options & 3) == 3 || (version < MQTT_V5 && options > 2)) {
        return MQTT_ERR_QOS;
    }
    if (options & 0xc0) {
        return MQTT_ERR_OPTIONS; // MQTT-3.8.3-5
    }
    if ((options & 0x30) == 0x30) {
        return MQTT_ERR_RETAIN_HANDLING;
    }
    return (options & 4) && mqtt_is_shared(filter, len) ? MQTT_ERR_NO_LOCAL : 0; // MQTT-3.8.3-4
}

bool mqtt_match(const uint8_t *filter, uint32_t filter_len, const uint8_t *topic, uint32_t topic_len) {
    const uint8_t *f = shared_filter(filter, filter_len), *f_end = filter + filter_len;
    const uint8_t *t = topic, *t_end = topic + topic_len;
    if (f == NULL) {
        return false;
    }
    if (f == f_end || t == t_end) {
        return false;
    }
    if (*t == '$' && (*f == '+' || *f == '#')) {
        return false; // MQTT-4.7.2-1
    }
    bool level_start = true;
    while (f < f_end) {
        if (*f == '#') {
            return level_start && f + 1 == f_end;
        }
        if (*f == '+') {
            if (!level_start || (f + 1 < f_end && f[1] != '/')) {
                return false;
            }
            while (t < t_end && *t != '/') {
                ++t;
            }
            ++f;
            level_start = false;
            continue;
        }
        if (t == t_end) {
            return f_end - f == 2 && f[0] == '/' && f[1] == '#'; // a/# selects a as well
        }
        if (*f != *t) {
            return false;
        }
        level_start = *f == '/';
        ++f;
        ++t;
    }
    return t == t_end;
}
