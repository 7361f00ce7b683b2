// SPDX-License-Identifier: MIT
//
// A ring of log records in a fixed block of memory, in plain C.
//
// The oldest records are overwritten by new ones; any number of readers, each
// with a cursor of its own, learn how many they missed. Every record carries a
// checksum and a sequence number, so that a block in memory that survives a
// reset can be taken up again with whatever is whole in it. Random content is
// never trusted: nothing here reads or writes outside the block.
//
// Nothing allocates or does input or output. Calls on one ring must not overlap:
// the caller keeps interrupts away where they write too.
//
// The block: a header of RINGLOG_HEADER bytes, then the data, in which records
// begin at multiples of four and may wrap around the end at any byte.
//
//   header   u32 magic, u8 version, u8 header size / 4, u16 0, u32 data size,
//            u32 offset of the oldest record, u32 its sequence number, u32 0
//   record   u32 checksum of all that follows, u32 sequence number, u32 time,
//            u16 length of name and text, u8 level, u8 length of name,
//            name, text, 0 to 3 bytes of padding
//
// Numbers are in the machine's own byte order: a block does not travel.
#ifndef COLDFRAME_RINGLOG_H
#define COLDFRAME_RINGLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RINGLOG_VERSION (1u)
#define RINGLOG_HEADER (24u) // bytes of the block's header
#define RINGLOG_RECORD (16u) // bytes of a record's header
#define RINGLOG_MIN_BLOCK (RINGLOG_HEADER + 104u)
#define RINGLOG_MAX_BLOCK (1u << 24)
#define RINGLOG_MAX_NAME (32u)
// Name and text together in a ring with `size` bytes of data; with 65535 as the limit of the format.
#define RINGLOG_MAX_TEXT(size) ((size) / 2 - RINGLOG_RECORD > 0xffff ? 0xffff : (size) / 2 - RINGLOG_RECORD)

typedef struct _ringlog_t {
    // The running state is here and not in the block, which anybody may scribble on.
    uint32_t *block;
    uint8_t *data;
    uint32_t size; // of data
    uint32_t tail; // offset of the oldest record
    uint32_t used; // bytes from there to the end of the newest
    uint32_t tail_seq; // sequence number of the oldest
    uint32_t next_seq; // ... and of the next to be written
    uint32_t dropped; // records overwritten since init
} ringlog_t;

// A record as a reader sees it. Name and text may wrap: take them with ringlog_copy().
typedef struct _ringlog_record_t {
    uint32_t seq;
    uint32_t time; // milliseconds
    uint32_t offset; // where the record begins in data
    uint16_t text_len;
    uint8_t name_len;
    uint8_t level;
} ringlog_record_t;

typedef struct _ringlog_reader_t {
    uint32_t seq; // the record to be read next
    uint32_t offset; // ... and where it begins
} ringlog_reader_t;

// Take up the records found in the block, or format it if there are none.
//   block: aligned to four bytes; size: a multiple of four from RINGLOG_MIN_BLOCK
//   to RINGLOG_MAX_BLOCK.
// Returns how many records were found.
uint32_t ringlog_init(ringlog_t *r, void *block, uint32_t size);

// Drop all records.
void ringlog_clear(ringlog_t *r);

// Write a record. Name and text are cut (between characters) when they are too
// long: a name to 32 bytes, name and text together to half of the ring.
void ringlog_write(ringlog_t *r, uint32_t time, uint8_t level,
    const uint8_t *name, uint32_t name_len, const uint8_t *text, uint32_t text_len);

// How many records are in the ring.
uint32_t ringlog_count(const ringlog_t *r);

// Point a reader at the oldest record, or at the newest `last` of them.
void ringlog_rewind(const ringlog_t *r, ringlog_reader_t *reader, uint32_t last);

// The next record. Returns false if there is none. *lost: how many records were
// overwritten between the one read before and this one.
bool ringlog_next(ringlog_t *r, ringlog_reader_t *reader, ringlog_record_t *record, uint32_t *lost);

// Is a record that was read still there, or has it been overwritten?
bool ringlog_has(const ringlog_t *r, const ringlog_record_t *record);

// Copy name or text of a record out. Returns false (and copies nothing) if the
// record has been overwritten since it was read.
bool ringlog_copy_name(const ringlog_t *r, const ringlog_record_t *record, uint8_t *out);
bool ringlog_copy_text(const ringlog_t *r, const ringlog_record_t *record, uint8_t *out);

#endif // COLDFRAME_RINGLOG_H
