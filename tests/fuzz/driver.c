// SPDX-License-Identifier: MIT
//
// Drives the fuzz targets without libFuzzer: a bounded number of inputs, made
// from a seed, so that every run is the same.
//
//   driver TARGET COUNT SEED [DROP]     TARGET: decode, encode, props, topic or ringlog
//   driver TARGET FILE                  one input again, as libFuzzer leaves it
//   driver cases                        the cases of cases.c
//
// DROP is the number of the bounds check to take out (the mutation check): then
// the driver must not come to its end. Prints how many inputs were run, and how
// many packets or records came out of them; or the input that failed.
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "generate.h"

unsigned drop_check;
unsigned long fuzz_good;

// The input that runs now, for the report when it does not come to its end.
static const uint8_t *running;
static size_t running_len;

static void on_abort(int number) {
    (void)number;
    fprintf(stderr, "input:");
    for (size_t i = 0; i < running_len; ++i) {
        fprintf(stderr, " %02x", running[i]);
    }
    fprintf(stderr, "\n");
    _exit(1);
}

static void call(const char *target, const uint8_t *in, size_t n) {
    // Memory of the input's exact size, so that reading beyond it is seen.
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, in, n);
    running = in;
    running_len = n;
    if (strcmp(target, "decode") == 0) {
        fuzz_decode(copy, n);
    } else if (strcmp(target, "encode") == 0) {
        fuzz_encode(copy, n);
    } else if (strcmp(target, "props") == 0) {
        fuzz_props(copy, n);
    } else if (strcmp(target, "topic") == 0) {
        fuzz_topic(copy, n);
    } else {
        fuzz_ringlog(copy, n);
    }
    free(copy);
}

int main(int argc, char **argv) {
    static uint8_t in[1 << 20];
    signal(SIGABRT, on_abort); // of CHECK, and of the sanitizers with abort_on_error
    if (argc == 2 && strcmp(argv[1], "cases") == 0) {
        run_cases();
        run_cases_ringlog();
        return 0;
    }
    if (argc == 3) {
        FILE *f = fopen(argv[2], "rb");
        if (f == NULL) {
            perror(argv[2]);
            return 2;
        }
        call(argv[1], in, fread(in, 1, sizeof(in), f));
        fclose(f);
        return 0;
    }
    if (argc < 4) {
        fprintf(stderr, "usage: driver TARGET COUNT SEED [DROP] | driver TARGET FILE\n");
        return 2;
    }
    unsigned long count = strtoul(argv[2], NULL, 10);
    generate_seed(strtoull(argv[3], NULL, 10));
    drop_check = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    for (unsigned long i = 0; i < count; ++i) {
        call(argv[1], in, generate_input(argv[1], in));
    }
    printf("%lu inputs, %lu good\n", count, fuzz_good);
    return 0;
}
