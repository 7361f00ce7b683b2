// state.json: what the world outside sees of the board (pin levels, PWM, radio, ...).
// Kept in C, so that watching the board costs nothing of the board's own heap.

#define _GNU_SOURCE // glibc hides ppoll and others otherwise

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "py/objstr.h"
#include "simboard.h"

#define ENTRIES (192)
#define DELAY_MS (10)

static struct {
    char key[48];
    char json[80];
} entries[ENTRIES];
static int used;
static bool dirty;
const char *sim_state_dir;

void sim_state_flush(void) {
    if (!dirty || sim_state_dir == NULL) {
        return;
    }
    char path[512], temp[520];
    if (snprintf(path, sizeof(path), "%s/state.json", sim_state_dir) >= (int)sizeof(path)) {
        return;
    }
    snprintf(temp, sizeof(temp), "%s.new", path);
    FILE *f = fopen(temp, "w");
    if (f == NULL) {
        return;
    }
    fputs("{", f);
    for (int i = 0; i < used; i++) {
        fprintf(f, "%s\n  \"%s\": %s", i ? "," : "", entries[i].key, entries[i].json);
    }
    fputs("\n}\n", f);
    if (fclose(f) == 0 && rename(temp, path) == 0) {
        dirty = false;
    }
}

bool sim_state_set(const char *key, const char *json) {
    int i = 0;
    while (i < used && strcmp(entries[i].key, key) != 0) {
        i++;
    }
    if (json == NULL) {
        if (i == used) {
            return true;
        }
        memmove(&entries[i], &entries[i + 1], (size_t)(used - i - 1) * sizeof(entries[0]));
        used--;
    } else {
        if (strlen(key) >= sizeof(entries[0].key) || strlen(json) >= sizeof(entries[0].json)) {
            return false;
        }
        if (i == used) {
            if (used == ENTRIES) {
                return false;
            }
            strcpy(entries[used++].key, key);
        } else if (strcmp(entries[i].json, json) == 0) {
            return true;
        }
        strcpy(entries[i].json, json);
    }
    if (!dirty) {
        dirty = true;
        sim_timer_set(SIM_EVENT_STATE, DELAY_MS, false);
    }
    return true;
}

// show(key, value): value is an int, a str or a bool; None removes the key.
static mp_obj_t show(mp_obj_t key_in, mp_obj_t value_in) {
    const char *key = mp_obj_str_get_str(key_in);
    char json[80];
    if (value_in == mp_const_none) {
        sim_state_set(key, NULL);
        return mp_const_none;
    }
    if (mp_obj_is_str(value_in)) {
        size_t len;
        const char *s = mp_obj_str_get_data(value_in, &len);
        size_t n = 0;
        json[n++] = '"';
        // Cut rather than refused: this is for looking at, and must not disturb the program.
        for (size_t i = 0; i < len && n < sizeof(json) - 8; i++) {
            unsigned char c = (unsigned char)s[i];
            if (c == '"' || c == '\\') {
                json[n++] = '\\';
                json[n++] = (char)c;
            } else if (c < 0x20) {
                n += (size_t)snprintf(json + n, 7, "\\u%04x", c);
            } else {
                json[n++] = (char)c;
            }
        }
        json[n++] = '"';
        json[n] = '\0';
    } else if (value_in == mp_const_true || value_in == mp_const_false) {
        strcpy(json, value_in == mp_const_true ? "true" : "false");
    } else {
        snprintf(json, sizeof(json), INT_FMT, mp_obj_get_int(value_in));
    }
    if (!sim_state_set(key, json)) {
        mp_raise_ValueError(MP_ERROR_TEXT("state.json is full"));
    }
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_2(sim_show_obj, show);
