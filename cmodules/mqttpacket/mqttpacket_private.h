// SPDX-License-Identifier: MIT
//
// What the files of the packet codec share with each other only.
#ifndef COLDFRAME_MQTTPACKET_PRIVATE_H
#define COLDFRAME_MQTTPACKET_PRIVATE_H

#include "mqttpacket.h"

// The fuzzer must be able to fail: it is also built with one of these bounds
// checks taken out (-DMQTT_TEST_DROP_CHECK=...) and has to find that.
#ifdef MQTT_TEST_DROP_CHECK
#define BOUND(n, broken) ((n) != MQTT_TEST_DROP_CHECK && (broken))
#else
#define BOUND(n, broken) (broken)
#endif

static inline uint32_t mqtt_get16(const uint8_t *p) {
    return (uint32_t)p[0] << 8 | p[1];
}

// 0 if the bytes are UTF-8 without NUL (and, as a topic, without wildcards), else an error.
int mqtt_check_string(const uint8_t *s, uint32_t len, bool is_topic);

// 0 if a packet may begin with this byte, else an error.
int mqtt_check_first_byte(uint32_t byte);

#endif // COLDFRAME_MQTTPACKET_PRIVATE_H
