// Make a littlefs image that holds a few files, with the littlefs of the MicroPython tree at hand:
// what the firmware will mount is made by the very code that mounts it.
//
//   mklittlefs IMAGE BLOCK_SIZE BLOCK_COUNT PAGE [PATH=FILE]...
//
// The image is as short as it can be: it ends with the last block that was erased or written (at least
// the two blocks of the root folder). What lies behind it need not be erased: littlefs knows which blocks
// are free from its folders alone. The block count of the whole file system is in the superblock.
//
// Built and run by scripts/kit/prefill.py. The bytes depend on the arguments and files alone.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lfs2.h"

static uint8_t *flash;
static lfs2_size_t used; // bytes from the start up to the end of the last block touched

static void touch(const struct lfs2_config *c, lfs2_block_t block) {
    if (used < (block + 1) * c->block_size) {
        used = (block + 1) * c->block_size;
    }
}

static int bd_read(const struct lfs2_config *c, lfs2_block_t block, lfs2_off_t off, void *buf, lfs2_size_t size) {
    memcpy(buf, flash + (size_t)block * c->block_size + off, size);
    return 0;
}

static int bd_prog(const struct lfs2_config *c, lfs2_block_t block, lfs2_off_t off, const void *buf, lfs2_size_t size) {
    memcpy(flash + (size_t)block * c->block_size + off, buf, size);
    touch(c, block);
    return 0;
}

static int bd_erase(const struct lfs2_config *c, lfs2_block_t block) {
    memset(flash + (size_t)block * c->block_size, 0xff, c->block_size);
    touch(c, block);
    return 0;
}

static int bd_sync(const struct lfs2_config *c) {
    (void)c;
    return 0;
}

static int fail(const char *what, const char *where, int code) {
    fprintf(stderr, "error: %s: %s (%d)\n", where, what, code);
    return 1;
}

// Create the folders that a path goes through.
static int make_parents(lfs2_t *fs, char *path) {
    for (char *p = strchr(path, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = 0;
        int err = lfs2_mkdir(fs, path);
        *p = '/';
        if (err && err != LFS2_ERR_EXIST) {
            return err;
        }
    }
    return 0;
}

static int add(lfs2_t *fs, char *spec) {
    char *source = strchr(spec, '=');
    if (source == NULL) {
        return fail("expected PATH=FILE", spec, 0);
    }
    *source++ = 0;
    int err = make_parents(fs, spec);
    if (err) {
        return fail("cannot make its folder", spec, err);
    }
    FILE *in = fopen(source, "rb");
    if (in == NULL) {
        return fail("cannot be read", source, 0);
    }
    lfs2_file_t file;
    err = lfs2_file_open(fs, &file, spec, LFS2_O_WRONLY | LFS2_O_CREAT | LFS2_O_TRUNC);
    char buf[512];
    size_t n;
    while (err == 0 && (n = fread(buf, 1, sizeof(buf), in)) > 0) {
        lfs2_ssize_t done = lfs2_file_write(fs, &file, buf, n);
        if (done < 0) {
            err = done;
        }
    }
    fclose(in);
    if (err == 0) {
        err = lfs2_file_close(fs, &file);
    }
    return err ? fail("cannot be written", spec, err) : 0;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: mklittlefs IMAGE BLOCK_SIZE BLOCK_COUNT PAGE [PATH=FILE]...\n");
        return 2;
    }
    // The caches, the look-ahead and the program size are those that MicroPython's VfsLfs2 uses.
    struct lfs2_config config = {
        .read = bd_read,
        .prog = bd_prog,
        .erase = bd_erase,
        .sync = bd_sync,
        .read_size = 32,
        .prog_size = (lfs2_size_t)atoi(argv[4]),
        .block_size = (lfs2_size_t)atoi(argv[2]),
        .block_count = (lfs2_size_t)atoi(argv[3]),
        .block_cycles = 100,
        .cache_size = 4 * (lfs2_size_t)atoi(argv[4]),
        .lookahead_size = 32,
        #ifdef LFS2_MULTIVERSION
        // The older of the two formats in use: every littlefs 2 mounts it.
        .disk_version = 0x00020000,
        #endif
    };
    size_t size = (size_t)config.block_size * config.block_count;
    flash = malloc(size);
    if (flash == NULL) {
        return fail("out of memory", argv[1], 0);
    }
    memset(flash, 0xff, size);
    touch(&config, 1);
    lfs2_t fs;
    int err = lfs2_format(&fs, &config);
    if (err == 0) {
        err = lfs2_mount(&fs, &config);
    }
    if (err) {
        return fail("cannot be formatted", argv[1], err);
    }
    for (int i = 5; i < argc; i++) {
        if (add(&fs, argv[i])) {
            return 1;
        }
    }
    lfs2_unmount(&fs);
    FILE *out = fopen(argv[1], "wb");
    if (out == NULL || fwrite(flash, 1, used, out) != used || fclose(out) != 0) {
        return fail("cannot be written", argv[1], 0);
    }
    free(flash);
    return 0;
}
