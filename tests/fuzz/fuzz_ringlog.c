// SPDX-License-Identifier: MIT
//
// Fuzz target of the ring log: the input is a program of writes, reads, restarts,
// power cuts and scribbles, run on a block of exact size. As long as nobody has
// scribbled, all that is read is compared with what was written. The core is
// included here, so that a record can be spoilt and given a good checksum again
// (random bytes alone would never get past it), and so that the power can be cut
// at any word that it stores.
#include <setjmp.h>
#include <string.h>

#include "fuzz.h"

static uint32_t fuse; // words until the power goes; 0: it stays
static jmp_buf power_cut;

static int burnt(void) {
    return fuse != 0 && --fuse == 0;
}

#define RINGLOG_STORE(word, value) \
    do { \
        uint32_t stored = (value); \
        if (burnt()) { \
            longjmp(power_cut, 1); \
        } \
        (word) = stored; \
    } while (0)

#include "ringlog.c"

#define WRITES (600) // records of one input that are remembered

typedef struct _written_t {
    uint16_t len;
    uint8_t name_len, level;
} written_t;

typedef struct _state_t {
    ringlog_t r;
    uint32_t *block;
    uint32_t size;
    int wild; // somebody has scribbled on the block
    written_t written[WRITES]; // by sequence number
    uint8_t there[WRITES]; // after the last look
} state_t;

static void check_ring(const ringlog_t *r) {
    CHECK(r->tail < r->words && r->used <= r->words);
}

static uint8_t letter(uint32_t seq, uint32_t i) {
    return 'a' + (seq * 7 + i) % 26;
}

static void check_text(const state_t *s, const ringlog_record_t *record, const uint8_t *name, const uint8_t *text) {
    CHECK(record->seq < WRITES);
    const written_t *w = &s->written[record->seq];
    CHECK(record->level == w->level && record->time == 3 * record->seq);
    CHECK(record->name_len == (w->name_len < 32 ? w->name_len : 32) && record->text_len <= w->len);
    for (uint32_t i = 0; i < record->name_len; ++i) {
        CHECK(name[i] == letter(record->seq + 1, i));
    }
    for (uint32_t i = 0; i < record->text_len; ++i) {
        CHECK(text[i] == letter(record->seq, i));
    }
}

// Read, and check each record. Returns how many were read; *lost: how many were missed.
static uint32_t read_some(state_t *s, ringlog_reader_t *reader, uint32_t most, uint32_t *lost_of_all) {
    ringlog_t *r = &s->r;
    ringlog_record_t record;
    uint32_t lost, n = 0;
    bool found = true;
    for (; n < most && found; n += found) {
        uint32_t seq = reader->seq;
        found = ringlog_next(r, reader, &record, &lost);
        *lost_of_all += lost;
        CHECK(s->wild || reader->seq == seq + lost + found);
        check_ring(r);
        if (!found) {
            break;
        }
        CHECK(record.name_len <= RINGLOG_MAX_NAME && record.text_len <= RINGLOG_MAX_TEXT(r->words));
        uint8_t *name = malloc(record.name_len + 1), *text = malloc(record.text_len + 1);
        uint32_t half = record.text_len / 2;
        CHECK(ringlog_copy_name(r, &record, name));
        CHECK(ringlog_copy_text(r, &record, 0, text, half));
        CHECK(ringlog_copy_text(r, &record, half, text + half, record.text_len - half));
        if (!s->wild) {
            check_text(s, &record, name, text);
            s->there[record.seq] = 1;
        }
        free(name);
        free(text);
        ++fuzz_good;
    }
    return n;
}

// What is in the ring; into s->there by sequence number.
static void look(state_t *s) {
    ringlog_reader_t reader;
    uint32_t lost = 0, first = s->r.tail_seq;
    memset(s->there, 0, sizeof(s->there));
    ringlog_rewind(&s->r, &reader, UINT32_MAX);
    CHECK(reader.seq == first);
    uint32_t n = read_some(s, &reader, UINT32_MAX, &lost);
    CHECK(n == ringlog_count(&s->r) && n + lost == s->r.end_seq - first);
}

static uint32_t rank_of_seq(const state_t *s, uint32_t seq) {
    return rank_of((uint32_t)s->written[seq].level << 16);
}

static uint32_t words_of_seq(const state_t *s, uint32_t seq) {
    const written_t *w = &s->written[seq];
    uint32_t name = w->name_len < 32 ? w->name_len : 32, most = RINGLOG_MAX_TEXT(s->r.words) - ((name + 3) & ~3u);
    return words_of((w->len < most ? w->len : most) | name << 24);
}

// Of what was there before this write, have the right ones gone?
static void check_victims(const state_t *s, const uint8_t *before_it, uint32_t seq) {
    uint32_t highest = 0, gone = 0;
    for (uint32_t i = 0; i < seq; ++i) {
        CHECK(!s->there[i] || before_it[i]);
        if (before_it[i] && !s->there[i]) {
            ++gone;
            highest = rank_of_seq(s, i) > highest ? rank_of_seq(s, i) : highest;
        }
    }
    CHECK(s->there[seq]);
    for (uint32_t i = 0; i < seq && gone; ++i) {
        // One of a lower rank may only be left if more than the share of the important ones lies before it.
        if (s->there[i] && rank_of_seq(s, i) < highest) {
            uint32_t kept = 0;
            for (uint32_t k = 0; k < i; ++k) {
                kept += before_it[k] && rank_of_seq(s, k) > rank_of_seq(s, i) ? words_of_seq(s, k) : 0;
            }
            CHECK(kept > (s->r.words / 2 < RINGLOG_KEEP ? s->r.words / 2 : RINGLOG_KEEP));
        }
    }
}

static void write_one(ringlog_t *r, uint32_t seq, const written_t *w) {
    uint8_t *name = malloc(w->name_len + 1u), *text = malloc(w->len + 1u);
    for (uint32_t i = 0; i <= w->name_len; ++i) {
        name[i] = letter(seq + 1, i);
    }
    for (uint32_t i = 0; i <= w->len; ++i) {
        text[i] = letter(seq, i);
    }
    ringlog_write(r, 3 * seq, w->level, name, w->name_len, text, w->len);
    free(name);
    free(text);
}

// A write in the middle of which the power goes, at its n-th word; then a restart, which may be cut too.
static void cut_write(state_t *s, uint32_t n, uint32_t m) {
    uint8_t before_it[WRITES], *whole = malloc(s->size);
    uint32_t seq = s->r.next_seq;
    look(s);
    memcpy(before_it, s->there, sizeof(before_it));
    memcpy(whole, s->block, s->size);
    ringlog_t r = s->r;
    write_one(&s->r, seq, &s->written[seq]);
    look(s);
    uint8_t after_it[WRITES];
    memcpy(after_it, s->there, sizeof(after_it));
    // The same again, cut.
    memcpy(s->block, whole, s->size);
    s->r = r;
    free(whole);
    // No memory is allocated between here and the cut, or it would be lost.
    uint8_t name[256], text[2048];
    const written_t *w = &s->written[seq];
    memset(name, 0, sizeof(name));
    memset(text, 0, sizeof(text));
    for (uint32_t i = 0; i <= w->name_len; ++i) {
        name[i] = letter(seq + 1, i);
    }
    for (uint32_t i = 0; i <= w->len; ++i) {
        text[i] = letter(seq, i);
    }
    if (setjmp(power_cut) == 0) {
        fuse = n;
        ringlog_write(&s->r, 3 * seq, w->level, name, w->name_len, text, w->len);
    }
    fuse = 0;
    if (m > 0 && setjmp(power_cut) == 0) {
        fuse = m;
        ringlog_init(&s->r, s->block, s->size);
    }
    fuse = 0;
    ringlog_init(&s->r, s->block, s->size);
    look(s);
    CHECK(s->r.next_seq - seq <= 1);
    uint32_t torn = 0, newest = 0;
    for (uint32_t i = 0; i < seq; ++i) {
        newest = after_it[i] && s->there[i] ? i : newest;
    }
    for (uint32_t i = 0; i <= seq; ++i) {
        // Nothing comes back, but where nothing newer is left that says it is old.
        CHECK(!s->there[i] || before_it[i] || i == seq || i > newest);
        torn += i < seq && after_it[i] && !s->there[i];
    }
    CHECK(torn <= (m > 0 ? 2 : 1));
}

static void spoil(ringlog_t *r, input_t *in, uint32_t at) {
    // A record that is whole but was not written by us.
    uint32_t word = 1 + take(in, 3), value = take(in, 65536) << 16 | take(in, 65536);
    volatile uint32_t *lens = &r->data[wrap(r, at + 3)];
    if (word == 3 && take(in, 2)) {
        value = (*lens & 0xffffff00) + take(in, 256); // a length that is nearly right
    } else if (word == 3 && take(in, 2)) {
        value = (*lens & 0x00ffffff) | take(in, 256) << 24;
    }
    r->data[wrap(r, at + word)] = value;
    uint32_t n = words_of(*lens) - RINGLOG_RECORD, h = HASH_BEGIN;
    for (uint32_t i = 0; i < n; ++i) {
        h = mix(h, r->data[(at + RINGLOG_RECORD + i) % r->words]);
    }
    r->data[at] = hash_end(h, seq_at(r, at), r->data[wrap(r, at + 2)], *lens);
}

void fuzz_ringlog(const uint8_t *data, size_t size) {
    input_t in = { data, size };
    static state_t s;
    ringlog_reader_t a, b;
    uint32_t lost = 0;
    memset(&s, 0, sizeof(s));
    s.size = RINGLOG_MIN_BLOCK + 4 * take(&in, 100);
    if (take(&in, 16) == 0) {
        s.size += 10000; // more than RINGLOG_KEEP, and than the longest text
    }
    s.block = calloc(1, s.size);
    ringlog_t *r = &s.r;
    ringlog_init(r, s.block, s.size);
    ringlog_rewind(r, &a, UINT32_MAX);
    ringlog_rewind(r, &b, UINT32_MAX);
    uint8_t levels = take(&in, 4);
    while (in.size > 0 && (s.wild || r->next_seq < WRITES)) {
        uint32_t what = take(&in, 12);
        switch (what) {
            case 0:
            case 1:
            case 2:
            case 3: {
                written_t w;
                w.name_len = take(&in, 40);
                w.len = take(&in, 4) ? take(&in, 40) : take(&in, 1200);
                w.level = levels == 0 ? take(&in, 256) : 10 * take(&in, 1 + 2 * levels);
                uint32_t seq = r->next_seq;
                if (s.wild) {
                    write_one(r, seq, &w);
                } else {
                    s.written[seq] = w;
                    uint8_t before_it[WRITES];
                    look(&s);
                    memcpy(before_it, s.there, sizeof(before_it));
                    if (what == 0 && take(&in, 2)) {
                        uint32_t n = 1 + take(&in, 400), m = take(&in, 3) ? 0 : 1 + take(&in, 200);
                        cut_write(&s, n, m);
                        ringlog_rewind(r, &a, UINT32_MAX);
                        ringlog_rewind(r, &b, 1);
                        break;
                    }
                    write_one(r, seq, &w);
                    look(&s);
                    check_victims(&s, before_it, seq);
                }
                CHECK(r->next_seq == seq + 1 && ringlog_count(r) >= 1);
                break;
            }
            case 4:
                read_some(&s, &a, 1 + take(&in, 5), &lost);
                break;
            case 5:
                read_some(&s, &b, UINT32_MAX, &lost);
                CHECK(!before(b.seq, r->end_seq));
                break;
            case 6:
                if (take(&in, 2)) {
                    ringlog_rewind(r, &a, take(&in, 8));
                } else {
                    ringlog_seek(r, &a, r->next_seq - take(&in, 50));
                }
                break;
            case 7: // a restart
                ringlog_init(r, s.block, s.size);
                ringlog_rewind(r, &a, UINT32_MAX);
                ringlog_rewind(r, &b, 2);
                break;
            case 8:
                if (take(&in, 8) == 0) {
                    ringlog_clear(r);
                }
                break;
            case 9: // somebody scribbles on the block
                if (take(&in, 8) == 0) {
                    s.wild = 1;
                    ((uint8_t *)s.block)[take(&in, s.size)] = take(&in, 256);
                }
                break;
            case 10: // ... cleverly: on a record that begins where one is expected
                if (s.wild || take(&in, 4) == 0) {
                    s.wild = 1;
                    spoil(r, &in, (take(&in, 2) ? r->tail : take(&in, 2) ? a.at : take(&in, 65536)) % r->words);
                }
                break;
            default: // ... or on the header
                if (s.wild || take(&in, 8) == 0) {
                    s.wild = 1;
                    s.block[take(&in, 3) ? WORD_TAIL : take(&in, 6)] = take(&in, 65536);
                }
                break;
        }
        check_ring(r);
    }
    // A ring that is left alone afterwards works as if nothing had been.
    ringlog_init(r, s.block, s.size);
    ringlog_write(r, 1, 2, (const uint8_t *)"n", 1, (const uint8_t *)"text", 4);
    ringlog_record_t record;
    uint8_t text[4];
    ringlog_rewind(r, &a, 1);
    CHECK(ringlog_next(r, &a, &record, &lost) && record.text_len == 4 && record.level == 2);
    CHECK(ringlog_copy_text(r, &record, 0, text, 4) && memcmp(text, "text", 4) == 0);
    free(s.block);
}
