// SPDX-License-Identifier: MIT
#ifndef COLDFRAME_MOD_WRITER_H
#define COLDFRAME_MOD_WRITER_H

#include "py/obj.h"

extern const mp_obj_type_t mqttpacket_type_Writer;

#endif // COLDFRAME_MOD_WRITER_H
