// Files of the host as scripts and modules, read by semihosting. They are kept outside the heap, where a board would
// have them in flash, and compiled ones are executed from there: what a test measures is then what the framework takes,
// not what the test takes. No folder of the host can be seen by the scripts.
//
// Part of Coldframe, MIT license (see LICENSE).
#include <string.h>

#include "py/builtin.h"
#include "py/compile.h"
#include "py/mperrno.h"
#include "py/persistentcode.h"
#include "py/reader.h"
#include "py/runtime.h"

#include "platform.h"
#include "port.h"

// Filled from the start by one file after the other.
extern uint8_t kept_scripts[1024 * 1024];
static size_t used;

static size_t read_file(const char *path, const uint8_t **data) {
    int fd = platform_host_open(path);
    if (fd < 0) {
        mp_raise_OSError(MP_ENOENT);
    }
    size_t start = used;
    int got;
    while ((got = platform_host_read(fd, kept_scripts + used, sizeof(kept_scripts) - used)) > 0) {
        used += got;
    }
    platform_host_close(fd);
    if (got < 0 || used == sizeof(kept_scripts)) {
        mp_raise_OSError(got < 0 ? MP_EIO : MP_EFBIG);
    }
    *data = kept_scripts + start;
    return used - start;
}

// "dir/test_x.mpy" -> the qstr test_x
static qstr module_name(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(name, '.');
    return qstr_from_strn(name, dot == NULL ? strlen(name) : (size_t)(dot - name));
}

static mp_obj_t load(const char *path, mp_module_context_t *context) {
    const uint8_t *data;
    size_t size = read_file(path, &data);
    mp_reader_t reader;
    mp_reader_new_mem(&reader, data, size, MP_READER_IS_ROM);
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".mpy") == 0) {
        mp_compiled_module_t compiled;
        compiled.context = context;
        mp_raw_code_load(&reader, &compiled);
        return mp_make_function_from_proto_fun(compiled.rc, context, NULL);
    }
    mp_lexer_t *lexer = mp_lexer_new(qstr_from_str(path), reader);
    mp_parse_tree_t tree = mp_parse(lexer, MP_PARSE_FILE_INPUT);
    return mp_compile(&tree, qstr_from_str(path), false);
}

void script_run(const char *path, bool as_main) {
    mp_module_context_t *context;
    if (as_main) {
        context = m_new_obj(mp_module_context_t);
        context->module.base.type = &mp_type_module;
        context->module.globals = mp_globals_get();
    } else {
        context = MP_OBJ_TO_PTR(mp_obj_new_module(module_name(path)));
    }

    nlr_jump_callback_node_globals_locals_t before;
    before.globals = mp_globals_get();
    before.locals = mp_locals_get();
    mp_globals_set(context->module.globals);
    mp_locals_set(context->module.globals);
    nlr_push_jump_callback(&before.callback, mp_globals_locals_set_from_nlr_jump_callback);
    mp_call_function_0(load(path, context));
    nlr_pop_jump_callback(true);
}
