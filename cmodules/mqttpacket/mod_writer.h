// SPDX-License-Identifier: MIT
//
// The classes Writer (mod_writer.c) and Message (mod_message.c) of the module mqttpacket.
#ifndef COLDFRAME_MOD_WRITER_H
#define COLDFRAME_MOD_WRITER_H

#include "py/obj.h"

// States of a message: RELEASED is after PUBREC.
enum { STATE_NEW, STATE_ACCEPTED, STATE_RELEASED, STATE_DONE, STATE_FAILED };

#define FLAG_DUP (0x08)
#define FLAG_NOWAIT (0x10) // for its publisher it is done once the client has accepted it
#define FLAG_PRIVATE (0x20) // nobody but the client has ever seen it

typedef struct _message_obj_t {
    mp_obj_base_t base;
    mp_obj_t owner; // the client
    mp_obj_t topic;
    mp_obj_t payload;
    mp_obj_t props; // MQTT 5 properties, or None
    mp_obj_t task; // the task that awaits it, or None
    mp_obj_t key; // in the spill file, or None; the exception once it has failed
    uint16_t id;
    uint8_t flags; // low nibble of the PUBLISH's first byte; FLAG_NOWAIT
    uint8_t state;
} message_obj_t;

extern const mp_obj_type_t mqttpacket_type_Writer;
extern const mp_obj_type_t mqttpacket_type_Message;

#endif // COLDFRAME_MOD_WRITER_H
