// SPDX-License-Identifier: MIT
//
// Packets of MQTT 3.1.1 and 5.0 in plain C: an incremental decoder over a fixed
// buffer, encoders into a caller's buffer, properties, topic-filter match.
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
    MQTT_WILL = 0, // not a packet: stands for the will where properties are checked
};

// The versions, as CONNECT names them.
#define MQTT_V311 (4)
#define MQTT_V5 (5)

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
    MQTT_ERR_VARINT = -23,
    MQTT_ERR_PROP_ID = -24,
    MQTT_ERR_PROP_TWICE = -25,
    MQTT_ERR_PROP_VALUE = -26,
    MQTT_ERR_ALIAS = -27,
    MQTT_ERR_NO_TOPIC = -28,
    MQTT_ERR_AUTH = -29,
    MQTT_ERR_OPTIONS = -30,
    MQTT_ERR_RETAIN_HANDLING = -31,
    MQTT_ERR_NO_LOCAL = -32,
    MQTT_ERR_LAST = -32,
};

// One English sentence for an error above, without a full stop.
const char *mqtt_error_text(int error);

// The reason code that MQTT 5 gives to an error above (0x81, 0x82, 0x95 ...);
// the best short name of the failure for 3.1.1 too.
uint8_t mqtt_error_reason(int error);

// --------------------------------------------------------------- decoder

typedef struct _mqtt_decoder_t {
    // The packet that mqtt_decoder_next() has delivered. The small fields come
    // first, where a Cortex-M0+ reaches them with one instruction.
    uint8_t type; // 0: none
    uint8_t flags; // low nibble of the first byte
    uint8_t code; // return or reason code, the first one of SUBACK and UNSUBACK;
                  // SUBSCRIBE: the first options byte; CONNECT: connect flags
    bool session; // CONNACK: session present; CONNECT: clean start
    uint16_t id; // packet identifier, 0: none
    uint16_t keepalive; // CONNECT: seconds
    bool skipped; // PUBLISH: too large, its payload was read past
    uint8_t version; // MQTT_V311 or MQTT_V5
    bool busy; // it has failed, or a PUBLISH is delivered in parts or read past

    // Offsets into buf, and lengths.
    uint32_t topic; // PUBLISH; first filter of (UN)SUBSCRIBE; client identifier of CONNECT
    uint32_t topic_len;
    uint32_t payload; // PUBLISH (this part); codes of SUBACK and UNSUBACK; the entries of
    uint32_t payload_len; // (UN)SUBSCRIBE; what follows the client identifier of CONNECT
    uint32_t props; // MQTT 5: the properties, without their length. They are checked:
    uint32_t props_len; // mqtt_prop_read() and mqtt_prop_find() take them apart
    uint32_t part; // PUBLISH in parts: payload bytes delivered before this part
    uint32_t more; // PUBLISH in parts: payload bytes still to come

    // The buffer and what is in it: bytes [pos, end) wait to be parsed, and
    // while a PUBLISH comes in parts [0, hold) keeps its header.
    uint8_t *buf;
    uint32_t size;
    uint32_t limit; // largest packet delivered
    uint32_t pos;
    uint32_t end;
    uint32_t hold;
    uint32_t part_end; // PUBLISH in parts: payload bytes delivered so far
    uint32_t skip; // PUBLISH that is read past: bytes of it still to come ...
    uint32_t skip_id; // ... and what that is when its identifier begins; 0: it is known
    int error; // once failed it stays failed, until a reset
} mqtt_decoder_t;

// Start with an empty buffer.
//   size: MQTT_MIN_BUFFER or more. A PUBLISH larger than it comes in parts.
//   limit: a PUBLISH longer than this in total is skipped, any other packet is
//       an error; 0: no limit.
//   version: MQTT_V311 or MQTT_V5.
void mqtt_decoder_init(mqtt_decoder_t *d, uint8_t *buf, uint32_t size, uint32_t limit, uint8_t version);

// Forget everything that was received: for a new connection.
void mqtt_decoder_reset(mqtt_decoder_t *d, uint8_t version);

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
// before. Topic, properties and identifier stay valid during all parts.
//
// A PUBLISH longer than the limit, or whose topic, identifier and properties
// leave no room in the buffer, is delivered once, after its last byte, with
// d->skipped: flags and identifier are known, so that it can be acknowledged;
// there is no payload, and topic and properties are empty if they did not fit.
int mqtt_decoder_next(mqtt_decoder_t *d);

// ------------------------------------------------------------ properties

typedef struct _mqtt_string_t {
    const uint8_t *data; // NULL: absent
    uint32_t len;
} mqtt_string_t;

// How a property's value is written.
enum {
    MQTT_PROP_NONE, // no property has this identifier
    MQTT_PROP_BYTE, // value, 0 or 1 for each that there is
    MQTT_PROP_WORD, // value, 16 bits
    MQTT_PROP_LONG, // value, 32 bits
    MQTT_PROP_VARINT, // value, 28 bits
    MQTT_PROP_BINARY, // data
    MQTT_PROP_TEXT, // data, UTF-8
    MQTT_PROP_PAIR, // key and data, UTF-8
};

typedef struct _mqtt_prop_t {
    uint8_t id; // 0x01 to 0x2a, section 2.2.2.2
    uint32_t value;
    mqtt_string_t data;
    mqtt_string_t key;
} mqtt_prop_t;

#define MQTT_PROP_ALIAS (0x23)
#define MQTT_PROP_USER (0x26)

// One of MQTT_PROP_BYTE ..., or MQTT_PROP_NONE.
uint8_t mqtt_prop_type(uint32_t id);

// The property that begins at props[at]. Returns where the next one begins, or
// an error. Its strings point into props.
int32_t mqtt_prop_read(const uint8_t *props, uint32_t len, uint32_t at, mqtt_prop_t *prop);

// The first property of that identifier; false if there is none.
bool mqtt_prop_find(const uint8_t *props, uint32_t len, uint8_t id, mqtt_prop_t *prop);

// Write one property. Returns its length in bytes, or an error. If the length
// is more than `size`, nothing has been written.
int32_t mqtt_prop_put(uint8_t *buf, uint32_t size, const mqtt_prop_t *prop);

// 0 if the properties (without their length) may be sent in a packet of that
// type, MQTT_WILL: as will properties of CONNECT; else an error.
int mqtt_check_props(const uint8_t *props, uint32_t len, uint8_t type);

// Is it a return code of MQTT 3.1.1, or a reason code of MQTT 5, that a packet of
// that type can carry?
bool mqtt_code_valid(uint8_t version, uint8_t type, uint32_t code);

// -------------------------------------------------------------- encoders
//
// Each returns the length of the packet in bytes, or an error. If the length
// is more than `size`, nothing has been written.
//
// props: the packet's properties without their length, as mqtt_prop_put() makes
// them; its data NULL makes a packet of MQTT 3.1.1. They are checked.

typedef struct _mqtt_connect_t {
    mqtt_string_t client_id;
    mqtt_string_t will_topic;
    mqtt_string_t will_payload;
    mqtt_string_t user;
    mqtt_string_t password;
    mqtt_string_t props;
    mqtt_string_t will_props; // NULL: none
    uint16_t keepalive; // seconds
    uint8_t will_qos;
    bool will_retain;
    bool clean;
} mqtt_connect_t;

int32_t mqtt_encode_connect(uint8_t *buf, uint32_t size, const mqtt_connect_t *c);
int32_t mqtt_encode_connack(uint8_t *buf, uint32_t size, bool session, uint8_t code, mqtt_string_t props);

// The header of a PUBLISH, up to where the payload begins: the return value
// does not count the payload.
//   flags: DUP (8), QoS << 1, RETAIN (1). id: 1 to 65535 for QoS 1 and 2, else 0.
int32_t mqtt_encode_publish(uint8_t *buf, uint32_t size, mqtt_string_t topic,
    uint32_t payload_len, uint8_t flags, uint16_t id, mqtt_string_t props);

// PUBACK, PUBREC, PUBREL, PUBCOMP; UNSUBACK of MQTT 3.1.1.
int32_t mqtt_encode_ack(uint8_t *buf, uint32_t size, uint8_t type, uint16_t id, uint8_t code, mqtt_string_t props);

// options: the QoS; in MQTT 5 also no-local (4), retain-as-published (8), retain handling << 4.
int32_t mqtt_encode_subscribe(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter,
    uint8_t options, mqtt_string_t props);
int32_t mqtt_encode_unsubscribe(uint8_t *buf, uint32_t size, uint16_t id, mqtt_string_t filter, mqtt_string_t props);

// SUBACK, and UNSUBACK of MQTT 5.
int32_t mqtt_encode_codes(uint8_t *buf, uint32_t size, uint8_t type, uint16_t id, mqtt_string_t codes,
    mqtt_string_t props);

// DISCONNECT, and AUTH of MQTT 5.
int32_t mqtt_encode_reason(uint8_t *buf, uint32_t size, uint8_t type, uint8_t code, mqtt_string_t props);

// ---------------------------------------------------------------- topics

// Does a topic filter (with + and #, perhaps $share/GROUP/ before it) select a
// topic? An ill-formed filter selects nothing.
bool mqtt_match(const uint8_t *filter, uint32_t filter_len, const uint8_t *topic, uint32_t topic_len);

// 0 if the bytes are a topic name / a topic filter that may be sent, else an error.
int mqtt_check_topic(const uint8_t *s, uint32_t len);
int mqtt_check_filter(const uint8_t *s, uint32_t len);

#endif // COLDFRAME_MQTTPACKET_H
