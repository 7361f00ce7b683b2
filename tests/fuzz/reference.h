// SPDX-License-Identifier: MIT
//
// A second decoder, written from the two standards apart from the code under test,
// the slow and obvious way: what a packet is, and what its fields are.
#ifndef COLDFRAME_FUZZ_REFERENCE_H
#define COLDFRAME_FUZZ_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

typedef struct _span_t {
    uint32_t at; // in the bytes given to reference()
    uint32_t len;
} span_t;

enum {
    REF_NO, // not a packet of this version
    REF_YES,
    REF_EITHER, // the standard lets a receiver decide
};

typedef struct _reference_t {
    int valid; // REF_YES also for the part that is there, when not all is
    int whole; // the packet is there to its last byte
    uint32_t total; // its length, 0: not known yet
    uint32_t type, flags, id, code, session, keepalive;
    span_t topic, payload, props; // as in mqtt_decoder_t
    span_t will_props, will_topic, will_payload, user, password; // CONNECT
} reference_t;

// The packet that begins at p; n bytes are there. version: 4 or 5.
reference_t reference(const uint8_t *p, size_t n, int version);

// May these properties (without their length) be in a packet of that type, 0 for the will?
int reference_props(const uint8_t *p, size_t n, uint32_t type);

// May a packet of that type carry this return code (version 4) or reason code?
int reference_code(int version, uint32_t type, uint32_t code);

// Is it UTF-8 without NUL, and as a topic name without wildcards?
int reference_text(const uint8_t *s, size_t n, int topic);

// May it be subscribed to? REF_EITHER: a shared subscription that 3.1.1 does not know as one.
int reference_filter(const uint8_t *s, size_t n);

// Does a filter that may be subscribed to select a topic?
int reference_match(const uint8_t *f, size_t fn, const uint8_t *t, size_t tn);

#endif // COLDFRAME_FUZZ_REFERENCE_H
