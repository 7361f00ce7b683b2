// poke(stream): write nothing to a stream, which MicroPython's own write() never hands on.
//
// A TLS stream goes on with its handshake whenever it is read or written; only a write that succeeds tells
// that the handshake is over, and before that there is nothing to write that the other end may see. A record
// of zero bytes is harmless (RFC 5246, 6.2.1).

#include "py/runtime.h"
#include "py/stream.h"

// Returns True once the stream has taken it, None when it cannot now. Raises what the stream raises.
static mp_obj_t mod_poke(mp_obj_t stream) {
    const mp_stream_p_t *protocol = mp_get_stream_raise(stream, MP_STREAM_OP_WRITE);
    int error = 0;
    if (protocol->write(stream, "", 0, &error) == MP_STREAM_ERROR) {
        if (mp_is_nonblocking_error(error)) {
            return mp_const_none;
        }
        mp_raise_OSError(error);
    }
    return mp_const_true;
}
MP_DEFINE_CONST_FUN_OBJ_1(mqttpacket_poke_obj, mod_poke);
