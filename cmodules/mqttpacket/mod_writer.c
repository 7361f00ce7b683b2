// SPDX-License-Identifier: MIT
//
// The outgoing half of an MQTT connection, for the MicroPython module `mqttpacket`:
//
// Writer: encodes a packet and hands it to the stream in one call. What the
//   stream does not take at once stays in its buffer; a payload larger than
//   that is written straight from the caller's object, which is kept until then.
//   Called itself, it is the client's publish().
//
// The same in Python: modules/coldframe/mqtt/writer_py.py.

#include <string.h>

#include "py/mphal.h"
#include "py/objarray.h"
#include "py/objstr.h"
#include "py/objtype.h"
#include "py/runtime.h"
#include "py/smallint.h"
#include "py/stream.h"

#include "mod_mqttpacket.h"
#include "mod_writer.h"
#include "mqttpacket.h"

#define RESERVE (24u) // bytes of the buffer that only acknowledgements and pings may use
#define MIN_SIZE (64u)
#define PLAIN_0 (1) // QoS 0
#define PLAIN_1 (2) // QoS 1 and 2
#define BURST (32u) // packets after which write() says that the other tasks want their turn

static void check(int32_t n) {
    if (n < 0) {
        const char *text = mqtt_error_text(n);
        mp_obj_t arg = mp_obj_new_str(text, strlen(text));
        nlr_raise(mp_obj_new_exception_args(&mp_type_ValueError, 1, &arg));
    }
}

// ---------------------------------------------------------------- Writer

typedef struct _writer_obj_t {
    mp_obj_base_t base;
    mp_obj_array_t *buf; // a bytearray ...
    uint8_t *items; // ... and its storage when it was given to us
    uint32_t size;
    uint32_t pos, end; // buf[pos:end] is still to go
    uint32_t split; // where in it the payload below has its place
    mp_obj_t more; // a payload that did not fit, or None
    uint32_t more_at, more_len; // more[more_at:more_len] is still to go
    uint32_t hold; // a write of so many bytes was refused: it must be offered again as it was (TLS asks for that)
    mp_obj_t stream; // None: there is no connection
    const mp_stream_p_t *protocol; // of the stream; NULL: it is an object of a Python class
    uint32_t at; // ticks_ms() when the stream last took something
    uint32_t published; // PUBLISH packets accepted so far
    mp_obj_t owner; // the client; None: none
    mp_obj_t slow; // its publish(), for what is not plain
    mp_obj_t pause; // makes what a publisher awaits when the other tasks should get a turn
    mp_obj_t ended; // an awaitable that is done
    message_obj_t *spare; // messages to be used again, linked by their task
    mp_obj_t aliases; // MQTT 5: dict of topic -> properties with its alias, or None
    uint32_t aliases_max; // how many topics can have one
    uint8_t burst;
    uint8_t plain; // PLAIN_0, PLAIN_1: of which messages the client wants to see nothing before they go
    bool tail; // the stream may hold bytes back, see coldframe/mqtt/transport.py
    bool tail_left;
    bool writing; // inside a write; stays so after an exception, until the next attach()
    bool five; // MQTT 5
    bool open; // publish() may write
    uint8_t epoch; // counts the attach() calls
} writer_obj_t;

static void forget(writer_obj_t *self) {
    self->pos = self->end = self->split = 0;
    self->more = mp_const_none;
    self->more_at = self->more_len = self->hold = 0;
    self->tail_left = self->writing = self->open = false;
    self->burst = 0;
    ++self->epoch;
}

// Writer(buf, owner=None, slow=None, pause=None, ended=None)
static mp_obj_t writer_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 5, false);
    if (!mp_obj_is_type(args[0], &mp_type_bytearray)) {
        mp_raise_TypeError(MP_ERROR_TEXT("buf: expected a bytearray"));
    }
    mp_obj_array_t *buf = MP_OBJ_TO_PTR(args[0]);
    if (buf->len < MIN_SIZE || buf->len > MQTT_MAX_REMAINING) {
        mp_raise_ValueError(MP_ERROR_TEXT("buf: expected 64 bytes or more"));
    }
    writer_obj_t *self = mp_obj_malloc(writer_obj_t, type);
    self->buf = buf;
    self->items = buf->items;
    self->size = buf->len;
    self->stream = mp_const_none;
    self->protocol = NULL;
    mp_obj_t *own[] = { &self->owner, &self->slow, &self->pause, &self->ended };
    for (size_t i = 0; i < MP_ARRAY_SIZE(own); ++i) {
        *own[i] = i + 1 < n_args ? args[i + 1] : mp_const_none;
    }
    self->plain = PLAIN_0 | PLAIN_1;
    self->spare = NULL;
    self->aliases = mp_const_none;
    self->aliases_max = 0;
    self->at = self->published = 0;
    self->tail = self->five = false;
    self->epoch = 0;
    forget(self);
    return MP_OBJ_FROM_PTR(self);
}

// attach(stream, tail=False, version=4): a new connection, or None for the end of one; what was left is dropped.
static mp_obj_t writer_attach(size_t n_args, const mp_obj_t *args) {
    writer_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    forget(self);
    self->stream = args[1];
    self->protocol = NULL;
    self->tail = n_args > 2 && mp_obj_is_true(args[2]);
    if (args[1] != mp_const_none) {
        self->five = n_args > 3 && mp_obj_get_int(args[3]) == 5;
        self->plain = self->five ? 0 : PLAIN_0 | PLAIN_1;
        self->aliases = mp_const_none;
        self->aliases_max = 0;
        const mp_obj_type_t *type = mp_obj_get_type(args[1]);
        if (!mp_obj_is_instance_type(type) && MP_OBJ_TYPE_HAS_SLOT(type, protocol)) {
            self->protocol = mp_get_stream_raise(args[1], MP_STREAM_OP_WRITE);
        }
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(writer_attach_obj, 2, 4, writer_attach);

// open(plain=3, aliases=None, aliases_max=0): the broker has accepted the connection: from now on, until close(),
// messages may go out. plain None: as the last time.
static mp_obj_t writer_open(size_t n_args, const mp_obj_t *args) {
    writer_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    self->open = true;
    if (n_args > 1 && args[1] != mp_const_none) {
        self->plain = mp_obj_get_int(args[1]);
    }
    if (n_args > 3) {
        self->aliases = args[2];
        self->aliases_max = mp_obj_get_int(args[3]);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(writer_open_obj, 1, 4, writer_open);

// close(): no more messages until the next open().
static mp_obj_t writer_close(mp_obj_t self_in) {
    ((writer_obj_t *)MP_OBJ_TO_PTR(self_in))->open = false;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(writer_close_obj, writer_close);

#define REFUSED (-1) // nothing now
#define GONE (-2) // the write itself has called attach(): what is in the writer now is another connection's

// Offer owner[at:at + len], which is at `data`, to the stream. Returns how much it took, or one of these.
static mp_int_t offer(writer_obj_t *self, mp_obj_t owner, const uint8_t *data, uint32_t at, uint32_t len) {
    mp_int_t n;
    uint8_t epoch = self->epoch;
    self->writing = true;
    if (self->protocol != NULL) {
        int error = 0;
        mp_uint_t result = self->protocol->write(self->stream, data + at, len, &error);
        if (result == MP_STREAM_ERROR) {
            if (!mp_is_nonblocking_error(error)) {
                mp_raise_OSError(error);
            }
            result = 0;
        }
        n = result == 0 && len != 0 ? REFUSED : (mp_int_t)result;
    } else {
        mp_obj_t dest[5];
        mp_load_method(self->stream, MP_QSTR_write, dest);
        dest[2] = owner;
        dest[3] = mp_obj_new_int_from_uint(at);
        dest[4] = mp_obj_new_int_from_uint(len);
        mp_obj_t result = mp_call_method_n_kw(3, 0, dest);
        n = result == mp_const_none ? REFUSED : mp_obj_get_int(result);
        if (n < 0 || (n == 0 && len != 0)) {
            n = REFUSED;
        }
    }
    if (epoch != self->epoch) {
        return GONE;
    }
    if (n > (mp_int_t)len) {
        mp_raise_OSError(MP_EIO);
    }
    self->writing = false;
    return n;
}

// Offer [*at, stop) and count what was taken. False: the stream takes no more now.
static bool pour(writer_obj_t *self, mp_obj_t owner, uint32_t *at, uint32_t stop) {
    while (*at < stop) {
        mqtt_string_t data = mqttpacket_get_string(owner); // each time: a write in Python can have moved it
        if (data.len < stop) {
            self->writing = true; // as when the stream fails: what has begun cannot be ended
            mp_raise_ValueError(MP_ERROR_TEXT("payload was resized"));
        }
        uint32_t len = self->hold ? self->hold : stop - *at;
        mp_int_t n = offer(self, owner, data.data, *at, len);
        if (n == GONE) {
            return false;
        }
        if (n == REFUSED) {
            self->hold = len;
            return false;
        }
        self->hold = 0;
        self->at = mp_hal_ticks_ms();
        *at += n;
        if ((uint32_t)n < len) {
            return false;
        }
    }
    return true;
}

static mp_obj_t call_owner(writer_obj_t *self, qstr method, mp_obj_t arg) {
    mp_obj_t dest[3];
    mp_load_method(self->owner, method, dest);
    dest[2] = arg;
    return mp_call_method_n_kw(1, 0, dest);
}

static bool drain_or_raise(writer_obj_t *self) {
    if (self->buf->items != self->items) {
        self->writing = true;
        mp_raise_ValueError(MP_ERROR_TEXT("writer's buffer was resized"));
    }
    if (self->more != mp_const_none) {
        if (!pour(self, MP_OBJ_FROM_PTR(self->buf), &self->pos, self->split) ||
            !pour(self, self->more, &self->more_at, self->more_len)) {
            return false;
        }
        self->more = mp_const_none;
    }
    if (!pour(self, MP_OBJ_FROM_PTR(self->buf), &self->pos, self->end)) {
        return false;
    }
    self->pos = self->end = 0;
    mp_int_t n = self->tail ? offer(self, mp_const_empty_bytes, (const uint8_t *)"", 0, 0) : 0;
    if (n != GONE) {
        self->tail_left = n == REFUSED;
    }
    return n == 0;
}

// Write as much as the stream takes. True when nothing is left. The stream's exceptions go to the owner, to whom
// they say that the connection is over; none comes back from here.
static bool drain(writer_obj_t *self) {
    if (self->writing || self->stream == mp_const_none) {
        return false;
    }
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        bool all = drain_or_raise(self);
        nlr_pop();
        return all;
    }
    mp_obj_t er = MP_OBJ_FROM_PTR(nlr.ret_val);
    if (!self->writing || self->owner == mp_const_none || !mp_obj_exception_match(er, MP_OBJ_FROM_PTR(&mp_type_Exception))) {
        nlr_jump(nlr.ret_val);
    }
    call_owner(self, MP_QSTR__lost, er);
    return false;
}

// The properties of a packet: in MQTT 5 they are always there, in 3.1.1 never.
static mqtt_string_t get_props(const writer_obj_t *self, mp_obj_t props) {
    if (!self->five) {
        return (mqtt_string_t) { .data = NULL, .len = 0 };
    }
    return props == mp_const_none ? (mqtt_string_t) { .data = (const uint8_t *)"", .len = 0 } : mqttpacket_get_string(props);
}

// Make sure that `len` bytes can be put at buf[end], beside those that are kept free. False: there is no room.
static bool make_room(writer_obj_t *self, uint32_t len, uint32_t keep) {
    if (self->writing || self->stream == mp_const_none) {
        return false;
    }
    if (self->pos > 0 && len + keep > self->size - self->end) {
        memmove(self->items, self->items + self->pos, self->end - self->pos);
        self->end -= self->pos;
        self->split -= MIN(self->split, self->pos);
        self->pos = 0;
    }
    return len + keep <= self->size - self->end;
}

// Queue a PUBLISH and write. True: all is with the stream, 1: the same, and the other tasks should get a turn;
// False: taken, but something is left to flush(); None: not taken, for there is no room yet.
// FLAG_NOWAIT: it is only queued, to go out with what follows it, at the latest at the next flush().
static mp_obj_t put_publish(writer_obj_t *self, mp_obj_t topic_in, mp_obj_t payload_in, uint8_t flags, uint16_t id,
    mp_obj_t props_in) {
    mqtt_string_t topic = mqttpacket_get_string(topic_in), payload = mqttpacket_get_string(payload_in), props = get_props(self, props_in);
    uint32_t most = self->size - RESERVE;
    // The header goes where it will stay, so that it is encoded but once.
    bool room = make_room(self, MIN(most, topic.len + props.len + 13), RESERVE);
    if (!room && self->more == mp_const_none) {
        bool all = drain(self);
        topic = mqttpacket_get_string(topic_in); // Python code may have run, and resized them
        payload = mqttpacket_get_string(payload_in);
        props = get_props(self, props_in);
        room = all && make_room(self, MIN(most, topic.len + props.len + 13), RESERVE);
    }
    uint8_t *at = self->items + self->end;
    int32_t head = mqtt_encode_publish(at, room ? self->size - RESERVE - self->end : 0, topic, payload.len, flags & 15, id,
        props);
    check(head);
    if ((uint32_t)head > most) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("topic and properties need %u bytes, there are %u"),
            (unsigned)head, (unsigned)most);
    }
    if (!room || !self->open || (uint32_t)head > self->size - RESERVE - self->end) {
        return mp_const_none;
    }
    if (payload.len <= self->size - RESERVE - self->end - head) {
        memcpy(at + head, payload.data, payload.len);
        self->end += head + payload.len;
    } else if (self->more != mp_const_none) {
        return mp_const_none;
    } else {
        self->end += head;
        self->split = self->end;
        if (self->protocol == NULL && mp_obj_is_str(payload_in)) {
            payload_in = mp_obj_new_bytes(payload.data, payload.len); // Python code would count characters
        }
        self->more = payload_in;
        self->more_at = 0;
        self->more_len = payload.len;
    }
    self->published = (self->published + 1) & 0x3fffffff;
    if ((flags & FLAG_NOWAIT) && self->more == mp_const_none) {
        return mp_const_true;
    }
    if (!drain(self)) {
        self->burst = 0;
        return mp_const_false;
    }
    if (++self->burst == BURST) {
        self->burst = 0;
        return MP_OBJ_NEW_SMALL_INT(1);
    }
    return mp_const_true;
}

// write(topic, payload, retain=False, props=None) of QoS 0
static mp_obj_t writer_write(size_t n_args, const mp_obj_t *args) {
    uint8_t flags = n_args > 3 && mp_obj_is_true(args[3]) ? 1 : 0;
    mp_obj_t props = n_args > 4 ? args[4] : mp_const_none;
    return put_publish(MP_OBJ_TO_PTR(args[0]), args[1], args[2], flags, 0, props);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(writer_write_obj, 3, 5, writer_write);

static mp_obj_t new_message(writer_obj_t *self, mp_obj_t owner, mp_obj_t topic, mp_obj_t payload, mp_int_t flags,
    mp_obj_t props) {
    mqtt_string_t data = mqttpacket_get_string(payload);
    int32_t head = mqtt_encode_publish(NULL, 0, mqttpacket_get_string(topic), data.len, flags & 15, 1, get_props(self, props));
    check(head);
    if ((uint32_t)head > self->size - RESERVE) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("topic and properties need %u bytes, there are %u"),
            (unsigned)head, (unsigned)(self->size - RESERVE));
    }
    if (!mp_obj_is_str_or_bytes(payload)) {
        payload = mp_obj_new_bytes(data.data, data.len); // it may go again much later, and must be the same then
    }
    message_obj_t *m = self->spare;
    if (m != NULL) {
        self->spare = m->task == mp_const_none ? NULL : MP_OBJ_TO_PTR(m->task);
    } else {
        m = mp_obj_malloc(message_obj_t, &mqttpacket_type_Message);
    }
    m->owner = owner;
    m->topic = topic;
    m->payload = payload;
    m->props = props;
    m->task = m->key = mp_const_none;
    m->id = 0;
    m->flags = flags;
    m->state = STATE_NEW;
    return MP_OBJ_FROM_PTR(m);
}

// message(owner, topic, payload, flags, props=None) -> Message; ValueError for what cannot be sent.
static mp_obj_t writer_message(size_t n_args, const mp_obj_t *args) {
    return new_message(MP_OBJ_TO_PTR(args[0]), args[1], args[2], args[3], mp_obj_get_int(args[4]),
        n_args > 5 ? args[5] : mp_const_none);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(writer_message_obj, 5, 6, writer_message);

// A plain QoS 0 message. Returns what its publisher awaits, MP_OBJ_NULL if that is for slow() to say.
static mp_obj_t publish_now(writer_obj_t *self, mp_obj_t topic, mp_obj_t payload, bool retain) {
    mp_obj_t props = mp_const_none;
    if (self->aliases != mp_const_none) {
        mp_map_t *map = mp_obj_dict_get_map(self->aliases);
        mp_map_elem_t *known = mp_map_lookup(map, topic, MP_MAP_LOOKUP);
        if (known != NULL) {
            topic = MP_OBJ_NEW_QSTR(MP_QSTR_);
            props = known->value;
        } else if (map->used < self->aliases_max) {
            return MP_OBJ_NULL; // it may get one
        }
    }
    mp_obj_t result = put_publish(self, topic, payload, retain ? 1 : 0, 0, props);
    if (result == mp_const_true) {
        return self->ended;
    }
    if (result == mp_const_none) {
        return MP_OBJ_NULL;
    }
    return result == mp_const_false ? call_owner(self, MP_QSTR__later, payload) : mp_call_function_0(self->pause);
}

// publish(topic, payload, qos=0, retain=False, wait=True, ...), see Client. The plain cases without a Python frame;
// everything else goes to slow().
static mp_obj_t writer_call(mp_obj_t self_in, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    writer_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mp_obj_t options[3] = { MP_OBJ_NEW_SMALL_INT(0), mp_const_false, mp_const_true }; // qos, retain, wait
    bool plain = n_args >= 2 && n_args <= 5;
    for (size_t i = 2; i < n_args && plain; ++i) {
        options[i - 2] = args[i];
    }
    for (size_t i = 0; i < n_kw && plain; ++i) {
        mp_obj_t key = args[n_args + 2 * i];
        mp_obj_t value = args[n_args + 2 * i + 1];
        if (key == MP_OBJ_NEW_QSTR(MP_QSTR_qos) && n_args < 3) {
            options[0] = value;
        } else if (key == MP_OBJ_NEW_QSTR(MP_QSTR_retain) && n_args < 4) {
            options[1] = value;
        } else if (key == MP_OBJ_NEW_QSTR(MP_QSTR_wait) && n_args < 5) {
            options[2] = value;
        } else {
            plain = false;
        }
    }
    if (plain && options[0] == MP_OBJ_NEW_SMALL_INT(0)) {
        if (self->open && (self->plain & PLAIN_0)) {
            mp_obj_t result = publish_now(self, args[0], args[1], mp_obj_is_true(options[1]));
            if (result != MP_OBJ_NULL) {
                return result;
            }
        }
    } else if (plain && (self->plain & PLAIN_1) &&
               (options[0] == MP_OBJ_NEW_SMALL_INT(1) || options[0] == MP_OBJ_NEW_SMALL_INT(2))) {
        bool wait = mp_obj_is_true(options[2]);
        mp_int_t flags = MP_OBJ_SMALL_INT_VALUE(options[0]) << 1 | (mp_obj_is_true(options[1]) ? 1 : 0) |
            (wait ? 0 : FLAG_NOWAIT);
        mp_obj_t m = new_message(self, self->owner, args[0], args[1], flags, mp_const_none);
        call_owner(self, MP_QSTR__admit, m);
        message_obj_t *message = MP_OBJ_TO_PTR(m);
        if (wait || message->state == STATE_NEW) {
            return m;
        }
        message->flags |= FLAG_PRIVATE;
        return self->ended;
    }
    return mp_call_function_n_kw(self->slow, n_args, n_kw, args);
}

// free(message): it is settled, and will be used again for another one if nobody else can have it.
static mp_obj_t writer_free(mp_obj_t self_in, mp_obj_t message) {
    writer_obj_t *self = MP_OBJ_TO_PTR(self_in);
    message_obj_t *m = MP_OBJ_TO_PTR(message);
    if (mp_obj_is_type(message, &mqttpacket_type_Message) && (m->flags & FLAG_PRIVATE)) {
        m->flags = 0;
        m->topic = m->payload = m->props = mp_const_none;
        m->task = self->spare == NULL ? mp_const_none : MP_OBJ_FROM_PTR(self->spare);
        self->spare = m;
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(writer_free_obj, writer_free);

// transmit(message): send its PUBLISH; result as of write(). The next time it will bear the DUP flag.
static mp_obj_t writer_transmit(mp_obj_t self_in, mp_obj_t message) {
    if (!mp_obj_is_type(message, &mqttpacket_type_Message)) {
        mp_raise_TypeError(MP_ERROR_TEXT("expected a Message"));
    }
    message_obj_t *m = MP_OBJ_TO_PTR(message);
    mp_obj_t result = put_publish(MP_OBJ_TO_PTR(self_in), m->topic, m->payload, m->flags, m->id, m->props);
    if (result != mp_const_none) {
        m->flags |= FLAG_DUP;
    }
    return result;
}
static MP_DEFINE_CONST_FUN_OBJ_2(writer_transmit_obj, writer_transmit);

// ack(type, id, code=0): gather an acknowledgement, to go out with the next flush(). True as long as there is
// room for another one: else take no further packet until flush() has made some. ValueError when there was none.
static mp_obj_t writer_ack(size_t n_args, const mp_obj_t *args) {
    writer_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_int_t type = mp_obj_get_int(args[1]);
    mp_int_t id = mp_obj_get_int(args[2]);
    mp_int_t code = n_args > 3 ? mp_obj_get_int(args[3]) : 0;
    if (!make_room(self, 5, 0)) {
        if (self->stream == mp_const_none) {
            return mp_const_true;
        }
        mp_raise_ValueError(MP_ERROR_TEXT("no room for an acknowledgement"));
    }
    int32_t len = mqtt_encode_ack(self->items + self->end, 5, type < 0 || type > 15 ? 0 : type, id,
        self->five ? code : 0, get_props(self, mp_const_none));
    check(len);
    self->end += len;
    return mp_obj_new_bool(self->size - (self->end - self->pos) >= 12);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(writer_ack_obj, 3, 4, writer_ack);

// put(packet): send ready bytes; result as of write(). A large packet is kept, not copied.
static mp_obj_t writer_put(mp_obj_t self_in, mp_obj_t packet) {
    writer_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mqtt_string_t data = mqttpacket_get_string(packet);
    if (data.len <= self->size) {
        if (!make_room(self, data.len, 0)) {
            return mp_const_none;
        }
        memcpy(self->items + self->end, data.data, data.len);
        self->end += data.len;
    } else {
        if (self->writing || self->stream == mp_const_none || self->more != mp_const_none) {
            return mp_const_none;
        }
        self->split = self->end;
        self->more = packet;
        self->more_at = 0;
        self->more_len = data.len;
    }
    return mp_obj_new_bool(drain(self));
}
static MP_DEFINE_CONST_FUN_OBJ_2(writer_put_obj, writer_put);

// flush(): write what is left. True when nothing is left then.
static mp_obj_t writer_flush(mp_obj_t self_in) {
    writer_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->pos == self->end && self->more == mp_const_none && !self->tail_left) {
        return mp_const_true;
    }
    return mp_obj_new_bool(drain(self));
}
static MP_DEFINE_CONST_FUN_OBJ_1(writer_flush_obj, writer_flush);

static void writer_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    if (dest[0] != MP_OBJ_NULL) {
        return; // no attribute can be set
    }
    writer_obj_t *self = MP_OBJ_TO_PTR(self_in);
    switch (attr) {
        case MP_QSTR_flush: // without a search
            dest[0] = MP_OBJ_FROM_PTR(&writer_flush_obj);
            dest[1] = self_in;
            return;
        case MP_QSTR_left: // bytes that wait for the stream
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->end - self->pos + self->more_len - self->more_at + self->tail_left);
            return;
        case MP_QSTR_busy: // a payload of the caller's is still needed
            dest[0] = mp_obj_new_bool(self->more != mp_const_none);
            return;
        case MP_QSTR_stream:
            dest[0] = self->stream;
            return;
        case MP_QSTR_at: // when the stream last took something
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->at & (MICROPY_PY_TIME_TICKS_PERIOD - 1));
            return;
        case MP_QSTR_published:
            dest[0] = MP_OBJ_NEW_SMALL_INT(self->published);
            return;
        default:
            dest[1] = MP_OBJ_SENTINEL; // look in locals_dict
    }
}

static const mp_rom_map_elem_t writer_locals_dict_table[] = {
    { MP_ROM_QSTR(MP_QSTR_attach), MP_ROM_PTR(&writer_attach_obj) },
    { MP_ROM_QSTR(MP_QSTR_open), MP_ROM_PTR(&writer_open_obj) },
    { MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&writer_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&writer_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_message), MP_ROM_PTR(&writer_message_obj) },
    { MP_ROM_QSTR(MP_QSTR_free), MP_ROM_PTR(&writer_free_obj) },
    { MP_ROM_QSTR(MP_QSTR_transmit), MP_ROM_PTR(&writer_transmit_obj) },
    { MP_ROM_QSTR(MP_QSTR_ack), MP_ROM_PTR(&writer_ack_obj) },
    { MP_ROM_QSTR(MP_QSTR_put), MP_ROM_PTR(&writer_put_obj) },
    { MP_ROM_QSTR(MP_QSTR_flush), MP_ROM_PTR(&writer_flush_obj) },
};
static MP_DEFINE_CONST_DICT(writer_locals_dict, writer_locals_dict_table);

MP_DEFINE_CONST_OBJ_TYPE(
    mqttpacket_type_Writer, MP_QSTR_Writer, MP_TYPE_FLAG_NONE,
    make_new, writer_make_new,
    call, writer_call,
    attr, writer_attr,
    locals_dict, &writer_locals_dict
    );
