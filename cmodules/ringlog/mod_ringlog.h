// SPDX-License-Identifier: MIT
//
// What the files of the MicroPython module `ringlog` share, and what other C modules
// may call: coldframe_log().
#ifndef COLDFRAME_MOD_RINGLOG_H
#define COLDFRAME_MOD_RINGLOG_H

#include "py/mphal.h"
#include "py/obj.h"
#include "py/objarray.h"

#include "ringlog.h"

#ifndef MICROPY_BEGIN_ATOMIC_SECTION
#define MICROPY_BEGIN_ATOMIC_SECTION() (0)
#define MICROPY_END_ATOMIC_SECTION(state) (void)(state)
#endif

enum { LOG_DEBUG = 10, LOG_INFO = 20, LOG_WARNING = 30, LOG_ERROR = 40, LOG_CRITICAL = 50, LOG_OFF = 255 };

// Write a record into the ring of coldframe.log; does nothing before that has been
// imported. Allocates nothing, and may be called in an interrupt (on the ESP32: one
// whose code may lie in flash). It is printed on the console with the next record
// that the program itself writes.
//   name, text: UTF-8; the name ends with a zero.
void coldframe_log(uint8_t level, const char *name, const char *text, size_t len);

typedef struct _ring_obj_t {
    mp_obj_base_t base;
    ringlog_t core;
    ringlog_t *mirror; // a second, small ring that gets all records too, or NULL
    mp_obj_array_t *buf; // the object that core.block points into
    void *buf_items; // ... its storage and length when it was given to us
    size_t buf_len;
    mp_obj_array_t *mirror_buf; // the same of the mirror
    void *mirror_items;
    size_t mirror_len;
    ringlog_reader_t console;
    uint32_t recovered; // records found at the start
    uint32_t first; // sequence number of the first record since
    int32_t wall_day; // the time of day when the clock showed wall_tick: days since 1970-01-01
    uint32_t wall_ms; // ... and milliseconds of that day
    uint32_t wall_tick;
    bool wall; // whether it is known
    uint8_t console_level; // records from this level on go to the console
    uint8_t level; // of loggers that have none of their own
    bool colour;
    bool captured; // records named "print" have been on the console already
    bool console_busy;
} ring_obj_t;

extern const mp_obj_type_t ringlog_ring_type, ringlog_logger_type, ringlog_capture_type;

uint8_t ringlog_get_level(mp_obj_t obj); // raises ValueError
const char *ringlog_level_name(uint8_t level);
mp_obj_t ringlog_new_logger(ring_obj_t *ring, mp_obj_t name, uint8_t level);

void ringlog_check_buffer(const ring_obj_t *self); // raises ValueError if it was resized

// ringlog_next() with interrupts held back.
bool ringlog_next_record(ring_obj_t *ring, ringlog_reader_t *cursor, ringlog_record_t *record, uint32_t *lost);

// The time of a record as text, without a zero at its end: the time of day if that is known and the record is of this life,
// else seconds of the machine's clock. out: RINGLOG_STAMP bytes. Returns its length.
#define RINGLOG_STAMP (32)
size_t ringlog_stamp(const ring_obj_t *ring, const ringlog_record_t *record, char *out);

// Write a record whose text is there, and let the console run. Raises ValueError if the buffer was resized.
void ringlog_write_bytes(ring_obj_t *self, uint8_t level, const char *name, size_t name_len,
    const char *text, size_t len);

// ... whose text is `msg`, or `msg % args` if there are any. Only that allocates,
// and not if it is short and its formats are %s, %r or %d with an int.
void ringlog_write_record(ring_obj_t *self, uint8_t level, mp_obj_t name, mp_obj_t msg,
    size_t n_args, const mp_obj_t *args);

// The memory of this chip that a reset leaves alone: its address, NULL if there is none; *size in bytes.
void *ringlog_memory(size_t *size);

#endif // COLDFRAME_MOD_RINGLOG_H
