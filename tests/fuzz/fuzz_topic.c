// SPDX-License-Identifier: MIT
//
// Fuzz target of topic names, topic filters and which filter selects which topic:
// each answer is compared with that of the reference.
#include <string.h>

#include "fuzz.h"
#include "mqttpacket.h"
#include "reference.h"

// Memory of the exact size shows what is read beyond.
static uint8_t *copy_of(const uint8_t *p, size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, p, n);
    return copy;
}

void fuzz_topic(const uint8_t *data, size_t size) {
    input_t in = { data, size };
    size_t fn = take(&in, 64);
    fn = fn < in.size ? fn : in.size;
    size_t tn = in.size - fn;
    uint8_t *f = copy_of(in.data, fn), *t = copy_of(in.data + fn, tn);

    int topic = tn > 0 && reference_text(t, tn, 1), text = reference_text(f, fn, 0);
    CHECK((mqtt_check_topic(t, tn) == 0) == topic);
    CHECK((mqtt_check_topic(f, fn) == 0) == (fn > 0 && reference_text(f, fn, 1)));
    int filter = reference_filter(f, fn), error = mqtt_check_filter(f, fn);
    CHECK(error <= 0 && error >= MQTT_ERR_LAST && (filter == REF_EITHER || filter == (error == 0)));

    int match = mqtt_match(f, fn, t, tn);
    if (topic && text) {
        CHECK(match == reference_match(f, fn, t, tn));
        fuzz_good += match;
    }
    free(f);
    free(t);
}
