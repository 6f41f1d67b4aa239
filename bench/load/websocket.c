/* RFC 6455 from the client's side: masked frames out, whole unmasked messages in. */
#include <string.h>

#include "load.h"

enum { CLOSE = 8, PING = 9, PONG = 10, FINAL = 0x80, MASKED = 0x80 };

/* A header for so many bytes, and where they go; `websocket_close` masks what was put there. */
uint8_t *websocket_open(struct conn *conn, int opcode, size_t size) {
    uint8_t *start = room_for(&conn->out, size + 14), *at = start;
    *at++ = (uint8_t)(FINAL | opcode);
    if (size < 126)
        *at++ = (uint8_t)(MASKED | size);
    else if (size < 65536) {
        *at++ = MASKED | 126;
        *at++ = (uint8_t)(size >> 8), *at++ = (uint8_t)size;
    } else {
        *at++ = MASKED | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            *at++ = (uint8_t)(size >> shift);
    }
    conn->out.size += (size_t)(at - start) + 4 + size;
    return at + 4;
}

void websocket_close(struct conn *conn, uint8_t *payload, size_t size) {
    static uint64_t state = 0x2545F4914F6CDD1Du;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    uint8_t key[8];
    memcpy(key, &state, 4), memcpy(key + 4, &state, 4), memcpy(payload - 4, &state, 4);
    uint64_t wide;
    memcpy(&wide, key, 8);
    size_t i = 0;
    for (uint64_t word; i + 8 <= size; i += 8) {
        memcpy(&word, payload + i, 8);
        word ^= wide;
        memcpy(payload + i, &word, 8);
    }
    for (; i < size; i++)
        payload[i] ^= key[i & 3];
    dirty(conn);
}

static void pong(struct conn *conn, const uint8_t *payload, size_t size) {
    uint8_t *to = websocket_open(conn, PONG, size);
    memcpy(to, payload, size);
    websocket_close(conn, to, size);
}

/* Hand every whole message on; pings are answered. Returns the bytes taken. */
size_t websocket_read(struct conn *conn, uint8_t *data, size_t size,
                      void (*message)(struct conn *, int, const uint8_t *, size_t)) {
    size_t at = 0;
    while (size - at >= 2) {
        size_t head = 2, length = data[at + 1] & 0x7F;
        if (data[at + 1] & MASKED || (data[at] & 0x70) != 0)
            die("connection %u: a WebSocket frame that no server may send", conn->number);
        if (length == 126) {
            if (size - at < 4)
                break;
            length = (size_t)data[at + 2] << 8 | data[at + 3];
            head = 4;
        } else if (length == 127) {
            if (size - at < 10)
                break;
            length = 0;
            for (int i = 2; i < 10; i++)
                length = length << 8 | data[at + (size_t)i];
            head = 10;
        }
        if (length > 1u << 20)
            die("connection %u: a WebSocket frame of over 1 MiB", conn->number);
        if (size - at < head + length)
            break;
        const uint8_t *payload = data + at + head;
        int opcode = data[at] & 0x0F;
        if (!(data[at] & FINAL) || opcode == 0)
            die("connection %u: the server fragments its messages, which this generator does not join",
                conn->number);
        if (opcode == CLOSE)
            die("connection %u: the server closed it with %d", conn->number,
                length >= 2 ? payload[0] << 8 | payload[1] : 0);
        if (opcode == PING)
            pong(conn, payload, length);
        else if (opcode != PONG)
            message(conn, opcode, payload, length);
        at += head + length;
    }
    return at;
}
