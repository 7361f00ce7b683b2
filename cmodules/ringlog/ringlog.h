// SPDX-License-Identifier: MIT
//
// A ring of log records in a fixed block of memory, in plain C.
//
// When it is full, the least important of the old records make room: the oldest of
// the lowest level goes first. Any number of readers, each with a cursor of its own,
// learn how many they missed. Every record carries a checksum and a sequence number,
// so that a block in memory that survives a reset can be taken up again with whatever
// is whole in it, also after a reset in the middle of a write. Random content is never
// trusted: nothing here reads or writes outside the block.
//
// Nothing allocates or does input or output. Calls on one ring must not overlap: the
// caller keeps interrupts away where they write too. A write looks at and moves no
// more than RINGLOG_KEEP words of protected records, whatever the size of the ring.
//
// The block is only ever read and written by whole aligned words, as some memory
// (the RTC memory of the ESP8266) allows nothing else. It begins with a header of
// RINGLOG_HEADER bytes; then the data, a ring of words:
//
//   header   u32 magic, u8 version, u8 header size / 4, u16 0, u32 data size in bytes,
//            u32 place of the oldest record in words, u32 its sequence number, u32 the next sequence number
//   record   u32 checksum of all that follows (never 0), u32 sequence number, u32 time,
//            u16 length of the text, u8 level, u8 length of the name,
//            name and text, each with 0 to 3 zero bytes up to a whole word
//
// Sequence numbers grow from record to record, with gaps where one has been dropped.
// Numbers are in the machine's own byte order: a block does not travel.
#ifndef COLDFRAME_RINGLOG_H
#define COLDFRAME_RINGLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RINGLOG_VERSION (2u)
#define RINGLOG_HEADER (24u) // bytes of the block's header
#define RINGLOG_RECORD (4u) // words of a record's header
#define RINGLOG_MIN_BLOCK (RINGLOG_HEADER + 104u)
#define RINGLOG_MAX_BLOCK (1u << 24)
#define RINGLOG_MAX_NAME (32u) // bytes; a multiple of four
#define RINGLOG_KEEP (512u) // words of important records that less important newer ones may go before
#define RINGLOG_RANKS (5u) // DEBUG and below, INFO, WARNING, ERROR, CRITICAL

// Longest name and text together, each filled up to whole words, in a ring of `words` words: 1 KB or half the ring.
#define RINGLOG_MAX_TEXT(words) (4 * ((words) / 2 - RINGLOG_RECORD) > 1024 ? 1024 : 4 * ((words) / 2 - RINGLOG_RECORD))

typedef struct _ringlog_t {
    // The running state is here and not in the block, which anybody may scribble on.
    volatile uint32_t *block;
    volatile uint32_t *data;
    uint32_t words; // of data
    uint32_t tail; // the oldest record begins there
    uint32_t used; // words from there to the end of the newest
    uint32_t tail_seq; // sequence number of the oldest
    uint32_t next_seq; // ... and of the next to be written
    uint32_t end_seq; // the one after the newest record: less than next_seq if a reset tore that
    uint32_t count; // records
    uint32_t ranks[RINGLOG_RANKS]; // ... of each rank
    uint32_t dropped; // records overwritten since init
    uint32_t generation; // goes up when records have moved
    uint32_t moved_seq; // the newest record that may have moved
} ringlog_t;

// A record as a reader sees it. Name and text may wrap, and the record may move or go:
// take them with ringlog_copy_...().
typedef struct _ringlog_record_t {
    uint32_t seq;
    uint32_t time; // milliseconds
    uint32_t at; // where the record begins in data
    uint32_t generation; // ... at the time of this generation
    uint16_t text_len;
    uint8_t name_len;
    uint8_t level;
} ringlog_record_t;

typedef struct _ringlog_reader_t {
    uint32_t seq; // the record to be read next
    uint32_t at; // ... and where it begins
    uint32_t generation; // ... at the time of this generation
} ringlog_reader_t;

// Take up the records found in the block, or format it if there are none.
//   block: aligned to four bytes; size: a multiple of four from RINGLOG_MIN_BLOCK
//   to RINGLOG_MAX_BLOCK.
// Returns how many records were found.
uint32_t ringlog_init(ringlog_t *r, void *block, uint32_t size);

// Drop all records.
void ringlog_clear(ringlog_t *r);

// Write a record. Name and text are cut (between characters) when they are too
// long: a name to 32 bytes, name and text together to RINGLOG_MAX_TEXT.
void ringlog_write(ringlog_t *r, uint32_t time, uint8_t level,
    const uint8_t *name, uint32_t name_len, const uint8_t *text, uint32_t text_len);

// How many records are in the ring.
uint32_t ringlog_count(const ringlog_t *r);

// Point a reader at the oldest record, or at the newest `last` of them.
void ringlog_rewind(const ringlog_t *r, ringlog_reader_t *reader, uint32_t last);

// Point a reader at the record of that number. If it is gone, the next read will say
// how many were lost. A number that was not yet given out means the oldest record.
void ringlog_seek(const ringlog_t *r, ringlog_reader_t *reader, uint32_t seq);

// The next record. Returns false if there is none. *lost: how many records were
// overwritten between the one read before and this one.
bool ringlog_next(ringlog_t *r, ringlog_reader_t *reader, ringlog_record_t *record, uint32_t *lost);

// Is a record that was read still there, or has it been overwritten? Finds it again if it has moved.
bool ringlog_has(const ringlog_t *r, ringlog_record_t *record);

// Copy a part of the name or text of a record out: n bytes from byte `from` on, which the
// caller keeps within name_len or text_len. Returns false (and copies nothing) if the
// record has been overwritten since it was read.
bool ringlog_copy_name(const ringlog_t *r, ringlog_record_t *record, uint8_t *out);
bool ringlog_copy_text(const ringlog_t *r, ringlog_record_t *record, uint32_t from, uint8_t *out, uint32_t n);

#endif // COLDFRAME_RINGLOG_H
