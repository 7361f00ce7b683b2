// Preloaded by scripts/reproduce.py: directories are read in reverse order.
//
// Whether a program sorts what it reads from a folder cannot be seen on one machine, where the order is
// always the same. With this library it can: the second build of a comparison sees each folder backwards.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct listing {
    DIR *dir;
    struct dirent **entries;
    size_t left; // entries not yet handed out; the last one comes next
    size_t count;
    struct listing *next;
};

static struct listing *listings;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void forget(DIR *dir) {
    for (struct listing **p = &listings; *p != NULL; p = &(*p)->next) {
        struct listing *found = *p;
        if (found->dir == dir) {
            *p = found->next;
            for (size_t i = 0; i < found->count; i++) {
                free(found->entries[i]);
            }
            free(found->entries);
            free(found);
            return;
        }
    }
}

static struct listing *listing_of(DIR *dir) {
    for (struct listing *p = listings; p != NULL; p = p->next) {
        if (p->dir == dir) {
            return p;
        }
    }
    struct dirent *(*real)(DIR *) = (struct dirent *(*)(DIR *))dlsym(RTLD_NEXT, "readdir");
    struct listing *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return NULL;
    }
    made->dir = dir;
    struct dirent *entry;
    while ((entry = real(dir)) != NULL) {
        struct dirent **grown = realloc(made->entries, (made->count + 1) * sizeof(*grown));
        struct dirent *copy = malloc(entry->d_reclen);
        if (grown == NULL || copy == NULL) {
            abort(); // half a folder would be worse than no build
        }
        memcpy(copy, entry, entry->d_reclen);
        made->entries = grown;
        made->entries[made->count++] = copy;
    }
    made->left = made->count;
    made->next = listings;
    listings = made;
    return made;
}

struct dirent *readdir(DIR *dir) {
    pthread_mutex_lock(&lock);
    struct listing *found = listing_of(dir);
    struct dirent *entry = found != NULL && found->left > 0 ? found->entries[--found->left] : NULL;
    pthread_mutex_unlock(&lock);
    return entry;
}

// On 64-bit Linux both structures are the same.
struct dirent64 *readdir64(DIR *dir) {
    return (struct dirent64 *)readdir(dir);
}

void rewinddir(DIR *dir) {
    void (*real)(DIR *) = (void (*)(DIR *))dlsym(RTLD_NEXT, "rewinddir");
    pthread_mutex_lock(&lock);
    forget(dir);
    pthread_mutex_unlock(&lock);
    real(dir);
}

int closedir(DIR *dir) {
    int (*real)(DIR *) = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");
    pthread_mutex_lock(&lock);
    forget(dir);
    pthread_mutex_unlock(&lock);
    return real(dir);
}
