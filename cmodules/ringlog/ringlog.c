// SPDX-License-Identifier: MIT
//
// See ringlog.h. How a full ring makes room is in ringlog_room.h, which is a part of this file.

#include <string.h>

#include "ringlog.h"

// Interrupts wait while a record is written: some ports would compile for size, which takes twice the time.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2")
#endif

// The fuzzer must be able to fail: it is also built with one of these bounds
// checks taken out (-DRINGLOG_TEST_DROP_CHECK=...) and has to find that.
#ifdef RINGLOG_TEST_DROP_CHECK
#define BOUND(n, broken) ((n) != RINGLOG_TEST_DROP_CHECK && (broken))
#else
#define BOUND(n, broken) (broken)
#endif

// Every word that goes into the block goes through here, so that a test can cut the power at any of them.
#ifndef RINGLOG_STORE
#define RINGLOG_STORE(word, value) ((word) = (value))
#endif

#define MAGIC (0x4c524643u) // "CFRL" in little-endian memory

enum { WORD_MAGIC, WORD_FORMAT, WORD_SIZE, WORD_TAIL, WORD_TAIL_SEQ, WORD_NEXT_SEQ };

#define FORMAT (RINGLOG_VERSION | (RINGLOG_HEADER / 4) << 8)

#define SPAN (1u << 30) // the sequence numbers in a block cannot be that far apart

#define MIN(a, b) ((a) < (b) ? (a) : (b))

// Is sequence number a before b? They wrap around at 2^32.
static inline bool before(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) < 0;
}

static inline uint32_t wrap(const ringlog_t *r, uint32_t at) {
    return BOUND(1, at >= r->words) ? at - r->words : at;
}

static inline uint32_t head(const ringlog_t *r) {
    return wrap(r, r->tail + r->used);
}

static inline uint32_t seq_at(const ringlog_t *r, uint32_t at) {
    return r->data[wrap(r, at + 1)];
}

static inline uint32_t lens_at(const ringlog_t *r, uint32_t at) {
    return r->data[wrap(r, at + 3)];
}

static inline uint32_t level_of(uint32_t lens) {
    return lens >> 16 & 0xff;
}

static inline uint32_t rank_of(uint32_t lens) {
    uint32_t level = level_of(lens);
    return level < 20 ? 0 : level < 30 ? 1 : level < 40 ? 2 : level < 50 ? 3 : 4;
}

// Words of a record of these lengths.
static inline uint32_t words_of(uint32_t lens) {
    return RINGLOG_RECORD + ((lens >> 24) + 3) / 4 + ((lens & 0xffff) + 3) / 4;
}

// One step of the checksum. For a given hash, two words never give the same result,
// so a change within one word is always found.
static inline uint32_t mix(uint32_t h, uint32_t word) {
    h = (h ^ word) * 16777619u;
    return h ^ h >> 15;
}

static inline uint32_t hash_end(uint32_t h, uint32_t seq, uint32_t time, uint32_t lens) {
    h = mix(mix(mix(h, seq), time), lens);
    return h ? h : 1; // 0 marks a record that is being written
}

#define HASH_BEGIN (2166136261u)

// Store the n bytes at p, filled up to whole words, from *at on. Returns the hash over them.
static uint32_t put(ringlog_t *r, uint32_t *at, uint32_t h, const uint8_t *p, uint32_t n) {
    uint32_t i = *at;
    bool aligned = (uintptr_t)p % 4 == 0;
    while (n > 0) {
        uint32_t word = 0;
        if (n >= 4) {
            if (aligned) {
                word = *(const uint32_t *)(const void *)p;
            } else {
                word = p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
            }
            p += 4;
            n -= 4;
        } else {
            for (uint32_t shift = 0; n > 0; --n, shift += 8) {
                word |= (uint32_t)*p++ << shift;
            }
        }
        RINGLOG_STORE(r->data[i], word);
        h = mix(h, word);
        ++i;
        if (BOUND(2, i == r->words)) {
            i = 0;
        }
    }
    *at = i;
    return h;
}

// Copy n bytes out, beginning `from` bytes behind the word at `at`.
static void get(const ringlog_t *r, uint32_t at, uint32_t from, uint8_t *out, uint32_t n) {
    uint32_t i = wrap(r, at + from / 4), byte = from % 4;
    while (n > 0) {
        uint32_t word = r->data[i] >> 8 * byte;
        for (; byte < 4 && n > 0; ++byte, --n, word >>= 8) {
            *out++ = word;
        }
        byte = 0;
        ++i;
        if (BOUND(3, i == r->words)) {
            i = 0;
        }
    }
}

// Does a whole record begin there, within the next `room` words? Returns its words, or 0.
static uint32_t check_record(const ringlog_t *r, uint32_t at, uint32_t room, ringlog_record_t *record) {
    uint32_t check = r->data[at];
    uint32_t seq = seq_at(r, at);
    uint32_t time = r->data[wrap(r, at + 2)];
    uint32_t lens = lens_at(r, at);
    uint32_t n = words_of(lens);
    if (BOUND(4, n > room)) {
        return 0;
    }
    if (BOUND(5, lens >> 24 > RINGLOG_MAX_NAME) || BOUND(6, (lens & 0xffff) > RINGLOG_MAX_TEXT(r->words))) {
        return 0;
    }
    uint32_t h = HASH_BEGIN, i = wrap(r, at + RINGLOG_RECORD);
    for (uint32_t left = n - RINGLOG_RECORD; left > 0; --left) {
        h = mix(h, r->data[i]);
        ++i;
        if (BOUND(7, i == r->words)) {
            i = 0;
        }
    }
    if (hash_end(h, seq, time, lens) != check) {
        return 0;
    }
    record->seq = seq;
    record->time = time;
    record->at = at;
    record->generation = r->generation;
    record->level = level_of(lens);
    record->name_len = lens >> 24;
    record->text_len = lens & 0xffff;
    return n;
}

// The words of the record there as far as the block can be believed: 0 if it has been
// scribbled on so that the next record cannot be found.
static inline uint32_t size_at(const ringlog_t *r, uint32_t at, uint32_t room) {
    uint32_t n = words_of(lens_at(r, at));
    return BOUND(8, n > room) ? 0 : n;
}

static void store_tail(ringlog_t *r) {
    RINGLOG_STORE(r->block[WORD_TAIL], r->tail);
    RINGLOG_STORE(r->block[WORD_TAIL_SEQ], r->tail_seq);
}

void ringlog_clear(ringlog_t *r) {
    r->tail = head(r);
    r->used = 0;
    r->count = 0;
    r->tail_seq = r->end_seq = r->next_seq;
    memset(r->ranks, 0, sizeof(r->ranks));
    store_tail(r);
}

// All is given up: somebody else has written into the block.
static void give_up(ringlog_t *r) {
    r->dropped += r->count;
    ringlog_clear(r);
}

#include "ringlog_room.h"

// Find the records in a block whose header is good. A reset may have come in the middle
// of a write, when records were being moved, and memory without power loses bits: what
// is whole counts, in growing order. The holes between are closed, by moving records
// down to where a walk over the block has already been.
static void attach(ringlog_t *r) {
    uint32_t at = r->tail, walked = 0, end = r->tail, first = r->tail_seq, last = 0;
    while (walked < r->words) {
        ringlog_record_t record;
        // The sequence number first: it is cheap to look at. What lies around from
        // before the oldest record has a lower one, and a copy left behind by a move
        // one that was seen already.
        uint32_t seq = seq_at(r, at), n = 0;
        if (seq - first < SPAN && (r->count == 0 || before(last, seq))) {
            n = check_record(r, at, r->words - walked, &record);
        }
        if (n == 0) {
            at = wrap(r, at + 1);
            ++walked;
            continue;
        }
        if (r->count == 0) {
            r->tail_seq = seq;
        }
        last = seq;
        ++r->count;
        ++r->ranks[rank_of((uint32_t)record.level << 16)];
        r->used += n;
        walked += n;
        if (end == at) {
            end = at = wrap(r, at + n);
            continue;
        }
        while (n-- > 0) {
            RINGLOG_STORE(r->data[end], r->data[at]);
            end = wrap(r, end + 1);
            at = wrap(r, at + 1);
        }
    }
    r->next_seq = r->end_seq = r->count ? last + 1 : r->tail_seq;
    if (r->block[WORD_NEXT_SEQ] - r->next_seq < SPAN) {
        r->next_seq = r->block[WORD_NEXT_SEQ]; // the one that was being written: its number is not used again
    }
    if (r->count == 0) {
        r->tail_seq = r->end_seq = r->next_seq;
    }
}

uint32_t ringlog_init(ringlog_t *r, void *block, uint32_t size) {
    volatile uint32_t *words = block;
    memset(r, 0, sizeof(*r));
    r->block = words;
    r->data = words + RINGLOG_HEADER / 4;
    r->words = (size - RINGLOG_HEADER) / 4;
    if (words[WORD_MAGIC] == MAGIC && words[WORD_FORMAT] == FORMAT && words[WORD_SIZE] == 4 * r->words &&
        !BOUND(9, words[WORD_TAIL] >= r->words)) {
        r->tail = words[WORD_TAIL];
        r->tail_seq = words[WORD_TAIL_SEQ];
        attach(r);
    }
    r->moved_seq = r->tail_seq - 1;
    RINGLOG_STORE(words[WORD_SIZE], 4 * r->words);
    RINGLOG_STORE(words[WORD_NEXT_SEQ], r->next_seq);
    store_tail(r);
    RINGLOG_STORE(words[WORD_FORMAT], FORMAT);
    RINGLOG_STORE(words[WORD_MAGIC], MAGIC);
    return r->count;
}

uint32_t ringlog_count(const ringlog_t *r) {
    return r->count;
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
    name_len = cut(name, name_len, RINGLOG_MAX_NAME);
    text_len = cut(text, text_len, RINGLOG_MAX_TEXT(r->words) - ((name_len + 3) & ~3u));
    uint32_t lens = text_len | (uint32_t)level << 16 | name_len << 24;
    uint32_t n = words_of(lens);
    make_room(r, n);

    uint32_t begin = head(r), at = wrap(r, begin + RINGLOG_RECORD);
    RINGLOG_STORE(r->block[WORD_NEXT_SEQ], r->next_seq + 1);
    RINGLOG_STORE(r->data[begin], 0); // not whole until all of it is there
    RINGLOG_STORE(r->data[wrap(r, begin + 1)], r->next_seq);
    RINGLOG_STORE(r->data[wrap(r, begin + 2)], time);
    RINGLOG_STORE(r->data[wrap(r, begin + 3)], lens);
    uint32_t h = put(r, &at, HASH_BEGIN, name, name_len);
    h = put(r, &at, h, text, text_len);
    RINGLOG_STORE(r->data[begin], hash_end(h, r->next_seq, time, lens));
    r->used += n;
    r->end_seq = ++r->next_seq;
    ++r->count;
    ++r->ranks[rank_of(lens)];
}

// The first record that is not before `seq`; the head if there is none.
static uint32_t find(const ringlog_t *r, uint32_t seq) {
    uint32_t at = r->tail, room = r->used;
    while (room > 0 && before(seq_at(r, at), seq)) {
        uint32_t n = size_at(r, at, room);
        if (n == 0) {
            return head(r);
        }
        room -= n;
        at = wrap(r, at + n);
    }
    return at;
}

void ringlog_rewind(const ringlog_t *r, ringlog_reader_t *reader, uint32_t last) {
    reader->generation = r->generation;
    if (last == 0) {
        reader->seq = r->next_seq;
        reader->at = head(r);
        return;
    }
    uint32_t at = r->tail, room = r->used;
    for (uint32_t skip = r->count > last ? r->count - last : 0; skip > 0; --skip) {
        uint32_t n = size_at(r, at, room);
        if (n == 0) {
            break;
        }
        room -= n;
        at = wrap(r, at + n);
    }
    reader->at = at;
    reader->seq = at == r->tail ? r->tail_seq : believed(r, seq_at(r, at), r->tail_seq);
}

void ringlog_seek(const ringlog_t *r, ringlog_reader_t *reader, uint32_t seq) {
    reader->generation = r->generation;
    reader->seq = before(r->next_seq, seq) ? r->tail_seq : seq;
    reader->at = find(r, reader->seq);
}

bool ringlog_next(ringlog_t *r, ringlog_reader_t *reader, ringlog_record_t *record, uint32_t *lost) {
    *lost = 0;
    if (!before(reader->seq, r->end_seq)) {
        return false; // and reader->at is where the next will be: the head never moves
    }
    if (r->used == 0) {
        *lost = r->next_seq - reader->seq;
        ringlog_rewind(r, reader, 0);
        return false;
    }
    if (!before(r->tail_seq, reader->seq)) { // it was overtaken, or is there
        reader->at = r->tail;
    } else if (reader->generation != r->generation && !before(r->moved_seq, reader->seq)) {
        reader->at = find(r, reader->seq);
    }
    reader->generation = r->generation;
    uint32_t n = check_record(r, reader->at, r->words, record);
    if (n == 0 || before(record->seq, r->tail_seq) || record->seq - reader->seq >= r->next_seq - reader->seq) {
        *lost = r->next_seq - reader->seq;
        give_up(r);
        ringlog_rewind(r, reader, 0);
        return false;
    }
    *lost = record->seq - reader->seq;
    reader->at = wrap(r, reader->at + n);
    reader->seq = record->seq + 1;
    return true;
}

bool ringlog_has(const ringlog_t *r, ringlog_record_t *record) {
    if (r->used == 0 || before(record->seq, r->tail_seq) || !before(record->seq, r->next_seq)) {
        return false;
    }
    if (record->generation != r->generation) {
        if (!before(r->moved_seq, record->seq)) {
            record->at = find(r, record->seq);
        }
        record->generation = r->generation;
    }
    return seq_at(r, record->at) == record->seq;
}

bool ringlog_copy_name(const ringlog_t *r, ringlog_record_t *record, uint8_t *out) {
    if (!ringlog_has(r, record)) {
        return false;
    }
    get(r, wrap(r, record->at + RINGLOG_RECORD), 0, out, record->name_len);
    return true;
}

bool ringlog_copy_text(const ringlog_t *r, ringlog_record_t *record, uint32_t from, uint8_t *out, uint32_t n) {
    if (!ringlog_has(r, record)) {
        return false;
    }
    get(r, wrap(r, record->at + RINGLOG_RECORD + (record->name_len + 3u) / 4), from, out, n);
    return true;
}
