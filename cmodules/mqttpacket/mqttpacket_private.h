// SPDX-License-Identifier: MIT
//
// What the files of the packet codec share with each other only.
#ifndef COLDFRAME_MQTTPACKET_PRIVATE_H
#define COLDFRAME_MQTTPACKET_PRIVATE_H

#include "mqttpacket.h"

// The fuzzer must be able to fail: it is also built with one of these bounds
// checks taken out (-DMQTT_TEST_DROP_CHECK=...) and has to find that. Each check
// has a number of its own, 1 to MQTT_BOUNDS. `broken` is true where going on would
// lead out of the bounds; taken out, it is false.
#define MQTT_BOUNDS (37)
#ifdef MQTT_TEST_DROP_CHECK
#define BOUND(n, broken) ((n) != MQTT_TEST_DROP_CHECK && (broken))
#else
#define BOUND(n, broken) (broken)
#endif

// What happens seldom is kept out of what happens often: there it would cost
// registers, and each function that keeps them the time to save them.
#define NOINLINE __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline uint32_t mqtt_get16(const uint8_t *p) {
    return p[0] * 256u + p[1]; // a sum, since GCC makes more of an "or" than there is
}

// 0 if the bytes are UTF-8 without NUL (and, as a topic, without wildcards), else an error.
int mqtt_check_string(const uint8_t *s, uint32_t len, bool is_topic);

// Where the first byte from s on is that is not plain (from ',' to DEL: letters,
// digits, the slash ... but not NUL, the wildcards and what is not ASCII), or `end`.
const uint8_t *mqtt_skip_plain(const uint8_t *s, const uint8_t *end);

// 0 if a packet of this version may begin with this byte, else an error.
int mqtt_check_first_byte(uint32_t byte, uint8_t version);

// Is it a filter of a shared subscription?
bool mqtt_is_shared(const uint8_t *filter, uint32_t len);

// 0 if a SUBSCRIBE may have these options for the filter, else an error.
int mqtt_check_options(uint8_t version, uint8_t options, const uint8_t *filter, uint32_t len);

// A variable byte integer from [p, end): its value goes to *value. Returns how many
// bytes it has, 0 if it does not end before `end`, or an error.
int mqtt_get_varint(const uint8_t *p, const uint8_t *end, uint32_t *value);

// Write one; write a length and a string. They return where they ended.
uint8_t *mqtt_put_varint(uint8_t *p, uint32_t value);
uint8_t *mqtt_put_string(uint8_t *p, mqtt_string_t s);

// How many bytes a variable byte integer has.
static inline uint32_t mqtt_varint_size(uint32_t value) {
    return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4;
}

// Takes the properties and their length from *p. Sets d->props and d->props_len,
// returns 0 or an error.
int mqtt_take_props(mqtt_decoder_t *d, const uint8_t **p, const uint8_t *end, uint8_t type);

// Every packet but PUBLISH. It is whole: its body is [p, end). Sets the fields of
// d, returns 0 or an error.
int mqtt_parse_other(mqtt_decoder_t *d, const uint8_t *p, const uint8_t *end);

#endif // COLDFRAME_MQTTPACKET_PRIVATE_H
