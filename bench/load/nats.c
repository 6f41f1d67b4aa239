/* NATS (docs.nats.io, client protocol): best effort, request and reply, and JetStream's acknowledged publish.
 *
 * Flow 7 goes to subject b.7; the answer to its frame 12 comes on r.7.12. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

enum { LINE = 256 };

static void put_to(struct flow *flow, uint64_t sequence, const char *subject, bool with_reply) {
    char head[LINE];
    int size = with_reply ? snprintf(head, LINE, "PUB %s.%u r.%u.%llu %zu\r\n", subject, base + flow->number, base + flow->number,
                                     (unsigned long long)sequence, payload_size)
                          : snprintf(head, LINE, "PUB %s.%u %zu\r\n", subject, base + flow->number, payload_size);
    struct bytes *out = &flow->sender->out;
    uint8_t *to = room_for(out, (size_t)size + payload_size + 2);
    memcpy(to, head, (size_t)size);
    payload_write(to + size, flow, sequence);
    memcpy(to + (size_t)size + payload_size, "\r\n", 2);
    out->size += (size_t)size + payload_size + 2;
    dirty(flow->sender);
}

static void put(struct flow *flow, uint64_t sequence) {
    put_to(flow, sequence, "b", false);
}

static void put_request(struct flow *flow, uint64_t sequence) {
    put_to(flow, sequence, "b", true);
}

static void put_jetstream(struct flow *flow, uint64_t sequence) {
    put_to(flow, sequence, "js", true);
}

static void answer(struct conn *conn, const char *subject, const uint8_t *data, size_t size) {
    unsigned number;
    unsigned long long sequence;
    if (sscanf(subject, "r.%u.%llu", &number, &sequence) != 2 || (number -= base) >= flow_count || flows[number].sender != conn)
        run.altered++;
    else if (size && (memmem(data, size, "\"error\"", 7) || !memmem(data, size, "\"seq\"", 5)))
        die("JetStream says %.*s", (int)(size < 200 ? size : 200), data);
    else
        accepted(&flows[number], sequence);
}

static void message(struct conn *conn, const char *subject, const char *reply, const uint8_t *data, size_t size) {
    if (subject[0] == 'r')
        answer(conn, subject, data, size);
    else if (delivered(conn, data, size) && reply[0]) {
        char line[LINE];
        append(conn, line, (size_t)snprintf(line, LINE, "PUB %s 0\r\n\r\n", reply));
    }
}

static size_t receive(struct conn *conn, uint8_t *data, size_t size) {
    size_t at = 0;
    uint8_t *end;
    while ((end = memchr(data + at, '\n', size - at)) != NULL) {
        size_t length = (size_t)(end - data) + 1 - at, body = 0;
        char line[LINE];
        if (length >= LINE)
            die("connection %u: a long line", conn->number);
        memcpy(line, data + at, length);
        line[length] = 0;
        if (memcmp(line, "MSG ", 4) == 0) {
            char *words[5] = {0}, *rest = line;
            int count = 0;
            for (char *word; count < 5 && (word = strsep(&rest, " \r\n")) != NULL && *word;)
                words[count++] = word;
            if (count < 4)
                die("connection %u: %s", conn->number, line);
            body = strtoull(words[count - 1], NULL, 10);
            if (size - at < length + body + 2)
                break;
            message(conn, words[1], count == 5 ? words[3] : "", data + at + length, body);
            body += 2;
        } else if (memcmp(line, "PING", 4) == 0)
            append(conn, "PONG\r\n", 6);
        else if (line[0] == '-')
            die("connection %u: %s", conn->number, line);
        at += length + body;
    }
    return at;
}

const struct dialect nats = {"nats", false, true, put, receive, NULL, NULL};
const struct dialect nats_request = {"nats_request", true, true, put_request, receive, NULL, NULL};
const struct dialect jetstream = {"jetstream", true, false, put_jetstream, receive, NULL, NULL};
