/* The connections: bytes in and out, by epoll, with TLS or without, and what waits for an answer. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

enum { READ = 262144, EVENTS = 512 };

struct conn **conns;
uint32_t conn_count;
int poller;
const struct dialect *dialect = &blindpost;

static struct conn **to_flush;
static uint32_t flush_count;

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[512];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at = text; *at; at++)
        if (*at == '"' || *at == '\\' || *at < ' ')
            *at = '\'';
    printf("{\"fault\":\"%s\"}\n", text);
    fflush(stdout);
    exit(1);
}

void *grown(void *old, size_t count, size_t size) {
    void *new = reallocarray(old, count, size);
    if (!new)
        die("out of memory");
    return new;
}

double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint8_t *room_for(struct bytes *bytes, size_t size) {
    if (bytes->room - bytes->size < size) {
        bytes->room = (bytes->size + size) * 2;
        bytes->data = grown(bytes->data, bytes->room, 1);
    }
    return bytes->data + bytes->size;
}

void append(struct conn *conn, const void *data, size_t size) {
    memcpy(room_for(&conn->out, size), data, size);
    conn->out.size += size;
    dirty(conn);
}

void dirty(struct conn *conn) {
    if (!conn->dirty) {
        conn->dirty = true;
        to_flush[flush_count++] = conn;
    }
}

/* A put that a connection awaits an answer for, where answers name no frame. */
void ask(struct conn *conn, const struct flow *flow) {
    if (conn->asked_count == conn->asked_room) {
        uint32_t room = conn->asked_room ? conn->asked_room * 2 : 64;
        uint32_t *asked = grown(NULL, room, sizeof *asked);
        for (uint32_t i = 0; i < conn->asked_count; i++)
            asked[i] = conn->asked[(conn->asked_first + i) % conn->asked_room];
        free(conn->asked);
        conn->asked = asked, conn->asked_first = 0, conn->asked_room = room;
    }
    conn->asked[(conn->asked_first + conn->asked_count++) % conn->asked_room] = flow->number;
}

struct flow *answered(struct conn *conn) {
    if (!conn->asked_count)
        die("connection %u: an answer to nothing", conn->number);
    struct flow *flow = &flows[conn->asked[conn->asked_first]];
    conn->asked_first = (conn->asked_first + 1) % conn->asked_room;
    conn->asked_count--;
    return flow;
}

void flush(void) {
    for (uint32_t i = 0; i < flush_count; i++) {
        struct conn *conn = to_flush[i];
        conn->dirty = false;
        if (!conn->out.size)
            continue;
        long sent = conn->tls ? tls_write(conn->tls, conn->out.data, conn->out.size)
                              : send(conn->fd, conn->out.data, conn->out.size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            die("connection %u: cannot be written to: %s", conn->number, strerror(errno));
        if (sent > 0) {
            conn->out.size -= (size_t)sent;
            memmove(conn->out.data, conn->out.data + sent, conn->out.size);
        }
        if ((conn->out.size > 0) != conn->wants_out) {
            conn->wants_out = !conn->wants_out;
            struct epoll_event event = {EPOLLIN | (conn->wants_out ? EPOLLOUT : 0), {.ptr = conn}};
            epoll_ctl(poller, EPOLL_CTL_MOD, conn->fd, &event);
        }
    }
    flush_count = 0;
}

static void receive(struct conn *conn) {
    long size;
    do {
        uint8_t *to = room_for(&conn->in, READ);
        size = conn->tls ? tls_read(conn->tls, to, READ) : recv(conn->fd, to, READ, MSG_DONTWAIT);
        if (size == 0)
            die("connection %u: the server ended it", conn->number);
        if (size < 0) {
            if (errno != EAGAIN)
                die("connection %u: %s", conn->number, strerror(errno));
            break;
        }
        if (conn->through) {
            append(conn->through, to, (size_t)size);
            continue;
        }
        run.now = nanoseconds();
        conn->in.size += (size_t)size;
        size_t taken = dialect->read(conn, conn->in.data, conn->in.size);
        conn->in.size -= taken;
        memmove(conn->in.data, conn->in.data + taken, conn->in.size);
    } while (conn->tls);
    if (dialect->answer && !conn->through)
        dialect->answer(conn);
}

/* Serve what comes within so many seconds; true if there was a command waiting. */
bool turn(double wait, bool commands) {
    struct epoll_event events[EVENTS];
    flush();
    int count = epoll_wait(poller, events, EVENTS, wait < 0 ? -1 : (int)(wait * 1000) + 1);
    bool command = false;
    for (int i = 0; i < count; i++) {
        struct conn *conn = events[i].data.ptr;
        if (!conn) {
            command = true;
            continue;
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(conn);
        if (events[i].events & EPOLLOUT)
            dirty(conn);
        flush();
    }
    return command && commands;
}

static struct conn *watched(int fd) {
    struct conn *conn = grown(NULL, 1, sizeof *conn);
    *conn = (struct conn){.fd = fd, .number = conn_count};
    struct epoll_event event = {EPOLLIN, {.ptr = conn}};
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 ||
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0)
        die("%d is no socket", fd);
    return conn;
}

/* With TLS, the harness speaks through a tunnel until the steady state begins. */
void add_conn(int fd, int tunnel) {
    conns = grown(conns, conn_count + 1, sizeof *conns);
    to_flush = grown(to_flush, 2 * (size_t)(conn_count + 1), sizeof *to_flush);
    struct tls *tls = tunnel < 0 ? NULL : tls_begin(fd);
    struct conn *conn = conns[conn_count] = watched(fd);
    conn->tls = tls;
    if (tls) {
        conn->through = watched(tunnel);
        conn->through->through = conn;
    }
    conn_count++;
}

void end_tunnels(void) {
    for (uint32_t i = 0; i < conn_count; i++)
        if (conns[i]->through) {
            close(conns[i]->through->fd);
            free(conns[i]->through);
            conns[i]->through = NULL;
        }
    puts("{}");
    fflush(stdout);
}
