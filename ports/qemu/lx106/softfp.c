// Single-precision floating point: the helpers that the ESP8266 carries in its mask ROM and that Debian's libgcc for
// the lx106 therefore leaves out. IEEE 754, round to nearest, ties to even, with denormals; a NaN that comes in goes
// out as a quiet NaN. No exception flags, as nothing here could read them.
//
// Part of Coldframe, MIT license (see LICENSE).
#include "helpers.h"

#define SIGN (0x80000000u)
#define INFINITE (0x7f800000u) // the exponent field, all ones
#define QUIET_NAN (0x7fc00000u)
#define QUIET (0x00400000u)
#define HIDDEN (0x00800000u) // the leading 1 that the format leaves out
#define FRACTION (0x007fffffu)

typedef union {
    float value;
    uint32_t bits;
} single_t;

typedef union {
    double value;
    uint64_t bits;
} wide_t;

static inline uint32_t to_bits(float value) {
    single_t x = { .value = value };
    return x.bits;
}

static inline float from_bits(uint32_t bits) {
    single_t x = { .bits = bits };
    return x.value;
}

static inline double double_from_bits(uint64_t bits) {
    wide_t x = { .bits = bits };
    return x.value;
}

// Shift right, keeping the fact that something was shifted out in the lowest bit: enough to round correctly later.
static uint64_t shift_sticky(uint64_t m, int32_t count) {
    if (count > 63) {
        return m != 0;
    }
    return m >> count | ((m & ((UINT64_C(1) << count) - 1)) != 0);
}

// Mantissa with its leading 1, and the exponent field of a finite number. Denormals have the exponent of the smallest
// normal number and no leading 1.
static uint32_t unpack(uint32_t bits, int32_t *exponent) {
    *exponent = bits >> 23 & 0xff;
    if (*exponent == 0) {
        *exponent = 1;
        return bits & FRACTION;
    }
    return (bits & FRACTION) | HIDDEN;
}

// Make a float of sign (bit 31) and m * 2^(exponent - 150 - 32), rounded; m may be any number. The 32 are the bits
// below the result's mantissa.
static uint32_t pack(uint32_t sign, int32_t exponent, uint64_t m) {
    if (m == 0) {
        return sign;
    }
    // Bring the leading 1 to bit 55.
    while (m >> 56) {
        m = shift_sticky(m, 1);
        ++exponent;
    }
    while (!(m >> 55)) {
        m <<= 1;
        --exponent;
    }
    if (exponent <= 0) { // too small for a normal number
        m = shift_sticky(m, 1 - exponent);
        exponent = 0;
    }
    uint32_t mantissa = (uint32_t)(m >> 32);
    uint32_t below = (uint32_t)m;
    if (below > 0x80000000u || (below == 0x80000000u && (mantissa & 1))) {
        ++mantissa;
    }
    if (exponent == 0) {
        return sign | mantissa; // rounded up to HIDDEN it is the smallest normal number, as it should be
    }
    if (mantissa >> 24) {
        mantissa >>= 1;
        ++exponent;
    }
    if (exponent >= 255) {
        return sign | INFINITE;
    }
    return sign | (uint32_t)exponent << 23 | (mantissa & FRACTION);
}

static uint32_t add(uint32_t a, uint32_t b) {
    uint32_t a_size = a & ~SIGN;
    uint32_t b_size = b & ~SIGN;
    if (a_size > INFINITE) {
        return a | QUIET;
    }
    if (b_size > INFINITE) {
        return b | QUIET;
    }
    if (a_size == INFINITE) {
        return b_size == INFINITE && a != b ? QUIET_NAN : a;
    }
    if (b_size == INFINITE) {
        return b;
    }
    if (a_size < b_size) { // from here on a is the larger one and gives the sign
        uint32_t swap = a;
        a = b;
        b = swap;
    }
    int32_t a_exponent, b_exponent;
    uint64_t m = (uint64_t)unpack(a, &a_exponent) << 32;
    uint64_t smaller = (uint64_t)unpack(b, &b_exponent) << 32;
    smaller = shift_sticky(smaller, a_exponent - b_exponent);
    m = (a ^ b) & SIGN ? m - smaller : m + smaller;
    if (m == 0) { // x - x is +0; only -0 + -0 is -0
        return a & b & SIGN;
    }
    return pack(a & SIGN, a_exponent, m);
}

float HELPER(__addsf3)(float a, float b) {
    return from_bits(add(to_bits(a), to_bits(b)));
}

float HELPER(__subsf3)(float a, float b) {
    uint32_t b_bits = to_bits(b);
    if ((b_bits & ~SIGN) <= INFINITE) { // a NaN keeps its sign
        b_bits ^= SIGN;
    }
    return from_bits(add(to_bits(a), b_bits));
}

float HELPER(__mulsf3)(float a_value, float b_value) {
    uint32_t a = to_bits(a_value), b = to_bits(b_value);
    uint32_t a_size = a & ~SIGN, b_size = b & ~SIGN;
    uint32_t sign = (a ^ b) & SIGN;
    if (a_size > INFINITE) {
        return from_bits(a | QUIET);
    }
    if (b_size > INFINITE) {
        return from_bits(b | QUIET);
    }
    if (a_size == INFINITE || b_size == INFINITE) {
        return from_bits(a_size && b_size ? sign | INFINITE : QUIET_NAN); // infinity times zero is no number
    }
    int32_t a_exponent, b_exponent;
    uint64_t m = HELPER(__umulsidi3)(unpack(a, &a_exponent), unpack(b, &b_exponent));
    // The product of two mantissas is scaled by 2^-46, pack() expects 2^-(23 + 32): hence 9 more.
    return from_bits(pack(sign, a_exponent + b_exponent - 127 + 9, m));
}

float HELPER(__floatunsisf)(uint32_t x) {
    return from_bits(pack(0, 150 + 32, x));
}

float HELPER(__floatsisf)(int32_t x) {
    uint32_t size = x < 0 ? -(uint32_t)x : (uint32_t)x;
    return from_bits(pack(x < 0 ? SIGN : 0, 150 + 32, size));
}

// Toward zero. What does not fit: 0 below, the largest number above.
uint32_t HELPER(__fixunssfsi)(float value) {
    uint32_t bits = to_bits(value);
    if (bits & SIGN) {
        return 0;
    }
    int32_t exponent;
    uint32_t m = unpack(bits, &exponent);
    int32_t shift = exponent - 150;
    if (shift > 8) {
        return UINT32_MAX;
    }
    if (shift >= 0) {
        return m << shift;
    }
    return shift < -24 ? 0 : m >> -shift;
}

double HELPER(__extendsfdf2)(float value) {
    uint32_t bits = to_bits(value);
    uint64_t sign = (uint64_t)(bits & SIGN) << 32;
    uint32_t size = bits & ~SIGN;
    if (size >= INFINITE) {
        uint64_t result = sign | UINT64_C(0x7ff0000000000000) | (uint64_t)(size & FRACTION) << 29;
        if (size > INFINITE) {
            result |= UINT64_C(1) << 51; // quiet
        }
        return double_from_bits(result);
    }
    if (size == 0) {
        return double_from_bits(sign);
    }
    int32_t exponent;
    uint32_t m = unpack(size, &exponent);
    while (!(m & HIDDEN)) { // a double has no trouble with what is denormal as a float
        m <<= 1;
        --exponent;
    }
    return double_from_bits(sign | (uint64_t)(exponent + 1023 - 127) << 52 | (uint64_t)(m & FRACTION) << 29);
}

float HELPER(__truncdfsf2)(double value) {
    wide_t x = { .value = value };
    uint32_t sign = (uint32_t)(x.bits >> 32) & SIGN;
    uint64_t size = x.bits & ~(UINT64_C(1) << 63);
    if (size > UINT64_C(0x7ff0000000000000)) {
        return from_bits(sign | QUIET_NAN | ((uint32_t)(size >> 29) & (FRACTION >> 1)));
    }
    if (size == UINT64_C(0x7ff0000000000000)) {
        return from_bits(sign | INFINITE);
    }
    int32_t exponent = (int32_t)(size >> 52);
    uint64_t m = size & ((UINT64_C(1) << 52) - 1);
    if (exponent == 0) {
        exponent = 1;
    } else {
        m |= UINT64_C(1) << 52;
    }
    // 52 bits of fraction here, 23 + 32 in pack(): 3 more.
    return from_bits(pack(sign, exponent - 1023 + 127 + 3, m));
}

double HELPER(__floatsidf)(int32_t x) {
    if (x == 0) {
        return double_from_bits(0);
    }
    uint32_t m = x < 0 ? -(uint32_t)x : (uint32_t)x;
    int32_t exponent = 1023 + 31;
    while (!(m >> 31)) {
        m <<= 1;
        --exponent;
    }
    uint64_t sign = x < 0 ? UINT64_C(1) << 63 : 0;
    return double_from_bits(sign | (uint64_t)exponent << 52 | (uint64_t)(m & 0x7fffffff) << 21);
}
