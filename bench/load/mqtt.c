/* MQTT 3.1.1 over WebSocket: QoS 0, and QoS 1 with an acknowledgement on both sides of the broker. */
#include <stdio.h>
#include <string.h>

#include "run.h"

enum { PUBLISH = 0x30, PUBACK = 0x40, TOPIC = 32 };

static uint16_t packet_id(uint64_t sequence) {
    return (uint16_t)(sequence % 65535 + 1);
}

static void put(struct flow *flow, uint64_t sequence, int qos) {
    char topic[TOPIC];
    size_t named = (size_t)snprintf(topic, TOPIC, "b/%u", base + flow->number), size = 2 + named + payload_size;
    size += qos ? 2 : 0;
    size_t lengths = size < 128 ? 1 : size < 16384 ? 2 : 3;
    uint8_t *start = websocket_open(flow->sender, BINARY, 1 + lengths + size), *to = start;
    *to++ = (uint8_t)(PUBLISH | qos << 1);
    for (size_t rest = size, i = 0; i < lengths; i++, rest >>= 7)
        *to++ = (uint8_t)((rest & 127) | (i + 1 < lengths ? 128 : 0));
    *to++ = 0, *to++ = (uint8_t)named;
    memcpy(to, topic, named);
    to += named;
    if (qos) {
        *to++ = (uint8_t)(packet_id(sequence) >> 8), *to++ = (uint8_t)packet_id(sequence);
        ask(flow->sender, flow);
    }
    payload_write(to, flow, sequence);
    websocket_close(flow->sender, start, 1 + lengths + size);
}

static void put_0(struct flow *flow, uint64_t sequence) {
    put(flow, sequence, 0);
}

static void put_1(struct flow *flow, uint64_t sequence) {
    put(flow, sequence, 1);
}

static void packet(struct conn *conn, const uint8_t *data, uint8_t first, const uint8_t *body, size_t size) {
    if ((first & 0xF0) == PUBACK && size == 2) {
        struct flow *flow = answered(conn);
        if ((body[0] << 8 | body[1]) != packet_id(flow->accepted))
            run.disordered++;
        accepted(flow, flow->accepted);
    } else if ((first & 0xF0) == PUBLISH && size > 2) {
        bool asks = first & 6;
        size_t at = 2u + (size_t)(body[0] << 8 | body[1]);
        if (at + 2 > size)
            die("connection %u: a short packet", conn->number);
        delivered(conn, body + at + (asks ? 2 : 0), size - at - (asks ? 2 : 0));
        if (asks) {
            uint8_t *to = websocket_open(conn, BINARY, 4);
            memcpy(to, (uint8_t[]){PUBACK, 2, body[at], body[at + 1]}, 4);
            websocket_close(conn, to, 4);
        }
    } else
        die("connection %u: a packet of type %d", conn->number, data[0] >> 4);
}

/* Packets may lie across WebSocket messages. */
static void message(struct conn *conn, int opcode, const uint8_t *data, size_t size) {
    struct bytes *inner = &conn->inner;
    (void)opcode;
    memcpy(room_for(inner, size), data, size);
    inner->size += size;
    size_t at = 0;
    for (;;) {
        const uint8_t *from = inner->data + at;
        size_t left = inner->size - at, length = 0, head = 1;
        while (head < left && head < 5) {
            length |= (size_t)(from[head] & 127) << 7 * (head - 1);
            if (!(from[head++] & 128))
                break;
        }
        if (left < 2 || from[head - 1] & 128 || left < head + length)
            break;
        packet(conn, from, from[0], from + head, length);
        at += head + length;
    }
    memmove(inner->data, inner->data + at, inner->size -= at);
}

static size_t receive(struct conn *conn, uint8_t *data, size_t size) {
    return websocket_read(conn, data, size, message);
}

const struct dialect mqtt_0 = {"mqtt_0", false, true, put_0, receive, NULL, NULL};
const struct dialect mqtt_1 = {"mqtt_1", true, true, put_1, receive, NULL, NULL};
