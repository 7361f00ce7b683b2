// SPDX-License-Identifier: MIT
//
// Fuzz target of the ring log: the input is a program of writes, reads, restarts
// and scribbles, run on a block of exact size. The core is included here, so that
// a record can be spoilt and given a good checksum again: random bytes alone
// would never get past it.
#include <string.h>

#include "fuzz.h"
#include "ringlog.c"

static void check_ring(const ringlog_t *r) {
    CHECK(r->tail < r->size && r->tail % 4 == 0);
    CHECK(r->used <= r->size && r->used % 4 == 0);
}

static void read_all(ringlog_t *r, ringlog_reader_t *reader, uint32_t most) {
    ringlog_record_t record;
    uint32_t lost;
    for (uint32_t i = 0; i < most && ringlog_next(r, reader, &record, &lost); ++i) {
        CHECK(record.name_len <= RINGLOG_MAX_NAME && record.text_len <= r->size);
        uint8_t *name = malloc(record.name_len + 1), *text = malloc(record.text_len + 1);
        CHECK(ringlog_copy_name(r, &record, name) && ringlog_copy_text(r, &record, text));
        free(name);
        free(text);
        check_ring(r);
        ++fuzz_good;
    }
}

static void spoil(ringlog_t *r, input_t *in, uint32_t offset) {
    // A record that is whole but was not written by us.
    uint32_t word = 1 + take(in, 3), value = take(in, 65536) << 16 | take(in, 65536);
    uint32_t *lens = word_at(r, wrap(r, offset + 12));
    if (word == 3 && take(in, 2)) {
        value = (*lens & 0xffffff00) + take(in, 256); // a length that is nearly right
    }
    *word_at(r, wrap(r, offset + 4 * word)) = value;
    uint32_t len = *lens & 0xffff;
    uint32_t n = len < r->size ? len : r->size;
    uint32_t at = wrap(r, offset + RINGLOG_RECORD), first = r->size - at < n ? r->size - at : n;
    uint32_t h = hash_words(*word_at(r, wrap(r, offset + 4)), *word_at(r, wrap(r, offset + 8)), *lens);
    *word_at(r, offset) = hash(hash(h, r->data + at, first), r->data, n - first);
}

void fuzz_ringlog(const uint8_t *data, size_t size) {
    input_t in = { data, size };
    uint32_t block_size = RINGLOG_MIN_BLOCK + 4 * take(&in, 100);
    if (take(&in, 16) == 0) {
        block_size += 70000; // larger than a record's length can say
    }
    uint32_t *block = calloc(1, block_size);
    ringlog_t r;
    ringlog_reader_t a, b;
    ringlog_init(&r, block, block_size);
    ringlog_rewind(&r, &a, UINT32_MAX);
    ringlog_rewind(&r, &b, UINT32_MAX);
    uint32_t offset;
    while (in.size > 0) {
        switch (take(&in, 10)) {
            case 0:
            case 1:
            case 2: {
                uint32_t name_len = take(&in, 40), text_len = take(&in, 4) ? take(&in, 40) : take(&in, 1000);
                uint8_t *name = malloc(name_len + 1), *text = malloc(text_len + 1);
                memset(name, 0x80 + take(&in, 128), name_len + 1);
                memset(text, take(&in, 256), text_len + 1);
                uint32_t seq = r.next_seq;
                ringlog_write(&r, 7, take(&in, 256), name, name_len, text, text_len);
                CHECK(r.next_seq == seq + 1 && ringlog_count(&r) >= 1);
                free(name);
                free(text);
                break;
            }
            case 3:
                read_all(&r, &a, 1 + take(&in, 5));
                break;
            case 4:
                read_all(&r, &b, UINT32_MAX);
                break;
            case 5:
                ringlog_rewind(&r, &a, take(&in, 8));
                break;
            case 6: // somebody scribbles on the block
                ((uint8_t *)block)[take(&in, block_size < 65536 ? block_size : 65536)] = take(&in, 256);
                break;
            case 7: // ... cleverly: on a record that begins where one is expected
                offset = take(&in, 2) ? r.tail : take(&in, 2) ? a.offset : 4 * take(&in, r.size / 4);
                spoil(&r, &in, offset % r.size);
                break;
            case 8: // ... or on the header
                block[take(&in, 3) ? WORD_TAIL : take(&in, 6)] = 4 * take(&in, 65536);
                break;
            default: // a restart
                ringlog_init(&r, block, block_size);
                ringlog_rewind(&r, &a, UINT32_MAX);
                ringlog_rewind(&r, &b, 2);
                break;
        }
        check_ring(&r);
    }
    // A ring that is left alone afterwards works as if nothing had been.
    ringlog_init(&r, block, block_size);
    ringlog_write(&r, 1, 2, (const uint8_t *)"n", 1, (const uint8_t *)"text", 4);
    ringlog_record_t record;
    uint32_t lost;
    uint8_t text[4];
    ringlog_rewind(&r, &a, 1);
    CHECK(ringlog_next(&r, &a, &record, &lost) && record.text_len == 4 && record.level == 2);
    CHECK(ringlog_copy_text(&r, &record, text) && memcmp(text, "text", 4) == 0);
    free(block);
}
