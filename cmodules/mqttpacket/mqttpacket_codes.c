// SPDX-License-Identifier: MIT
//
// Our errors in words, and which return and reason codes the standards define.

#include "mqttpacket_private.h"

typedef struct _error_info_t {
    uint8_t reason;
    const char *text;
} error_info_t;

static const error_info_t errors[-MQTT_ERR_LAST] = {
    { 0x81, "packet type does not exist in this version of MQTT" },
    { 0x81, "reserved flags of the first byte are wrong" },
    { 0x81, "QoS 3" },
    { 0x81, "DUP set with QoS 0" },
    { 0x81, "remaining length has more than four bytes" },
    { 0x81, "a field reaches past the end of its packet" },
    { 0x81, "bytes left over after the last field" },
    { 0x82, "packet identifier 0" },
    { 0x81, "empty topic" },
    { 0x81, "wildcard in a topic name" },
    { 0x81, "invalid UTF-8" },
    { 0x81, "NUL character in a string" },
    { 0x81, "return code that the standard does not define" },
    { 0x82, "session present in a refused CONNACK" },
    { 0x81, "connect flags contradict each other" },
    { 0x84, "protocol name or level is not that of this version of MQTT" },
    { 0x8f, "ill-formed topic filter" },
    { 0x82, "no entry where at least one is needed" },
    { 0x95, "packet is longer than the limit" },
    { 0x95, "packet does not fit the buffer" },
    { 0x81, "string longer than 65535 bytes" },
    { 0x95, "packet longer than the protocol can say" },
    { 0x81, "variable byte integer longer than it may be" },
    { 0x81, "property that does not exist in this packet" },
    { 0x82, "property twice in one packet" },
    { 0x82, "property value out of its range" },
    { 0x94, "topic alias 0" },
    { 0x82, "empty topic without a topic alias" },
    { 0x82, "authentication method is missing" },
    { 0x81, "reserved subscription options" },
    { 0x82, "retain handling 3" },
    { 0x82, "no-local with a shared subscription" },
};

const char *mqtt_error_text(int error) {
    return errors[(error < 0 && error >= MQTT_ERR_LAST) ? -error - 1 : 0].text;
}

uint8_t mqtt_error_reason(int error) {
    return errors[(error < 0 && error >= MQTT_ERR_LAST) ? -error - 1 : 0].reason;
}

// Which packets of MQTT 5 can carry a reason code (sections 3.2.2.2, 3.4.2.1 ...).
enum {
    CONNACK = 1,
    PUBACK = 2, // and PUBREC
    PUBREL = 4, // and PUBCOMP
    SUBACK = 8,
    UNSUBACK = 16,
    DISCONNECT = 32,
    AUTH = 64,
};

static const uint8_t failures[] = { // from 0x80 on
    CONNACK | PUBACK | SUBACK | UNSUBACK | DISCONNECT, // unspecified error
    CONNACK | DISCONNECT, // malformed packet
    CONNACK | DISCONNECT, // protocol error
    CONNACK | PUBACK | SUBACK | UNSUBACK | DISCONNECT, // implementation specific error
    CONNACK, // unsupported protocol version
    CONNACK, // client identifier not valid
    CONNACK, // bad user name or password
    CONNACK | PUBACK | SUBACK | UNSUBACK | DISCONNECT, // not authorized
    CONNACK, // server unavailable
    CONNACK | DISCONNECT, // server busy
    CONNACK, // banned
    DISCONNECT, // server shutting down
    CONNACK | DISCONNECT, // bad authentication method
    DISCONNECT, // keep alive timeout
    DISCONNECT, // session taken over
    SUBACK | UNSUBACK | DISCONNECT, // topic filter invalid
    CONNACK | PUBACK | DISCONNECT, // topic name invalid
    PUBACK | SUBACK | UNSUBACK, // packet identifier in use
    PUBREL, // packet identifier not found
    DISCONNECT, // receive maximum exceeded
    DISCONNECT, // topic alias invalid
    CONNACK | DISCONNECT, // packet too large
    DISCONNECT, // message rate too high
    CONNACK | PUBACK | SUBACK | DISCONNECT, // quota exceeded
    DISCONNECT, // administrative action
    CONNACK | PUBACK | DISCONNECT, // payload format invalid
    CONNACK | DISCONNECT, // retain not supported
    CONNACK | DISCONNECT, // QoS not supported
    CONNACK | DISCONNECT, // use another server
    CONNACK | DISCONNECT, // server moved
    SUBACK | DISCONNECT, // shared subscriptions not supported
    CONNACK | DISCONNECT, // connection rate exceeded
    DISCONNECT, // maximum connect time
    SUBACK | DISCONNECT, // subscription identifiers not supported
    SUBACK | DISCONNECT, // wildcard subscriptions not supported
};

static const uint8_t carriers[] = { // by packet type
    0, 0, CONNACK, 0, PUBACK, PUBACK, PUBREL, PUBREL, 0, SUBACK, 0, UNSUBACK, 0, 0, DISCONNECT, AUTH,
};

bool mqtt_code_valid(uint8_t version, uint8_t type, uint32_t code) {
    if (version < MQTT_V5) {
        return type == MQTT_SUBACK ? code <= 2 || code == 0x80 : type == MQTT_CONNACK ? code <= 5 : code == 0;
    }
    uint32_t who = carriers[type & 15];
    if (code == 0) {
        return who != 0;
    }
    if (code >= 0x80) {
        return code - 0x80 < sizeof(failures) && (failures[code - 0x80] & who);
    }
    switch (code) {
        case 0x01: // granted QoS 1
        case 0x02: // granted QoS 2
            return who == SUBACK;
        case 0x04: // disconnect with will message
            return who == DISCONNECT;
        case 0x10: // no matching subscribers
            return who == PUBACK;
        case 0x11: // no subscription existed
            return who == UNSUBACK;
        case 0x18: // continue authentication
        case 0x19: // re-authenticate
            return who == AUTH;
        default:
            return false;
    }
}
