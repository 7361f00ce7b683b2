// SPDX-License-Identifier: MIT
//
// See ringlog.h.

#include <string.h>

#include "ringlog.h"

// The fuzzer must be able to fail: it is also built with one of these bounds
// checks taken out (-DRINGLOG_TEST_DROP_CHECK=...) and has to find that.
#ifdef RINGLOG_TEST_DROP_CHECK
#define BOUND(n, broken) ((n) != RINGLOG_TEST_DROP_CHECK && (broken))
#else
#define BOUND(n, broken) (broken)
#endif

#define MAGIC (0x4c524643u) // "CFRL" in little-endian memory

enum { WORD_MAGIC, WORD_FORMAT, WORD_SIZE, WORD_TAIL, WORD_TAIL_SEQ, WORD_SPARE };

#define FORMAT (RINGLOG_VERSION | (RINGLOG_HEADER / 4) << 8)

static inline uint32_t wrap(const ringlog_t *r, uint32_t offset) {
    return offset >= r->size ? offset - r->size : offset;
}

static inline uint32_t *word_at(const ringlog_t *r, uint32_t offset) {
    return r->block + (RINGLOG_HEADER + offset) / 4;
}

static inline uint32_t padded(uint32_t len) {
    return RINGLOG_RECORD + ((len + 3) & ~3u);
}

// FNV-1a: a multiplication per byte, no table.
static uint32_t hash(uint32_t h, const uint8_t *p, uint32_t n) {
    while (n-- > 0) {
        h = (h ^ *p++) * 16777619u;
    }
    return h;
}

static uint32_t hash_words(uint32_t seq, uint32_t time, uint32_t lens) {
    uint32_t h = 2166136261u;
    h = (h ^ seq) * 16777619u;
    h = (h ^ h >> 15 ^ time) * 16777619u;
    return (h ^ h >> 15 ^ lens) * 16777619u;
}

static uint32_t hash_wrapped(const ringlog_t *r, uint32_t h, uint32_t offset, uint32_t n) {
    uint32_t first = r->size - offset;
    if (BOUND(1, first > n)) {
        first = n;
    }
    return hash(hash(h, r->data + offset, first), r->data, n - first);
}

static uint32_t put_wrapped(ringlog_t *r, uint32_t offset, const uint8_t *p, uint32_t n) {
    uint32_t first = r->size - offset;
    if (BOUND(2, first > n)) {
        first = n;
    }
    memcpy(r->data + offset, p, first);
    memcpy(r->data, p + first, n - first);
    return wrap(r, offset + n);
}

static void get_wrapped(const ringlog_t *r, uint32_t offset, uint8_t *p, uint32_t n) {
    uint32_t first = r->size - offset;
    if (BOUND(3, first > n)) {
        first = n;
    }
    memcpy(p, r->data + offset, first);
    memcpy(p + first, r->data, n - first);
}

static inline uint32_t len_of(uint32_t lens) {
    return lens & 0xffff;
}

// Does a whole record begin at offset, within the next `room` bytes? Returns
// its size with padding, or 0.
static uint32_t check_record(const ringlog_t *r, uint32_t offset, uint32_t room, ringlog_record_t *record) {
    uint32_t check = *word_at(r, offset);
    uint32_t seq = *word_at(r, wrap(r, offset + 4));
    uint32_t time = *word_at(r, wrap(r, offset + 8));
    uint32_t lens = *word_at(r, wrap(r, offset + 12));
    uint32_t len = len_of(lens), name_len = lens >> 24;
    if (BOUND(4, padded(len) > room)) {
        return 0;
    }
    if (BOUND(5, name_len > len || name_len > RINGLOG_MAX_NAME || len > RINGLOG_MAX_TEXT(r->size))) {
        return 0;
    }
    if (hash_wrapped(r, hash_words(seq, time, lens), wrap(r, offset + RINGLOG_RECORD), len) != check) {
        return 0;
    }
    record->seq = seq;
    record->time = time;
    record->offset = offset;
    record->level = lens >> 16;
    record->name_len = name_len;
    record->text_len = len - name_len;
    return padded(len);
}

static void store_tail(ringlog_t *r) {
    r->block[WORD_TAIL] = r->tail;
    r->block[WORD_TAIL_SEQ] = r->tail_seq;
}

void ringlog_clear(ringlog_t *r) {
    r->tail = wrap(r, r->tail + r->used);
    r->used = 0;
    r->tail_seq = r->next_seq;
    store_tail(r);
}

// Find the records in a block whose header is good. A reset may have come in the
// middle of a write, and memory without power loses bits: what counts is the
// longest row of whole records up to the newest.
static void attach(ringlog_t *r, uint32_t tail, uint32_t tail_seq) {
    uint32_t offset = tail, walked = 0, end = 0;
    bool found = false;
    while (walked < r->size) {
        ringlog_record_t record;
        // The sequence number first: it is cheap to look at, and random bytes
        // rarely pass. It only ever grows on the way from the oldest.
        uint32_t seq = *word_at(r, wrap(r, offset + 4));
        bool plausible = seq - tail_seq < r->size / RINGLOG_RECORD &&
            (!found || seq - tail_seq > r->next_seq - 1 - tail_seq);
        uint32_t n = plausible ? check_record(r, offset, r->size - walked, &record) : 0;
        if (n == 0) {
            offset = wrap(r, offset + 4);
            walked += 4;
            continue;
        }
        if (!found || walked != end || seq != r->next_seq) {
            // Something is missing before this one: the row begins here.
            r->tail = offset;
            r->tail_seq = seq;
            r->used = 0;
            found = true;
        }
        r->used += n;
        r->next_seq = seq + 1;
        offset = wrap(r, offset + n);
        walked += n;
        end = walked;
    }
}

uint32_t ringlog_init(ringlog_t *r, void *block, uint32_t size) {
    uint32_t *words = block;
    memset(r, 0, sizeof(*r));
    r->block = words;
    r->data = (uint8_t *)block + RINGLOG_HEADER;
    r->size = size - RINGLOG_HEADER;
    if (words[WORD_MAGIC] == MAGIC && words[WORD_FORMAT] == FORMAT && words[WORD_SIZE] == r->size &&
        !BOUND(6, words[WORD_TAIL] >= r->size) && words[WORD_TAIL] % 4 == 0) {
        r->next_seq = r->tail_seq = words[WORD_TAIL_SEQ];
        attach(r, words[WORD_TAIL], words[WORD_TAIL_SEQ]);
    }
    words[WORD_MAGIC] = MAGIC;
    words[WORD_FORMAT] = FORMAT;
    words[WORD_SIZE] = r->size;
    words[WORD_SPARE] = 0;
    store_tail(r);
    return ringlog_count(r);
}

uint32_t ringlog_count(const ringlog_t *r) {
    return r->next_seq - r->tail_seq;
}

// The size of the record at offset as far as the block can be believed: 0 if it
// has been scribbled on so that the next record cannot be found.
static uint32_t size_at(const ringlog_t *r, uint32_t offset, uint32_t room) {
    uint32_t n = padded(len_of(*word_at(r, wrap(r, offset + 12))));
    return BOUND(7, n > room) ? 0 : n;
}

// Overwrite old records until n bytes are free.
static void make_room(ringlog_t *r, uint32_t n) {
    while (r->size - r->used < n) {
        uint32_t old = size_at(r, r->tail, r->used);
        if (old == 0 || r->tail_seq == r->next_seq) {
            r->dropped += ringlog_count(r);
            ringlog_clear(r);
            return;
        }
        r->tail = wrap(r, r->tail + old);
        r->used -= old;
        ++r->tail_seq;
        ++r->dropped;
    }
    store_tail(r); // before the bytes go, so that a reset in between finds no half record
}

// The largest part of s[0:len] that is at most `max` bytes and ends between characters.
static uint32_t cut(const uint8_t *s, uint32_t len, uint32_t max) {
    if (len <= max) {
        return len;
    }
    while (max > 0 && (s[max] & 0xc0) == 0x80) {
        --max;
    }
    return max;
}

void ringlog_write(ringlog_t *r, uint32_t time, uint8_t level,
    const uint8_t *name, uint32_t name_len, const uint8_t *text, uint32_t text_len) {
    uint32_t max = RINGLOG_MAX_TEXT(r->size);
    name_len = cut(name, name_len, RINGLOG_MAX_NAME);
    text_len = cut(text, text_len, max - name_len);
    uint32_t len = name_len + text_len;
    make_room(r, padded(len));

    uint32_t head = wrap(r, r->tail + r->used);
    uint32_t lens = len | (uint32_t)level << 16 | name_len << 24;
    uint32_t check = hash(hash(hash_words(r->next_seq, time, lens), name, name_len), text, text_len);
    *word_at(r, head) = ~check; // not whole until all of it is there
    *word_at(r, wrap(r, head + 4)) = r->next_seq;
    *word_at(r, wrap(r, head + 8)) = time;
    *word_at(r, wrap(r, head + 12)) = lens;
    uint32_t at = put_wrapped(r, wrap(r, head + RINGLOG_RECORD), name, name_len);
    put_wrapped(r, at, text, text_len);
    *(volatile uint32_t *)word_at(r, head) = check;
    r->used += padded(len);
    ++r->next_seq;
}

static void to_oldest(const ringlog_t *r, ringlog_reader_t *reader) {
    reader->seq = r->tail_seq;
    reader->offset = r->tail;
}

void ringlog_rewind(const ringlog_t *r, ringlog_reader_t *reader, uint32_t last) {
    to_oldest(r, reader);
    uint32_t room = r->used;
    while (r->next_seq - reader->seq > last) {
        uint32_t n = size_at(r, reader->offset, room);
        if (n == 0) {
            return;
        }
        room -= n;
        reader->offset = wrap(r, reader->offset + n);
        ++reader->seq;
    }
}

bool ringlog_next(ringlog_t *r, ringlog_reader_t *reader, ringlog_record_t *record, uint32_t *lost) {
    *lost = 0;
    if (reader->seq - r->tail_seq > ringlog_count(r)) { // it was overtaken
        *lost = r->tail_seq - reader->seq;
        to_oldest(r, reader);
    }
    if (reader->seq == r->next_seq) {
        reader->offset = wrap(r, r->tail + r->used);
        return false;
    }
    uint32_t n = check_record(r, reader->offset, r->size, record);
    if (n == 0 || record->seq != reader->seq) {
        // Somebody else has written into the block. All of it is given up.
        *lost += r->next_seq - reader->seq;
        r->dropped += ringlog_count(r);
        ringlog_clear(r);
        to_oldest(r, reader);
        return false;
    }
    reader->offset = wrap(r, reader->offset + n);
    ++reader->seq;
    return true;
}

bool ringlog_has(const ringlog_t *r, const ringlog_record_t *record) {
    return record->seq - r->tail_seq < ringlog_count(r);
}

bool ringlog_copy_name(const ringlog_t *r, const ringlog_record_t *record, uint8_t *out) {
    if (!ringlog_has(r, record)) {
        return false;
    }
    get_wrapped(r, wrap(r, record->offset + RINGLOG_RECORD), out, record->name_len);
    return true;
}

bool ringlog_copy_text(const ringlog_t *r, const ringlog_record_t *record, uint8_t *out) {
    if (!ringlog_has(r, record)) {
        return false;
    }
    uint32_t at = wrap(r, record->offset + RINGLOG_RECORD);
    get_wrapped(r, wrap(r, at + record->name_len), out, record->text_len);
    return true;
}
