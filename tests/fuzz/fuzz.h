// SPDX-License-Identifier: MIT
//
// What the fuzz harnesses share. Each target is a function that takes any bytes
// and must return; it calls abort() through CHECK when the code under test says
// something that cannot be, and the sanitizers end it when it touches memory
// that it must not.
#ifndef COLDFRAME_FUZZ_H
#define COLDFRAME_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Targets: what libFuzzer calls, or our own driver (driver.c).
void fuzz_decode(const uint8_t *data, size_t size);
#define FUZZ_DECODE_HEAD (7) // bytes of its input that say how it is run
void fuzz_encode(const uint8_t *data, size_t size);
void fuzz_props(const uint8_t *data, size_t size);
void fuzz_topic(const uint8_t *data, size_t size);
void fuzz_ringlog(const uint8_t *data, size_t size);

// Cases of their own, beside the targets (cases.c).
void run_cases(void);
void run_cases_ringlog(void); // cases_ringlog.c

// Packets decoded, packets encoded, records read: a harness whose inputs are all
// refused at their first byte tests nothing, and this shows it.
extern unsigned long fuzz_good;

#define CHECK(ok) \
    do { \
        if (!(ok)) { \
            fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #ok); \
            abort(); \
        } \
    } while (0)

// The bytes of an input, taken one after the other; zeros when they are used up.
typedef struct _input_t {
    const uint8_t *data;
    size_t size;
} input_t;

static inline uint32_t take(input_t *in, uint32_t below) {
    uint32_t value = 0;
    for (int i = 0; i < (below > 256 ? 2 : 1) && in->size > 0; ++i) {
        value = value << 8 | *in->data++;
        --in->size;
    }
    return value % below;
}

#if defined(__has_feature) // clang
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__) // gcc
#define WITH_ASAN
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define FORBID(p, n) __asan_poison_memory_region(p, n)
#define ALLOW(p, n) __asan_unpoison_memory_region(p, n)
#else
#define FORBID(p, n) (void)(p), (void)(n)
#define ALLOW(p, n) (void)(p), (void)(n)
#endif

#endif // COLDFRAME_FUZZ_H
