// The port defines __assert() itself, with other arguments than picolibc's.
#undef assert
#ifdef NDEBUG
#define assert(e) ((void)0)
#else
void __assert(const char *file, int line, const char *expr);
#define assert(e) ((e) ? (void)0 : __assert(__FILE__, __LINE__, #e))
#endif
#ifndef static_assert
#define static_assert _Static_assert
#endif
