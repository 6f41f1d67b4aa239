/* RESP 3, what Valkey and Redis speak: PUBLISH to whoever has subscribed, and XADD to a stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

enum { HEAD = 256, PARTS = 3 };

static void put_command(struct flow *flow, uint64_t sequence, const char *format) {
    char head[HEAD], name[32];
    int named = snprintf(name, sizeof name, "b.%u", base + flow->number);
    int size = snprintf(head, HEAD, format, named, name, payload_size);
    struct bytes *out = &flow->sender->out;
    uint8_t *to = room_for(out, (size_t)size + payload_size + 2);
    memcpy(to, head, (size_t)size);
    payload_write(to + size, flow, sequence);
    memcpy(to + (size_t)size + payload_size, "\r\n", 2);
    out->size += (size_t)size + payload_size + 2;
    dirty(flow->sender);
}

static void put_published(struct flow *flow, uint64_t sequence) {
    put_command(flow, sequence, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%zu\r\n");
}

static void put_streamed(struct flow *flow, uint64_t sequence) {
    ask(flow->sender, flow);
    put_command(flow, sequence, "*5\r\n$4\r\nXADD\r\n$%d\r\n%s\r\n$1\r\n*\r\n$1\r\nf\r\n$%zu\r\n");
}

/* One line or one string at `at`; returns where the next begins, 0 if it is not whole. */
static size_t part(const uint8_t *data, size_t size, size_t at, const uint8_t **text, size_t *length) {
    const uint8_t *end = at < size ? memchr(data + at, '\n', size - at) : NULL;
    if (!end)
        return 0;
    size_t next = (size_t)(end - data) + 1;
    *text = data + at, *length = next - at - 2;
    if (data[at] != '$')
        return next;
    *text = data + next, *length = strtoull((const char *)data + at + 1, NULL, 10);
    return size - next < *length + 2 ? 0 : next + *length + 2;
}

static size_t receive(struct conn *conn, uint8_t *data, size_t size) {
    size_t at = 0, next;
    for (; at < size; at = next) {
        const uint8_t *text[PARTS];
        size_t length[PARTS];
        if (data[at] == '-')
            die("connection %u: the server says %.*s", conn->number, (int)(size - at < 200 ? size - at : 200), data + at);
        if (data[at] == '>') {
            next = part(data, size, at, text, length);
            for (int i = 0; next && i < PARTS; i++)
                next = part(data, size, next, &text[i], &length[i]);
            if (!next)
                break;
            delivered(conn, text[2], length[2]);
            continue;
        }
        next = part(data, size, at, text, length);
        if (!next)
            break;
        if (data[at] == '$') {
            struct flow *flow = answered(conn);
            accepted(flow, flow->accepted);
        } else if (length[0] != 2 || memcmp(text[0], ":1", 2) != 0)
            die("connection %u: nobody has subscribed", conn->number);
    }
    return at;
}

const struct dialect published = {"publish", false, true, put_published, receive, NULL, NULL};
const struct dialect streamed = {"stream", true, false, put_streamed, receive, NULL, NULL};
