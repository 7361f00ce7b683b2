// SPDX-License-Identifier: MIT
//
// Inputs for the fuzz targets from a seed, for our own driver.
#ifndef COLDFRAME_FUZZ_GENERATE_H
#define COLDFRAME_FUZZ_GENERATE_H

#include <stdint.h>

// Start the row of numbers that the inputs are made from.
void generate_seed(uint64_t seed);

// The next input of a target (decode, encode, props, topic or ringlog) goes to `in`, which
// has 64 KB. Returns its length.
uint32_t generate_input(const char *target, uint8_t *in);

#endif // COLDFRAME_FUZZ_GENERATE_H
