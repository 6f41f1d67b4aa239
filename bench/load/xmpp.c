/* XMPP (RFC 6120) over TCP: a message to a full address, the payload as base64 in its body. */
#include <stdio.h>
#include <string.h>

#include "run.h"

enum { HEAD = 128 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put(struct flow *flow, uint64_t sequence) {
    static const char tail[] = "</body></message>";
    static uint8_t payload[SIZE_MAX_PAYLOAD + 2];
    char head[HEAD];
    int size = snprintf(head, HEAD, "<message to='b%u@localhost/x' type='chat'><body>", base + flow->number);
    struct bytes *out = &flow->sender->out;
    uint8_t *start = room_for(out, (size_t)size + payload_size * 4 / 3 + 8 + sizeof tail), *to = start + size;
    memcpy(start, head, (size_t)size);
    payload_write(payload, flow, sequence);
    payload[payload_size] = payload[payload_size + 1] = 0;
    for (size_t i = 0; i < payload_size; i += 3) {
        uint32_t three = (uint32_t)(payload[i] << 16 | payload[i + 1] << 8 | payload[i + 2]);
        for (int shift = 18; shift >= 0; shift -= 6)
            *to++ = (uint8_t)digits[three >> shift & 63];
    }
    for (size_t i = 0; i < (3 - payload_size % 3) % 3; i++)
        to[-1 - (int)i] = '=';
    memcpy(to, tail, sizeof tail - 1);
    out->size += (size_t)(to - start) + sizeof tail - 1;
    dirty(flow->sender);
}

static size_t decode(uint8_t *to, const uint8_t *text, size_t size) {
    static int8_t values[256];
    uint8_t *start = to;
    if (!values['B'])
        for (int i = 0; i < 64; i++)
            values[(uint8_t)digits[i]] = (int8_t)i;
    for (size_t i = 0; i + 4 <= size; i += 4) {
        uint32_t three = 0;
        for (size_t j = 0; j < 4; j++)
            three = three << 6 | (uint8_t)values[text[i + j]];
        *to++ = (uint8_t)(three >> 16), *to++ = (uint8_t)(three >> 8), *to++ = (uint8_t)three;
    }
    return (size_t)(to - start) - (size > 0 && text[size - 1] == '=') - (size > 1 && text[size - 2] == '=');
}

static size_t receive(struct conn *conn, uint8_t *data, size_t size) {
    static const char opens[] = "<body>", closes[] = "</body></message>";
    static uint8_t payload[SIZE_MAX_PAYLOAD + 8];
    size_t at = 0;
    for (;;) {
        uint8_t *end = memmem(data + at, size - at, closes, sizeof closes - 1);
        if (!end)
            break;
        uint8_t *body = memmem(data + at, (size_t)(end - data) - at, opens, sizeof opens - 1);
        size_t length = body ? (size_t)(end - body) - (sizeof opens - 1) : 0;
        if (!body || length > SIZE_MAX_PAYLOAD || memmem(data + at, (size_t)(end - data) - at, "type='error'", 12))
            die("connection %u: the server says %.*s", conn->number, (int)(size - at < 200 ? size - at : 200), data + at);
        delivered(conn, payload, decode(payload, body + sizeof opens - 1, length));
        at = (size_t)(end - data) + sizeof closes - 1;
    }
    return at;
}

const struct dialect xmpp = {"xmpp", false, true, put, receive, NULL, NULL};
