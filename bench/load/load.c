/* A load generator on one thread: it takes open sockets from the harness that started it, and judges every frame.
 *
 * Commands are lines on standard input, results are JSON lines on standard output:
 *     dialect NAME | size BYTES | nonce NUMBER | base NUMBER | patience SECONDS
 *     conn FD [tls TUNNEL-FD] | flow SENDER RECEIVER KEY SENT | begin
 *     run SECONDS WINDOW | put FRAMES-OF-EACH WINDOW | drain | quit
 * Between runs pings are answered. Exits 1 where a frame was lost, altered, doubled or out of order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "run.h"

enum { LINE = 4096 };

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
                                          &published, &streamed, &mqtt_0, &mqtt_1, &xmpp};
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
