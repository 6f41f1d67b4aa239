/* What a frame carries, and whether it came once, whole and in its turn. */
#include "load.h"

#include <string.h>

#include "run.h"

enum { HEAD = 17, TURN = 4096 };

static uint8_t filler[SIZE_MAX_PAYLOAD + TURN];

void payload_begin(void) {
    uint64_t state = 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < sizeof filler; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        filler[i] = (uint8_t)state;
    }
}

/* Each frame has other bytes than its neighbours, at the price of a copy. */
static const uint8_t *filling(uint32_t number, uint64_t sequence) {
    return filler + ((number * 8u + sequence * 64u) & (TURN - 1));
}

/* 0x01, as envelopes begin; nonce u32, flow u32, sequence u64; then filling. */
void payload_write(uint8_t *to, const struct flow *flow, uint64_t sequence) {
    to[0] = 1;
    memcpy(to + 1, &nonce, 4);
    memcpy(to + 5, &flow->number, 4);
    memcpy(to + 9, &sequence, 8);
    memcpy(to + HEAD, filling(flow->number, sequence), payload_size - HEAD);
}

/* Take note of a delivery; NULL if it is nothing that was sent to this connection. */
struct flow *delivered(struct conn *conn, const uint8_t *payload, size_t size) {
    uint32_t from, number;
    uint64_t sequence;
    if (size != payload_size) {
        run.altered++;
        return NULL;
    }
    memcpy(&from, payload + 1, 4);
    memcpy(&number, payload + 5, 4);
    memcpy(&sequence, payload + 9, 8);
    struct flow *flow = number < flow_count ? &flows[number] : NULL;
    if (payload[0] != 1 || from != nonce || !flow || flow->receiver != conn ||
        sequence >= flow->sent || memcmp(payload + HEAD, filling(number, sequence), size - HEAD) != 0) {
        run.altered++;
        return NULL;
    }
    if (sequence < flow->delivered || (sequence > flow->delivered && flow->early[sequence % RING])) {
        run.twice++;
        return flow;
    }
    if (sequence - flow->delivered >= RING) {
        run.disordered++; /* too far ahead to be kept track of */
        return flow;
    }
    measured(run.now - flow->sent_at[sequence % RING]);
    if (sequence > flow->delivered) {
        flow->early[sequence % RING] = true;
        run.disordered++;
        return flow;
    }
    do
        flow->early[flow->delivered % RING] = false;
    while (flow->early[++flow->delivered % RING]);
    moved(flow);
    return flow;
}

/* Take note that the server says it has a frame: in their order, each once. */
void accepted(struct flow *flow, uint64_t sequence) {
    if (sequence >= flow->sent)
        run.altered++;
    else if (sequence < flow->accepted)
        run.twice++;
    else if (sequence > flow->accepted)
        run.disordered++;
    else {
        flow->accepted++;
        moved(flow);
    }
}
