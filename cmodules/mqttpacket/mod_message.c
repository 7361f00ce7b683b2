// SPDX-License-Identifier: MIT
//
// Message: one outgoing QoS 1 or 2 message, and what its publisher awaits. It is the only object that is made for a
// message: 32 bytes on 32-bit chips. Writer.message() makes it.
//
// The same in Python: modules/coldframe/mqtt/writer_py.py.

#include "py/runtime.h"

#include "mod_writer.h"

static mp_obj_t message_iternext(mp_obj_t self_in) {
    message_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->state < STATE_DONE) {
        // The client accepts it now, or notes down which task is running.
        mp_obj_t dest[3];
        mp_load_method(self->owner, MP_QSTR__await, dest);
        dest[2] = self_in;
        mp_call_method_n_kw(1, 0, dest);
        if (self->state == STATE_NEW || (self->state < STATE_DONE && !(self->flags & FLAG_NOWAIT))) {
            return mp_const_none;
        }
    }
    if (self->state == STATE_FAILED) {
        nlr_raise(mp_make_raise_obj(self->key));
    }
    return MP_OBJ_STOP_ITERATION;
}

// What asyncio asks of a coroutine, so that create_task() takes a Message too.
static mp_obj_t message_send(mp_obj_t self_in, mp_obj_t value) {
    (void)value;
    if (message_iternext(self_in) == MP_OBJ_STOP_ITERATION) {
        mp_raise_StopIteration(mp_const_none);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(message_send_obj, message_send);

static mp_obj_t message_throw(size_t n_args, const mp_obj_t *args) {
    message_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    self->task = mp_const_none;
    if (self->state == STATE_NEW) {
        // It may have been woken because there is room now: somebody else can have it.
        mp_obj_t dest[2];
        mp_load_method(self->owner, MP_QSTR__freed, dest);
        mp_call_method_n_kw(0, 0, dest);
    }
    nlr_raise(mp_make_raise_obj(args[n_args > 2 && args[2] != mp_const_none ? 2 : 1]));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(message_throw_obj, 2, 4, message_throw);

static mp_obj_t message_close(mp_obj_t self_in) {
    ((message_obj_t *)MP_OBJ_TO_PTR(self_in))->task = mp_const_none;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(message_close_obj, message_close);

// asyncio cancels the task that awaits it. The message stays accepted all the same.
static mp_obj_t message_remove(mp_obj_t self_in, mp_obj_t task) {
    (void)task;
    return message_close(self_in);
}
static MP_DEFINE_CONST_FUN_OBJ_2(message_remove_obj, message_remove);

static void message_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    message_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mp_obj_t *field = NULL;
    mp_int_t value = 0;
    switch (attr) {
        case MP_QSTR_topic:
            field = &self->topic;
            break;
        case MP_QSTR_payload:
            field = &self->payload;
            break;
        case MP_QSTR_props:
            field = &self->props;
            break;
        case MP_QSTR_task:
            field = &self->task;
            break;
        case MP_QSTR_key:
            field = &self->key;
            break;
        case MP_QSTR_id:
            value = self->id;
            break;
        case MP_QSTR_flags:
            value = self->flags;
            break;
        case MP_QSTR_state:
            value = self->state;
            break;
        default:
            if (dest[0] == MP_OBJ_NULL) {
                dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
            }
            return;
    }
    if (dest[0] == MP_OBJ_NULL) {
        dest[0] = field != NULL ? *field : MP_OBJ_NEW_SMALL_INT(value);
    } else if (dest[1] != MP_OBJ_NULL) {
        if (field != NULL) {
            *field = dest[1];
        } else {
            value = mp_obj_get_int(dest[1]);
            if (attr == MP_QSTR_id) {
                self->id = value;
            } else if (attr == MP_QSTR_flags) {
                self->flags = value;
            } else {
                self->state = value;
            }
        }
        dest[0] = MP_OBJ_NULL; // stored
    }
}

static const mp_rom_map_elem_t message_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_send), MP_ROM_PTR(&message_send_obj) },
    { MP_ROM_QSTR(MP_QSTR_throw), MP_ROM_PTR(&message_throw_obj) },
    { MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&message_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_remove), MP_ROM_PTR(&message_remove_obj) },
};
static MP_DEFINE_CONST_DICT(message_locals_dict, message_locals_dict_table);

MP_DEFINE_CONST_OBJ_TYPE(
    mqttpacket_type_Message, MP_QSTR_Message, MP_TYPE_FLAG_ITER_IS_ITERNEXT,
    attr, message_attr,
    iter, message_iternext,
    locals_dict, &message_locals_dict
    );
