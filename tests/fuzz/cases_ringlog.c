// SPDX-License-Identifier: MIT
//
// Cases of the ring log that the fuzz target comes upon rarely or not at all.
#include <string.h>

#include "fuzz.h"
#include "ringlog.h"

#define WORDS (512) // of data: two of the longest records

enum { DEBUG = 10, ERROR = 40 };

static uint32_t block[RINGLOG_HEADER / 4 + WORDS];

static void start(ringlog_t *r) {
    memset(block, 0, sizeof(block));
    CHECK(ringlog_init(r, block, sizeof(block)) == 0);
}

static void put(ringlog_t *r, uint8_t level, const char *text) {
    ringlog_write(r, 7, level, (const uint8_t *)"name", 4, (const uint8_t *)text, strlen(text));
}

static ringlog_record_t first(ringlog_t *r) {
    ringlog_reader_t reader;
    ringlog_record_t record;
    uint32_t lost;
    ringlog_rewind(r, &reader, UINT32_MAX);
    CHECK(ringlog_next(r, &reader, &record, &lost) && lost == 0);
    return record;
}

// A record that was read is still found when it has moved, and missed when it has gone.
static void held(void) {
    ringlog_t r;
    uint8_t text[4], name[4];
    start(&r);
    put(&r, ERROR, "kept");
    put(&r, DEBUG, "gone");
    ringlog_record_t kept = first(&r), gone = kept, later;
    gone.seq = 1;
    CHECK(ringlog_has(&r, &kept));
    uint32_t generation = r.generation;
    while (r.generation == generation) {
        put(&r, DEBUG, "more");
        later = first(&r);
    }
    CHECK(ringlog_has(&r, &kept) && ringlog_copy_text(&r, &kept, 0, text, 4) && memcmp(text, "kept", 4) == 0);
    CHECK(ringlog_copy_name(&r, &kept, name) && memcmp(name, "name", 4) == 0);
    CHECK(!ringlog_copy_text(&r, &gone, 0, text, 4) && !ringlog_copy_name(&r, &gone, name));
    // One behind those that moved is where it was.
    ringlog_reader_t reader;
    uint32_t lost;
    ringlog_rewind(&r, &reader, 1);
    CHECK(ringlog_next(&r, &reader, &later, &lost));
    later.generation = generation;
    CHECK(ringlog_has(&r, &later) && later.generation == r.generation);
    // Nothing is there that has not been written, or after all was dropped.
    later.seq = r.next_seq;
    CHECK(!ringlog_has(&r, &later));
    for (uint32_t i = 0; i < WORDS; ++i) {
        put(&r, ERROR, "important");
    }
    CHECK(!ringlog_has(&r, &kept));
    kept = first(&r);
    ringlog_clear(&r);
    CHECK(!ringlog_has(&r, &kept) && ringlog_count(&r) == 0);
}

// A reader that is sent to a number: one that is there, one that has gone, one that has not come.
static void seek(void) {
    ringlog_t r;
    ringlog_reader_t reader;
    ringlog_record_t record;
    uint32_t lost;
    start(&r);
    for (uint32_t i = 0; i < 2 * WORDS; ++i) {
        put(&r, DEBUG, "x");
    }
    ringlog_seek(&r, &reader, r.next_seq - 2);
    CHECK(ringlog_next(&r, &reader, &record, &lost) && record.seq == r.next_seq - 2 && lost == 0);
    ringlog_seek(&r, &reader, 0);
    CHECK(ringlog_next(&r, &reader, &record, &lost) && record.seq == r.tail_seq && lost == r.tail_seq);
    ringlog_seek(&r, &reader, r.next_seq);
    CHECK(!ringlog_next(&r, &reader, &record, &lost) && lost == 0);
    ringlog_seek(&r, &reader, r.next_seq + 1000);
    CHECK(ringlog_next(&r, &reader, &record, &lost) && record.seq == r.tail_seq);
}

// Text is cut between characters; where no character begins, to nothing.
static void cut(void) {
    static uint8_t text[2000], out[2000];
    ringlog_t r;
    start(&r);
    for (uint32_t i = 0; i + 2 < sizeof(text); i += 3) {
        memcpy(text + i, "\xe2\x82\xac", 3);
    }
    ringlog_write(&r, 0, ERROR, text, 50, text, sizeof(text));
    ringlog_record_t record = first(&r);
    CHECK(record.name_len == 30 && record.text_len % 3 == 0 && record.text_len > 900);
    CHECK(ringlog_copy_text(&r, &record, 0, out, record.text_len) && memcmp(out, text, record.text_len) == 0);
    memset(text, 0x80, sizeof(text));
    start(&r);
    ringlog_write(&r, 0, ERROR, text, 50, text, sizeof(text));
    record = first(&r);
    CHECK(record.name_len == 0 && record.text_len == 0);
}

// A long record takes the place of more than go at once.
static void many_victims(void) {
    static uint8_t text[1024];
    ringlog_t r;
    start(&r);
    for (uint32_t i = 0; i < WORDS / RINGLOG_RECORD; ++i) {
        ringlog_write(&r, 0, DEBUG, text, 0, text, 0);
    }
    CHECK(ringlog_count(&r) == WORDS / RINGLOG_RECORD);
    ringlog_write(&r, 0, DEBUG, text, 0, text, sizeof(text));
    CHECK(r.dropped >= 40 && ringlog_count(&r) + r.dropped == WORDS / RINGLOG_RECORD + 1);
}

// A record whose checksum comes out as 0, which means something else in the block.
static void checksum_of_zero(void) {
    const uint32_t prime = 16777619u, level = DEBUG;
    uint32_t inverse = prime; // modulo 2^32, by Newton
    for (int i = 0; i < 5; ++i) {
        inverse *= 2 - prime * inverse;
    }
    uint32_t seq0 = (2166136261u ^ 0) * prime;
    seq0 ^= seq0 >> 15; // what comes before the time, for record 0 without name and text
    uint32_t wanted = level << 16; // what must come before the lengths
    wanted ^= wanted >> 15 ^ wanted >> 30;
    uint32_t time = wanted * inverse ^ seq0;
    ringlog_t r;
    start(&r);
    ringlog_write(&r, time, level, (const uint8_t *)"", 0, (const uint8_t *)"", 0);
    CHECK(block[RINGLOG_HEADER / 4] == 1 && first(&r).time == time);
}

void run_cases_ringlog(void) {
    held();
    seek();
    cut();
    many_victims();
    checksum_of_zero();
}
