/* Forwarding and nothing else, over WebSocket: the number of the flow, then the payload; it arrives as it was sent. */
#include <arpa/inet.h>
#include <string.h>

#include "run.h"

static void put(struct flow *flow, uint64_t sequence) {
    uint8_t *to = websocket_open(flow->sender, BINARY, 4 + payload_size);
    uint32_t number = htonl(base + flow->number);
    memcpy(to, &number, 4);
    payload_write(to + 4, flow, sequence);
    websocket_close(flow->sender, to, 4 + payload_size);
}

static void message(struct conn *conn, int opcode, const uint8_t *data, size_t size) {
    uint32_t number;
    if (opcode != BINARY || size < 4) {
        run.altered++;
        return;
    }
    memcpy(&number, data, 4);
    struct flow *flow = delivered(conn, data + 4, size - 4);
    if (flow && ntohl(number) != base + flow->number)
        run.altered++;
}

static size_t receive(struct conn *conn, uint8_t *data, size_t size) {
    return websocket_read(conn, data, size, message);
}

const struct dialect bare = {"bare", false, true, put, receive, NULL, NULL};
