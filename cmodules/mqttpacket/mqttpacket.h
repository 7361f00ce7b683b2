// SPDX-License-Identifier: MIT
//
// MQTT 3.1.1 packets in plain C: an incremental decoder over a fixed buffer,
// encoders into a caller's buffer, topic-filter match.
//
// Nothing here allocates, recurses, asserts, does input or output, or keeps
// static state. Nothing reads or writes outside the buffers it was given,
// whatever the bytes are: tests/fuzz/ proves it. Sizes are in bytes.
#ifndef COLDFRAME_MQTTPACKET_H
#define COLDFRAME_MQTTPACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Packet types, the high nibble of a packet's first byte.
enum {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
    MQTT_AUTH,
};

#define MQTT_MAX_REMAINING (268435455u) // what four length bytes can say
#define MQTT_MIN_BUFFER (16u) // smallest decoder buffer: any acknowledgement fits

// What can be wrong. Every function that can fail returns one of these.
enum {
    MQTT_ERR_TYPE = -1,
    MQTT_ERR_FLAGS = -2,
    MQTT_ERR_QOS = -3,
    MQTT_ERR_DUP = -4,
    MQTT_ERR_LENGTH = -5,
    MQTT_ERR_SHORT = -6,
    MQTT_ERR_TRAILING = -7,
    MQTT_ERR_ID = -8,
    MQTT_ERR_TOPIC_EMPTY = -9,
    MQTT_ERR_TOPIC_WILDCARD = -10,
    MQTT_ERR_UTF8 = -11,
    MQTT_ERR_NUL = -12,
    MQTT_ERR_CODE = -13,
    MQTT_ERR_SESSION = -14,
    MQTT_ERR_CONNECT_FLAGS = -15,
    MQTT_ERR_PROTOCOL = -16,
    MQTT_ERR_FILTER = -17,
    MQTT_ERR_NO_ENTRY = -18,
    MQTT_ERR_LIMIT = -19,
    MQTT_ERR_BUFFER = -20,
    MQTT_ERR_STRING = -21,
    MQTT_ERR_TOO_BIG = -22,
    MQTT_ERR_LAST = -22,
};

// One English sentence for an error above, without a full stop.
const char *mqtt_error_text(int error);

// The reason code that MQTT 5 gives to an error above (0x81, 0x82, 0x95 ...);
// the best short name of the failure for 3.1.1 too.
uint8_t mqtt_error_reason(int error);

// --------------------------------------------------------------- decoder

typedef struct _mqtt_decoder_t {
    // The buffer and what is in it: bytes [pos, end) wait to be parsed, and
    // while a PUBLISH comes in parts [0, hold) keeps its header.
    uint8_t *buf;
    uint32_t size;
    uint32_t limit; // largest packet accepted, 0: what the protocol can say
    uint32_t pos;
    uint32_t end;
    uint32_t hold;
    uint32_t part_end; // PUBLISH in parts: payload bytes delivered so far
    int error; // once failed it stays failed, until a reset

    // The packet that mqtt_decoder_next() has delivered. Offsets into buf.
    uint8_t type; // 0: none
    uint8_t flags; // low nibble of the first byte
    uint8_t code; // CONNACK, SUBACK: (first) return code; SUBSCRIBE: first QoS; CONNECT: connect flags
    bool session; // CONNACK: session present; CONNECT: clean session
    uint16_t id; // packet identifier, 0: none
    uint16_t keepalive; // CONNECT: seconds
    uint32_t topic; // PUBLISH; first filter of (UN)SUBSCRIBE; client identifier of CONNECT
    uint32_t topic_len;
    uint32_t payload; // PUBLISH (this part); return codes of SUBACK; the entries of
    uint32_t payload_len; // (UN)SUBSCRIBE; what follows the client identifier of CONNECT
    uint32_t part; // PUBLISH in parts: payload bytes delivered before this part
    uint32_t more; // PUBLISH in parts: payload bytes still to come
} mqtt_decoder_t;

// Start with an empty buffer.
//   size: MQTT_MIN_BUFFER or more. A PUBLISH larger than it comes in parts.
//   limit: packets longer than this in total are an error; 0: no limit.
void mqtt_decoder_init(mqtt_decoder_t *d, uint8_t *buf, uint32_t size, uint32_t limit);

// Forget everything that was received: for a new connection.
void mqtt_decoder_reset(mqtt_decoder_t *d);

// Where the next bytes of the stream go, and how many. Drops the packet that
// was delivered last and moves what is left to the front. 0 bytes only if
// mqtt_decoder_next() has not been called until it returned 0.
uint8_t *mqtt_decoder_space(mqtt_decoder_t *d, uint32_t *space);

// Say that n bytes have been put there.
void mqtt_decoder_filled(mqtt_decoder_t *d, uint32_t n);

// The next packet. Returns its type (its fields are then in d), 0 when more
// bytes are needed, or an error.
//
// A PUBLISH that does not fit the buffer is delivered in parts, each as large
// as the buffer allows: d->more says what is still to come, d->part what came
// before. Topic and identifier stay valid during all parts.
int mqtt_decoder_next(mqtt_decoder_t *d);

// -------------------------------------------------------------- encoders
//
// Each returns the length of the packet in bytes, or an error. If the length
// is more than `size`, nothing has been written.

typedef struct _mqtt_string_t {
    const uint8_t *data; // NULL: absent
    uint32_t len;
} mqtt_string_t;

typedef struct _mqtt_connect_t {
    mqtt_string_t client_id;
    mqtt_string_t will_topic;
    mqtt_string_t will_payload;
    mqtt_string_t user;
    mqtt_string_t password;
    uint16_t keepalive; // seconds
    uint8_t will_qos;
    bool will_retain;
    bool clean;
} mqtt_connect_t;

int32_t mqtt_encode_connect(uint8_t *buf, uint32_t size, const mqtt_connect_t *c);
int32_t mqtt_encode_connack(uint8_t *buf, uint32_t size, bool session, uint8_t code);

// The header of a PUBLISH, up to where the payload begins: the return value
// does not count the payload.
//   flags: DUP (8), QoS << 1, RETAIN (1). id: 1 to 65535 for QoS 1 and 2, else 0.
int32_t mqtt_encode_publish(uint8_t *buf, uint32_t size, mqtt_string_t topic,
    uint32_t payload_len, uint8_t flags, uint16_t id);

// PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK.
int32_t mqtt_encode_ack(uint8_t *buf, uint32_t size, uint8_t type, uint16_t id);

int32_t mqtt_encode_subscribe(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter, uint8_t qos);
int32_t mqtt_encode_suback(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t codes);
int32_t mqtt_encode_unsubscribe(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter);

// ---------------------------------------------------------------- topics

// Does a topic filter (with + and #, perhaps $share/GROUP/ before it) select a
// topic? An ill-formed filter selects nothing.
bool mqtt_match(const uint8_t *filter, uint32_t filter_len, const uint8_t *topic, uint32_t topic_len);

// 0 if the bytes are a topic name / a topic filter that may be sent, else an error.
int mqtt_check_topic(const uint8_t *s, uint32_t len);
int mqtt_check_filter(const uint8_t *s, uint32_t len);

#endif // COLDFRAME_MQTTPACKET_H
