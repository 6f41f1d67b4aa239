/* A load generator on one thread: it takes open sockets from the harness that started it, and judges every frame.
 *
 * Commands are lines on standard input, results are JSON lines on standard output:
 *     dialect NAME | size BYTES | nonce NUMBER | base NUMBER | patience SECONDS | conn FD [tls TUNNEL-FD] | flow SENDER RECEIVER KEY SENT
 *     begin | pull | run SECONDS WINDOW | put FRAMES-OF-EACH WINDOW | drain | quit
 * Between runs pings are answered. Exits 1 where a frame was lost, altered, doubled or out of order. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

enum { READ = 262144, EVENTS = 512, LINE = 4096 };
static double patience = 10; /* s, for what is under way at the end of a run */

size_t payload_size = 1024;
uint32_t nonce, base, flow_count;
struct flow *flows;
struct run run;

static struct conn **conns, **to_flush;
static uint32_t conn_count, flush_count;
static const struct dialect *dialect = &blindpost;
static int poller;
static bool broken;

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

static void *grown(void *old, size_t count, size_t size) {
    void *new = reallocarray(old, count, size);
    if (!new)
        die("out of memory");
    return new;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t nanoseconds(void) {
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

static uint64_t done(const struct flow *flow) {
    if (run.accepts && run.delivers)
        return flow->accepted < flow->delivered ? flow->accepted : flow->delivered;
    return run.accepts ? flow->accepted : flow->delivered;
}

static void fill(struct flow *flow) {
    while (run.sending && flow->sender && flow->sent < run.limit && flow->sent - done(flow) < run.window) {
        flow->sent_at[flow->sent % RING] = run.now;
        dialect->put(flow, flow->sent++);
    }
}

void moved(struct flow *flow) {
    fill(flow);
}

static uint64_t finished(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < flow_count; i++)
        sum += done(&flows[i]);
    return sum;
}

static uint64_t unfinished(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < flow_count; i++)
        sum += flows[i].sent - done(&flows[i]);
    return sum;
}

static void flush(void) {
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
static bool turn(double wait, bool commands) {
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

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void show(uint64_t count, double taken, double used, uint64_t all) {
    printf("{\"finished\":%llu,\"seconds\":%.6f,\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"cpu\":%.3f,\"lost\":%llu,\"twice\":%llu,\"disordered\":%llu,\"altered\":%llu,\"all\":%llu}\n",
           (unsigned long long)count, taken, (double)count / taken, (double)quantile(0.5) / 1e3,
           (double)quantile(0.99) / 1e3, used / taken, (unsigned long long)run.lost,
           (unsigned long long)run.twice, (unsigned long long)run.disordered, (unsigned long long)run.altered,
           (unsigned long long)all);
    fflush(stdout);
    broken = broken || run.lost || run.twice || run.disordered || run.altered;
}

static void settle(void) {
    double end = seconds() + patience;
    while (unfinished() && seconds() < end)
        turn(0.1, false);
    run.lost = unfinished();
}

static void begin_run(bool accepts, bool delivers, uint64_t window, uint64_t limit) {
    run = (struct run){.accepts = accepts, .delivers = delivers, .window = window, .limit = limit,
                       .now = nanoseconds(), .sending = true, .timed = delivers};
    if (window > RING && delivers)
        die("at most %d in flight", RING);
    forget_latencies();
}

static void start_flows(void) {
    for (uint32_t i = 0; i < flow_count; i++) {
        run.now = nanoseconds();
        fill(&flows[i]);
        flush();
    }
}

/* Send for so long; what counts is what was finished by then. */
static void run_for(double length, uint64_t window) {
    begin_run(dialect->accepts, dialect->delivers, window, UINT64_MAX);
    uint64_t before = finished();
    double start = seconds(), used = cpu(), now = start;
    start_flows();
    for (int i = 0; (now = seconds()) < start + length; i++)
        turn(start + length - now, false);
    uint64_t count = finished() - before;
    used = cpu() - used;
    run.sending = false;
    settle();
    show(count, now - start, used, finished() - before);
}

/* Each sender puts so many, and nobody is there to take them. */
static void put_all(uint64_t each, uint64_t window) {
    begin_run(true, false, window, 0);
    run.limit = each + (flow_count ? flows[0].sent : 0);
    uint64_t before = finished();
    double start = seconds(), used = cpu(), end = start + 12 * patience;
    start_flows();
    while (unfinished() && seconds() < end)
        turn(1, false);
    run.lost = unfinished();
    show(finished() - before, seconds() - start, cpu() - used, finished() - before);
}

/* Every recipient comes for what waits. */
static void drain(void) {
    begin_run(false, true, 1, 0);
    run.sending = run.timed = false;
    uint64_t before = finished(), last = before;
    double start = seconds(), used = cpu(), heard = start;
    for (uint32_t i = 0; i < conn_count; i++)
        dialect->pull(conns[i]);
    while (unfinished() && seconds() < heard + patience) {
        turn(1, false);
        if (finished() != last)
            last = finished(), heard = seconds();
    }
    run.lost = unfinished();
    show(finished() - before, seconds() - start, cpu() - used, finished() - before);
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
static void add_conn(int fd, int tunnel) {
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

static void end_tunnels(void) {
    for (uint32_t i = 0; i < conn_count; i++)
        if (conns[i]->through) {
            close(conns[i]->through->fd);
            free(conns[i]->through);
            conns[i]->through = NULL;
        }
    puts("{}");
    fflush(stdout);
}

static struct conn *conn_at(int index) {
    return index < 0 || (uint32_t)index >= conn_count ? NULL : conns[index];
}

static void add_flow(int sender, int receiver, const char *key, uint64_t sent) {
    flows = grown(flows, flow_count + 1, sizeof *flows);
    struct flow *flow = &flows[flow_count];
    *flow = (struct flow){.number = flow_count++, .sender = conn_at(sender), .receiver = conn_at(receiver),
                          .sent = sent};
    for (int i = 0; i < KEY && key[2 * i] && key[2 * i + 1]; i++) {
        unsigned byte;
        sscanf(key + (size_t)(2 * i), "%2x", &byte);
        flow->key[i] = (uint8_t)byte;
    }
}

static void choose(const char *name) {
    static const struct dialect *all[] = {&blindpost, &bare,      &nats,   &nats_request, &jetstream,
                                          &published, &streamed, &mqtt_0, &mqtt_1};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0) {
            dialect = all[i];
            return;
        }
    die("no dialect is called %s", name);
}

static void obey(const char *line) {
    char text[2 * KEY + 1];
    double length;
    unsigned long long number, window;
    int fd, tunnel = -1, sender, receiver;
    if (sscanf(line, "flow %d %d %64s %llu", &sender, &receiver, text, &number) == 4)
        add_flow(sender, receiver, text, number);
    else if (sscanf(line, "conn %d tls %d", &fd, &tunnel) >= 1)
        add_conn(fd, tunnel);
    else if (strcmp(line, "begin") == 0)
        end_tunnels();
    else if (sscanf(line, "dialect %64s", text) == 1)
        choose(text);
    else if (sscanf(line, "size %llu", &number) == 1)
        payload_size = number;
    else if (sscanf(line, "base %llu", &number) == 1)
        base = (uint32_t)number;
    else if (sscanf(line, "patience %lf", &length) == 1)
        patience = length;
    else if (sscanf(line, "nonce %llu", &number) == 1)
        nonce = (uint32_t)number;
    else if (sscanf(line, "run %lf %llu", &length, &window) == 2)
        run_for(length, window);
    else if (sscanf(line, "put %llu %llu", &number, &window) == 2)
        put_all(number, window);
    else if (strcmp(line, "drain") == 0)
        drain();
    else if (strcmp(line, "quit") == 0)
        exit(broken ? 1 : 0);
    else
        die("not understood: %s", line);
}

int main(void) {
    static char text[LINE];
    size_t size = 0;
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}};
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event) != 0)
        die("standard input must be a pipe");
    payload_begin();
    for (;;) {
        if (!turn(-1, true))
            continue;
        long more = read(0, text + size, LINE - size);
        if (more <= 0)
            exit(broken ? 1 : 0);
        size += (size_t)more;
        for (char *end; (end = memchr(text, '\n', size)) != NULL;) {
            *end = 0;
            obey(text);
            size_t length = (size_t)(end - text) + 1;
            memmove(text, text + length, size -= length);
        }
        if (size == LINE)
            die("a line without an end");
    }
}
