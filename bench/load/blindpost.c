/* The steady state of the relay's protocol (docs/protocol.md, 4 and 5): PUT out; accepted and DELIVER in. */
#include <stdio.h>
#include <string.h>

#include "run.h"

enum { ID = 16, PUT_HEAD = 50, DELIVER_HEAD = 59, ID_TEXT = 22 };

/* A frame id says whose it is, so that an answer is matched without a table: nonce, flow, sequence. */
static void write_id(uint8_t *to, const struct flow *flow, uint64_t sequence) {
    memcpy(to, &nonce, 4);
    memcpy(to + 4, &flow->number, 4);
    memcpy(to + 8, &sequence, 8);
}

static struct flow *read_id(const uint8_t *id, uint64_t *sequence) {
    uint32_t from, number;
    memcpy(&from, id, 4);
    memcpy(&number, id + 4, 4);
    memcpy(sequence, id + 8, 8);
    return from == nonce && number < flow_count ? &flows[number] : NULL;
}

static void put(struct flow *flow, uint64_t sequence) {
    uint8_t *to = websocket_open(flow->sender, BINARY, PUT_HEAD + payload_size);
    to[0] = 1, to[1] = 1;
    write_id(to + 2, flow, sequence);
    memcpy(to + 18, flow->key, KEY);
    payload_write(to + PUT_HEAD, flow, sequence);
    websocket_close(flow->sender, to, PUT_HEAD + payload_size);
}

static void deliver(struct conn *conn, const uint8_t *data, size_t size) {
    if (size != DELIVER_HEAD + payload_size || data[0] != 2 || data[1] != 1 || data[58] != 0) {
        run.altered++;
        return;
    }
    uint64_t in_mailbox = 0, sequence;
    for (int i = 50; i < 58; i++)
        in_mailbox = in_mailbox << 8 | data[i];
    struct flow *flow = delivered(conn, data + DELIVER_HEAD, size - DELIVER_HEAD);
    uint64_t inside;
    memcpy(&inside, data + DELIVER_HEAD + 9, 8);
    if (!flow || read_id(data + 2, &sequence) != flow || sequence != inside ||
        memcmp(data + 18, flow->key, KEY) != 0) {
        run.altered += flow != NULL;
        return;
    }
    if (in_mailbox <= flow->mailbox_sequence)
        run.disordered++;
    flow->mailbox_sequence = conn->acknowledge = in_mailbox;
    conn->owes = true;
}

static int digit(uint8_t character) {
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == '-' ? 62 : character == '_' ? 63 : -1;
}

static bool decode_id(const uint8_t *text, uint8_t *id) {
    static int8_t digits[256];
    if (!digits['B'])
        for (int i = 0; i < 256; i++)
            digits[i] = (int8_t)digit((uint8_t)i);
    uint32_t bits = 0, held = 0, size = 0;
    for (int i = 0; i < ID_TEXT; i++) {
        if (digits[text[i]] < 0)
            return false;
        bits = bits << 6 | (uint8_t)digits[text[i]];
        if ((held += 6) >= 8)
            id[size++] = (uint8_t)(bits >> (held -= 8));
    }
    return true;
}

static void answer_of_puts(struct conn *conn, const uint8_t *text, size_t size) {
    static const char frames[] = "\"frames\":[";
    const uint8_t *at = memmem(text, size, frames, sizeof frames - 1), *end = text + size;
    at = at ? at + sizeof frames - 1 : end;
    while (at + ID_TEXT + 2 < end && *at == '"') {
        uint8_t id[ID];
        uint64_t sequence;
        struct flow *flow = decode_id(at + 1, id) ? read_id(id, &sequence) : NULL;
        if (flow && flow->sender == conn)
            accepted(flow, sequence);
        else
            run.altered++;
        at += ID_TEXT + 2;
        at += *at == ',';
    }
    if (at >= end || *at != ']')
        run.altered++;
}

static void message(struct conn *conn, int opcode, const uint8_t *data, size_t size) {
    static const char yes[] = "{\"type\":\"accepted\"";
    if (opcode == BINARY)
        deliver(conn, data, size);
    else if (size > sizeof yes && memcmp(data, yes, sizeof yes - 1) == 0)
        answer_of_puts(conn, data, size);
    else if (!memmem(data, size, "\"stock\"", 7) && !memmem(data, size, "\"presence\"", 10))
        die("connection %u: the relay said %.*s", conn->number, (int)(size < 300 ? size : 300), data);
}

static size_t receive(struct conn *conn, uint8_t *data, size_t size) {
    return websocket_read(conn, data, size, message);
}

/* One cumulative acknowledgement for each read. */
static void acknowledge(struct conn *conn) {
    if (!conn->owes)
        return;
    conn->owes = false;
    char text[64];
    int size = snprintf(text, sizeof text, "{\"type\":\"acknowledge\",\"through\":%llu}",
                        (unsigned long long)conn->acknowledge);
    uint8_t *to = websocket_open(conn, TEXT, (size_t)size);
    memcpy(to, text, (size_t)size);
    websocket_close(conn, to, (size_t)size);
}

static void pull(struct conn *conn) {
    static const char text[] = "{\"type\":\"pull\"}";
    uint8_t *to = websocket_open(conn, TEXT, sizeof text - 1);
    memcpy(to, text, sizeof text - 1);
    websocket_close(conn, to, sizeof text - 1);
}

const struct dialect blindpost = {"blindpost", true, true, put, receive, acknowledge, pull};
