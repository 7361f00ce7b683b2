// os.urandom: included by extmod/modos.c. Not random at all, see qemu_random(): these machines are for tests.
//
// Part of Coldframe, MIT license (see LICENSE).
#include "port.h"

static mp_obj_t mp_os_urandom(mp_obj_t count) {
    vstr_t bytes;
    vstr_init_len(&bytes, mp_obj_get_int(count));
    for (size_t i = 0; i < bytes.len; ++i) {
        bytes.buf[i] = qemu_random();
    }
    return mp_obj_new_bytes_from_vstr(&bytes);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
