/* What the parts of the load generator share: connections, flows, the dialects, and how frames are judged. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RING = 64, KEY = 32, SIZE_MAX_PAYLOAD = 65536 };

struct bytes {
    uint8_t *data;
    size_t size, room;
};

/* One socket that the harness has opened, and logged in where its server wants that. */
struct conn {
    int fd;
    uint32_t number;
    struct bytes in, out, inner; /* inner: what WebSocket messages carried, where it is a stream of its own */
    struct tls *tls;             /* NULL without */
    struct conn *through;        /* until `begin`: the harness on one side of a tunnel, TLS on the other */
    bool wants_out, dirty;
    bool owes;            /* blindpost: an acknowledgement */
    uint64_t acknowledge; /* through this one */
    uint32_t *asked;      /* flows in the order of their unanswered puts on this connection */
    uint32_t asked_first, asked_count, asked_room;
};

/* Frames from one sender to one recipient: their sequences are 0, 1, 2, ... */
struct flow {
    uint32_t number;
    struct conn *sender, *receiver;          /* NULL where there is none */
    uint64_t sent, accepted, delivered;      /* the next sequence of each */
    uint64_t mailbox_sequence;               /* the last one that the relay gave */
    uint8_t key[KEY];
    bool early[RING];     /* delivered before those in front of it */
    uint64_t sent_at[RING]; /* ns */
};

struct dialect {
    const char *name;
    bool accepts;  /* the server says that it has a frame */
    bool delivers; /* the recipient gets it in this run */
    void (*put)(struct flow *, uint64_t sequence);
    size_t (*read)(struct conn *, uint8_t *, size_t); /* takes whole messages; returns the bytes taken */
    void (*answer)(struct conn *);                    /* once for each read, NULL for nothing */
    void (*pull)(struct conn *);                      /* begin to drain, NULL for nothing */
};

extern const struct dialect blindpost, bare, nats, nats_request, jetstream, published, streamed, mqtt_0, mqtt_1, xmpp;
extern size_t payload_size;
extern uint32_t nonce, base; /* at the server, flow 7 is called base + 7 */
extern struct flow *flows;
extern uint32_t flow_count;

/* sockets.c */
extern struct conn **conns;
extern uint32_t conn_count;
extern int poller;
extern const struct dialect *dialect;
void *grown(void *, size_t count, size_t size);
double seconds(void);
uint64_t nanoseconds(void);
void flush(void);
bool turn(double wait, bool commands);
void add_conn(int fd, int tunnel);
void end_tunnels(void);
uint8_t *room_for(struct bytes *, size_t);
void append(struct conn *, const void *, size_t);
void dirty(struct conn *);
_Noreturn void die(const char *, ...) __attribute__((format(printf, 1, 2)));
void ask(struct conn *, const struct flow *);
struct flow *answered(struct conn *);

/* judge.c */
void payload_begin(void);
void payload_write(uint8_t *, const struct flow *, uint64_t sequence);
struct flow *delivered(struct conn *, const uint8_t *, size_t);
void accepted(struct flow *, uint64_t sequence);

/* websocket.c */
enum { TEXT = 1, BINARY = 2 };
uint8_t *websocket_open(struct conn *, int opcode, size_t);
void websocket_close(struct conn *, uint8_t *, size_t);
size_t websocket_read(struct conn *, uint8_t *, size_t, void (*)(struct conn *, int, const uint8_t *, size_t));

/* tls.c */
struct tls *tls_begin(int fd);
long tls_read(struct tls *, void *, size_t);
long tls_write(struct tls *, const void *, size_t);

#endif
