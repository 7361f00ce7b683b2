// Compares the lx106's software arithmetic (ports/qemu/lx106/intmath.c, softfp.c) with that of the machine this runs on.
// Built and started by test_softfp.py:  softfp_check SEED CASES
// Prints the first differences and "N differences in M comparisons"; exit status 1 if there is any.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helpers.h"

static uint64_t state;
static unsigned long compared, different;

static uint64_t random64(void) { // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

static float single(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static double wide(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t single_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return value != value ? 0x7fc00000 : bits; // every NaN is as good as another
}

static uint64_t wide_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return value != value ? UINT64_C(0x7ff8000000000000) : bits;
}

static void check(const char *name, uint64_t a, uint64_t b, uint64_t got, uint64_t expected) {
    ++compared;
    if (got != expected && ++different <= 10) {
        printf("%s(%#llx, %#llx): got %#llx, expected %#llx\n", name, (unsigned long long)a, (unsigned long long)b,
            (unsigned long long)got, (unsigned long long)expected);
    }
}

static void check_floats(uint32_t a_bits, uint32_t b_bits) {
    // volatile: the reference has to be computed here and now by the FPU, not by the compiler.
    volatile float a = single(a_bits), b = single(b_bits), sum, difference, product;
    sum = a + b;
    difference = a - b;
    product = a * b;
    check("__addsf3", a_bits, b_bits, single_bits(test___addsf3(a, b)), single_bits(sum));
    check("__subsf3", a_bits, b_bits, single_bits(test___subsf3(a, b)), single_bits(difference));
    check("__mulsf3", a_bits, b_bits, single_bits(test___mulsf3(a, b)), single_bits(product));
    check("__extendsfdf2", a_bits, 0, wide_bits(test___extendsfdf2(a)), wide_bits((double)a));
    uint32_t whole;
    if (a_bits >> 31) {
        whole = 0;
    } else if (!(a < 4294967296.0f)) { // NaN too
        whole = UINT32_MAX;
    } else {
        whole = (uint32_t)a;
    }
    check("__fixunssfsi", a_bits, 0, test___fixunssfsi(a), whole);
}

static void check_narrowing(uint64_t bits) {
    volatile double d = wide(bits);
    volatile float f = (float)d;
    check("__truncdfsf2", bits, 0, single_bits(test___truncdfsf2(d)), single_bits(f));
}

static void check_ints(uint64_t a, uint64_t b) {
    uint32_t a32 = (uint32_t)a, b32 = (uint32_t)b;
    check("__floatunsisf", a32, 0, single_bits(test___floatunsisf(a32)), single_bits((float)a32));
    check("__floatsisf", a32, 0, single_bits(test___floatsisf((int32_t)a32)), single_bits((float)(int32_t)a32));
    check("__floatsidf", a32, 0, wide_bits(test___floatsidf((int32_t)a32)), wide_bits((double)(int32_t)a32));
    check("__umulsidi3", a32, b32, test___umulsidi3(a32, b32), (uint64_t)a32 * b32);
    check("__muldi3", a, b, (uint64_t)test___muldi3((int64_t)a, (int64_t)b), a * b);
    check("__udivsi3", a32, b32, test___udivsi3(a32, b32), b32 ? a32 / b32 : UINT32_MAX);
    check("__umodsi3", a32, b32, test___umodsi3(a32, b32), b32 ? a32 % b32 : a32);
    check("__udivdi3", a, b, test___udivdi3(a, b), b ? a / b : UINT64_MAX);
    check("__umoddi3", a, b, test___umoddi3(a, b), b ? a % b : a);
    // The one quotient that does not fit is the machine's business, and C leaves it undefined.
    if (b32 && !(a32 == 0x80000000 && b32 == UINT32_MAX)) {
        check("__divsi3", a32, b32, (uint32_t)test___divsi3((int32_t)a32, (int32_t)b32),
            (uint32_t)((int32_t)a32 / (int32_t)b32));
    }
    if (b && !(a == UINT64_C(1) << 63 && b == UINT64_MAX)) {
        check("__divdi3", a, b, (uint64_t)test___divdi3((int64_t)a, (int64_t)b), (uint64_t)((int64_t)a / (int64_t)b));
    }
}

// Zero, the borders of denormal, normal and infinite, powers of two around 1 and 2^24 and 2^32, and their neighbours.
static const uint32_t edges[] = {
    0, 1, 2, 0x007ffffe, 0x007fffff, 0x00800000, 0x00800001, 0x00ffffff, 0x01000000, 0x33000000, 0x33800000,
    0x34000000, 0x3effffff, 0x3f000000, 0x3f7ffffe, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fffffff, 0x40000000,
    0x40490fdb, 0x4affffff, 0x4b000000, 0x4b7fffff, 0x4b800000, 0x4b800001, 0x4effffff, 0x4f000000, 0x4f7fffff,
    0x4f800000, 0x4f800001, 0x7effffff, 0x7f000000, 0x7f7ffffe, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc00000,
    0x7fffffff,
};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

static uint64_t some_int(void) { // of any length, now and then all ones
    uint64_t value = random64() >> (random64() & 63);
    switch (random64() & 7) {
        case 0:
            return ~value;
        case 1:
            return value | value << 32;
        default:
            return value;
    }
}

// Two or three bits of many: products and shifts of such numbers are often exact halves, or miss one by the last bit.
static uint64_t few_bits(int width) {
    uint64_t bits = UINT64_C(1) << random64() % width | UINT64_C(1) << random64() % width;
    return random64() & 1 ? bits | 1 : bits;
}

// Results below the smallest normal number, where rounding happens at another place.
static void check_denormal_results(void) {
    uint32_t a_exponent = 1 + random64() % 125;
    uint32_t b_exponent = 127 - a_exponent - random64() % 26; // the product's is -25 to 0
    uint32_t b = (b_exponent & 0xff) << 23;
    check_floats(a_exponent << 23 | (uint32_t)few_bits(23), b | (uint32_t)few_bits(23));
    check_narrowing((1023 - 127 - random64() % 26) << 52 | few_bits(52));
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: softfp_check SEED CASES\n");
        return 2;
    }
    state = strtoull(argv[1], NULL, 0) | 1;
    unsigned long cases = strtoul(argv[2], NULL, 0);

    for (size_t i = 0; i < EDGES; ++i) {
        for (size_t j = 0; j < EDGES; ++j) {
            for (uint32_t signs = 0; signs < 4; ++signs) {
                check_floats(edges[i] | signs << 31, edges[j] | (signs & 2) << 30);
            }
            check_ints((uint64_t)edges[i] << 32 | edges[j], edges[j]);
            check_ints(edges[i], (uint64_t)edges[j] << 32 | edges[i]);
            check_ints(~(uint64_t)edges[i], edges[j]);
        }
        // Around what becomes a float's border: a double one step to each side, and the exact half between two floats.
        uint64_t bits = wide_bits((double)single(edges[i]));
        for (int64_t step = -2; step <= 2; ++step) {
            check_narrowing(bits + (uint64_t)step);
            check_narrowing(bits + (UINT64_C(1) << 28) + (uint64_t)step);
            check_narrowing((bits + (uint64_t)step) | UINT64_C(1) << 63);
        }
    }
    for (unsigned long i = 0; i < cases; ++i) {
        uint64_t r = random64();
        uint32_t a = (uint32_t)r;
        check_floats(a, (uint32_t)(r >> 32));
        // Numbers of about the same size: where additions cancel and round.
        check_floats(a, a ^ (uint32_t)(random64() & 0x83ffffff));
        check_floats(a, edges[random64() % EDGES]);
        check_narrowing(random64());
        // Doubles in a float's range, denormals included.
        check_narrowing((random64() & UINT64_C(0x800fffffffffffff)) | (872 + random64() % 282) << 52);
        check_denormal_results();
        check_ints(some_int(), some_int());
    }
    printf("%lu differences in %lu comparisons\n", different, compared);
    return different != 0;
}
