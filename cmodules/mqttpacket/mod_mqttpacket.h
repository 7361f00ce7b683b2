// SPDX-License-Identifier: MIT
//
// What the files of the MicroPython module `mqttpacket` share.
#ifndef COLDFRAME_MOD_MQTTPACKET_H
#define COLDFRAME_MOD_MQTTPACKET_H

#include "py/obj.h"

#include "mqttpacket.h"

extern const mp_obj_type_t mqttpacket_type_Malformed;
extern const mp_obj_type_t mqttpacket_type_Decoder;

// Raise Malformed for an error of the core.
MP_NORETURN void mqttpacket_raise_malformed(int error);

// A str or bytes-like object as bytes; the second takes None as well, which is
// absent. They are valid until Python code runs. Raise TypeError.
mqtt_string_t mqttpacket_get_string(mp_obj_t obj);
mqtt_string_t mqttpacket_get_string_or_none(mp_obj_t obj);

// A buffer to write into; returns its size, *buf is where it is. Raises TypeError.
uint32_t mqttpacket_get_out(mp_obj_t obj, uint8_t **buf);

// A packet identifier, 0 to 65535. Raises ValueError.
uint16_t mqttpacket_get_id(mp_obj_t obj);

// What an encoder has returned, as the packet's length or a ValueError.
mp_obj_t mqttpacket_encoded(int32_t n, uint32_t size);

#endif // COLDFRAME_MOD_MQTTPACKET_H
