// The radio of the simulated board: when it is off the air, the peers see silence, as in real life.
// No FIN, no RST, no acknowledgement; and what the board writes piles up in a small send buffer.
//
// How: a socket filter on every socket drops what arrives, before TCP looks at it. The file descriptor
// of a live connection is exchanged (dup2) for one end of a local socket pair, so that nothing leaves;
// the real connection is parked. Back on the air, the filter goes, the connection returns to its
// descriptor, and what the board wrote meanwhile follows: what a TCP retransmission would have done.

#define _GNU_SOURCE // glibc hides ppoll and others otherwise

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "simboard.h"

#define MAX_FD      (256)   // the board's own descriptors are below, parked ones above
#define MAX_PARKED  (32)
#define SEND_BUFFER (4096)  // the kernel doubles it: about the send buffer of a small TCP stack

enum { OPEN, SILENT, DOWN };

static int air = OPEN;
static bool access_point;               // ours is up: connections that came in go on
static uint8_t inbound[MAX_FD];         // this connection was accepted, not made, by the board
static struct {
    bool used;
    int fd, real, other;
    ino_t ino;
} parked[MAX_PARKED];

static struct {
    char name[64];
    char addr[64];
} hosts[16];
static struct in_addr listen_on = { .s_addr = 0x0100007f };   // 127.0.0.1, in network order

static int option(int fd, int name, int otherwise) {
    int value;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : otherwise;
}

bool sim_is_inet(int fd) {
    int domain = option(fd, SO_DOMAIN, -1);
    return domain == AF_INET || domain == AF_INET6;
}

static bool is_connected(int fd) {
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    return option(fd, SO_TYPE, -1) == SOCK_STREAM && getpeername(fd, (struct sockaddr *)&addr, &len) == 0;
}

// The kernel's ABI for socket filters, written out because musl comes without the kernel's headers.
// One instruction: return 0, which is to say keep 0 bytes of the packet.
static void deafen(int fd, bool deaf) {
    struct {
        uint16_t code;
        uint8_t jt, jf;
        uint32_t k;
    } drop = { .code = 0x06 };
    struct {
        unsigned short len;
        void *filter;
    } prog = { .len = 1, .filter = &drop };
    int none = 0;
    if (deaf) {
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
    } else {
        setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
    }
}

// Blocking or not, and the timeouts that settimeout() made, are of the socket and not of its number.
static void copy_mode(int to, int from) {
    fcntl(to, F_SETFL, fcntl(from, F_GETFL));
    struct timeval tv;
    socklen_t len = sizeof(tv);
    if (getsockopt(from, SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0) {
        setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &tv, len);
    }
    len = sizeof(tv);
    if (getsockopt(from, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) == 0) {
        setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &tv, len);
    }
}

static int aside(int fd) {
    int high = fcntl(fd, F_DUPFD, MAX_FD);
    close(fd);
    return high;
}

static void park(int fd) {
    int i = 0;
    while (i < MAX_PARKED && parked[i].used) {
        i++;
    }
    int pair[2];
    struct stat st;
    if (i == MAX_PARKED || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        return;
    }
    int size = SEND_BUFFER;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    copy_mode(pair[0], fd);
    int real = fcntl(fd, F_DUPFD, MAX_FD);
    dup2(pair[0], fd);
    close(pair[0]);
    fstat(fd, &st);
    parked[i].used = true;
    parked[i].fd = fd;
    parked[i].real = real;
    parked[i].other = aside(pair[1]);
    parked[i].ino = st.st_ino;
}

static bool still_open(int i) {
    struct stat st;
    return fstat(parked[i].fd, &st) == 0 && st.st_ino == parked[i].ino;
}

// What the board wrote while nothing left: into the real connection, which is blocking for this time.
static bool catch_up(int i) {
    char buf[2048];
    ssize_t n;
    struct timeval limit = { .tv_sec = 2 };
    fcntl(parked[i].real, F_SETFL, 0);
    setsockopt(parked[i].real, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    while ((n = recv(parked[i].other, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
        for (ssize_t sent = 0; sent < n;) {
            ssize_t m = send(parked[i].real, buf + sent, (size_t)(n - sent), MSG_NOSIGNAL);
            if (m < 0 && errno == EINTR) {
                continue;
            }
            if (m <= 0) {
                return false;
            }
            sent += m;
        }
    }
    return true;
}

static void off_air(void) {
    for (int fd = 3; fd < MAX_FD; fd++) {
        if (!sim_is_inet(fd) || (access_point && (inbound[fd] || option(fd, SO_ACCEPTCONN, 0)))) {
            continue;
        }
        deafen(fd, true);
        if (is_connected(fd)) {
            park(fd);
        }
    }
}

static void on_air(void) {
    for (int fd = 3; fd < MAX_FD; fd++) {
        if (sim_is_inet(fd)) {
            deafen(fd, false);
        }
    }
    for (int i = 0; i < MAX_PARKED; i++) {
        if (!parked[i].used) {
            continue;
        }
        deafen(parked[i].real, false);
        bool whole = catch_up(i);
        if (still_open(i)) {
            copy_mode(parked[i].real, parked[i].fd);
            if (!whole) {
                shutdown(parked[i].real, SHUT_RDWR);
            }
            dup2(parked[i].real, parked[i].fd);
        }
        // If the board closed it meanwhile, this close is the last one and sends the FIN.
        close(parked[i].real);
        close(parked[i].other);
        parked[i].used = false;
    }
}

// air(state, access_point): state is 0 on the air, 1 silent (the board does not know), 2 down (it does).
static mp_obj_t set_air(mp_obj_t state_in, mp_obj_t ap_in) {
    int state = mp_obj_get_int(state_in);
    bool ap = mp_obj_is_true(ap_in);
    if (state != OPEN && (air == OPEN || ap != access_point)) {
        access_point = ap;
        air = state;
        off_air();
    } else if (state == OPEN && air != OPEN) {
        air = state;
        on_air();
    }
    access_point = ap;
    air = state;
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_2(sim_air_obj, set_air);

// abort(): the board got another address, so its connections end here (ECONNRESET) and never there.
static mp_obj_t abort_all(void) {
    for (int i = 0; i < MAX_PARKED; i++) {
        if (parked[i].used) {
            if (still_open(i)) {
                // Closing a local socket with unread data makes the other end see a reset.
                send(parked[i].fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
            }
            close(parked[i].other);
            parked[i].used = false;     // the real one stays open and deaf above MAX_FD
        }
    }
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_0(sim_abort_obj, abort_all);

int sim_connect(int fd, const struct sockaddr *addr, socklen_t len) {
    if (fd >= 0 && fd < MAX_FD && addr->sa_family != AF_UNIX) {
        inbound[fd] = 0;
        if (air == DOWN) {
            errno = EHOSTUNREACH;
            return -1;
        }
        if (air == SILENT) {
            deafen(fd, true);
        }
    }
    return (connect)(fd, addr, len);
}

int sim_accept(int fd, struct sockaddr *addr, socklen_t *len) {
    int got = (accept)(fd, addr, len);
    if (got >= 0 && got < MAX_FD) {
        inbound[got] = 1;
    }
    return got;
}

ssize_t sim_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len) {
    if (air != OPEN && !access_point && sim_is_inet(fd)) {
        if (air == SILENT) {
            return (ssize_t)n;
        }
        errno = EHOSTUNREACH;
        return -1;
    }
    return (sendto)(fd, buf, n, flags, addr, len);
}

// A server on the board: for this machine only unless told otherwise, and on another port where the
// board's own (80, 53) is not free or not allowed here. state.json says which.
int sim_bind(int fd, const struct sockaddr *addr, socklen_t len) {
    if (addr->sa_family != AF_INET || len < sizeof(struct sockaddr_in)) {
        return (bind)(fd, addr, len);
    }
    struct sockaddr_in in;
    memcpy(&in, addr, sizeof(in));
    int port = ntohs(in.sin_port);
    in.sin_addr = listen_on;
    int ret = (bind)(fd, (struct sockaddr *)&in, sizeof(in));
    if (ret != 0 && port != 0 && (errno == EACCES || errno == EADDRINUSE || errno == EPERM)) {
        in.sin_port = 0;
        ret = (bind)(fd, (struct sockaddr *)&in, sizeof(in));
    }
    socklen_t got = sizeof(in);
    if (ret == 0 && port != 0 && getsockname(fd, (struct sockaddr *)&in, &got) == 0) {
        char key[24], value[8];
        snprintf(key, sizeof(key), "port.%s%d", option(fd, SO_TYPE, 0) == SOCK_DGRAM ? "udp." : "", port);
        snprintf(value, sizeof(value), "%d", ntohs(in.sin_port));
        sim_state_set(key, value);
    }
    return ret;
}

int sim_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    struct in6_addr numeric;
    if (inet_pton(AF_INET, host, &numeric) == 1 || inet_pton(AF_INET6, host, &numeric) == 1) {
        return (getaddrinfo)(host, service, hints, out);
    }
    if (air == SILENT) {
        sim_usleep(3000000);    // what a small resolver waits before it gives up
    }
    if (air != OPEN) {
        return EAI_NONAME;
    }
    for (size_t i = 0; i < MP_ARRAY_SIZE(hosts); i++) {
        if (hosts[i].name[0] && strcasecmp(hosts[i].name, host) == 0) {
            return hosts[i].addr[0] ? (getaddrinfo)(hosts[i].addr, service, hints, out) : EAI_NONAME;
        }
    }
    return (getaddrinfo)(host, service, hints, out);
}

// host(name, address): what the world's name server answers; "" = no such name.
static mp_obj_t set_host(mp_obj_t name_in, mp_obj_t addr_in) {
    const char *name = mp_obj_str_get_str(name_in);
    const char *addr = mp_obj_str_get_str(addr_in);
    for (size_t i = 0; i < MP_ARRAY_SIZE(hosts); i++) {
        if (!hosts[i].name[0]) {
            if (strlen(name) >= sizeof(hosts[i].name) || strlen(addr) >= sizeof(hosts[i].addr)) {
                break;
            }
            strcpy(hosts[i].name, name);
            strcpy(hosts[i].addr, addr);
            return mp_const_none;
        }
    }
    mp_raise_ValueError(MP_ERROR_TEXT("hosts: at most 16, of up to 63 characters"));
}
MP_DEFINE_CONST_FUN_OBJ_2(sim_host_obj, set_host);

static mp_obj_t forget_hosts(void) {
    memset(hosts, 0, sizeof(hosts));
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_0(sim_forget_hosts_obj, forget_hosts);

// listen(address): where servers of the board listen on this machine; "" = on all its interfaces.
static mp_obj_t set_listen(mp_obj_t addr_in) {
    const char *addr = mp_obj_str_get_str(addr_in);
    if (inet_pton(AF_INET, addr[0] ? addr : "0.0.0.0", &listen_on) != 1) {
        mp_raise_ValueError(MP_ERROR_TEXT("listen: expected an IPv4 address"));
    }
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_1(sim_listen_obj, set_listen);

// A board that resets does not say goodbye: its connections stay open and deaf across exec, until the
// peer gives up on them. A soft reset closes them in order, as the ports do; but not the ghosts of
// earlier resets, nor what is parked because nothing can be sent now. Those are above MAX_FD.
// Returns whether there are connections that go on.
bool sim_radio_before_reset(bool keep) {
    bool kept = false;
    for (int fd = 3; fd < 2 * MAX_FD; fd++) {
        bool connection = sim_is_inet(fd) && is_connected(fd);
        if (connection && (keep || fd >= MAX_FD)) {
            deafen(fd, true);
            kept = true;
            if (fd >= MAX_FD) {
                continue;
            }
            fcntl(fd, F_DUPFD, MAX_FD);
        }
        close(fd);
    }
    return kept;
}

// At most eight such ghosts are kept; the oldest (lowest) go first, with a reset and not a FIN.
void sim_radio_at_start(void) {
    int ghosts = 0;
    for (int fd = 2 * MAX_FD - 1; fd >= MAX_FD; fd--) {
        if (sim_is_inet(fd) && ++ghosts > 8) {
            struct linger now = { .l_onoff = 1, .l_linger = 0 };
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
            close(fd);
        }
    }
}
