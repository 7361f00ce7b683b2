// What the simulated board puts between MicroPython's unix port and the operating system.
//
// The port is compiled unmodified: these function-like macros redirect its few system calls about time
// and the network to sim_NAME(), which knows the state of the simulated radio and clock. Writing the
// name in parentheses, (poll)(...), calls the real function. The system headers are included first, so
// that their own declarations are not renamed.

#ifndef COLDFRAME_SIMHOOKS_H
#define COLDFRAME_SIMHOOKS_H

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// simclock.c: a clock that can run faster than the wall, and be unset as on a board without a battery.
int sim_gettimeofday(struct timeval *tv, void *zone);
int sim_clock_gettime(clockid_t clock, struct timespec *ts);
time_t sim_time(time_t *out);
int sim_select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout);
int sim_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int sim_usleep(unsigned long us);

// simradio.c: nothing gets through while the simulated radio is off the air.
int sim_connect(int fd, const struct sockaddr *addr, socklen_t len);
int sim_bind(int fd, const struct sockaddr *addr, socklen_t len);
int sim_accept(int fd, struct sockaddr *addr, socklen_t *len);
ssize_t sim_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len);
int sim_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);

// simboard.c: interrupts, console.
int sim_sigaction(int signum, const struct sigaction *act, struct sigaction *old);
void sim_console_running(bool running);
extern volatile int sim_atomic_depth;
void sim_atomic_release(void);

// A signal that arrives inside an atomic section is remembered and handled at its end.
static inline unsigned long sim_atomic_begin(void) {
    return (unsigned long)sim_atomic_depth++;
}
static inline void sim_atomic_end(unsigned long state) {
    sim_atomic_depth = (int)state;
    if (state == 0) {
        sim_atomic_release();
    }
}

#define gettimeofday(tv, zone)              sim_gettimeofday(tv, zone)
#define clock_gettime(clock, ts)            sim_clock_gettime(clock, ts)
#define time(out)                           sim_time(out)
#define select(n, r, w, e, timeout)         sim_select(n, r, w, e, timeout)
#define poll(fds, n, timeout)               sim_poll(fds, n, timeout)
#define usleep(us)                          sim_usleep(us)
#define connect(fd, addr, len)              sim_connect(fd, addr, len)
#define bind(fd, addr, len)                 sim_bind(fd, addr, len)
#define accept(fd, addr, len)               sim_accept(fd, addr, len)
#define sendto(fd, buf, n, flags, addr, len) sim_sendto(fd, buf, n, flags, addr, len)
#define getaddrinfo(host, service, hints, out) sim_getaddrinfo(host, service, hints, out)
#define sigaction(signum, act, old)         sim_sigaction(signum, act, old)

#endif
