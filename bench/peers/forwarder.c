/* The limit: WebSocket in, WebSocket out, and nothing else. One thread, epoll, one joined write per recipient and read.
 *
 * The first message of a connection is its number, u32; every later one begins with the number of whom it is for, and
 * is passed on as it is. Prints its port. Nothing is promised: no login, limit, order across senders, or store. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/tcp.h>

enum { READ = 262144, EVENTS = 512, PEOPLE = 65536 };

struct bytes {
    uint8_t *data;
    size_t size, room;
};

struct peer {
    int fd;
    bool upgraded, named, dirty, wants_out;
    struct bytes in, out;
};

static struct peer *people[PEOPLE], *to_flush[PEOPLE];
static uint32_t flush_count;
static int poller;
static uint8_t buffer[READ];

static uint8_t *room_for(struct bytes *bytes, size_t size) {
    if (bytes->room - bytes->size < size) {
        bytes->room = (bytes->size + size) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
        if (!bytes->data)
            abort();
    }
    return bytes->data + bytes->size;
}

static void drop(struct peer *peer) {
    for (size_t i = 0; peer->named && i < PEOPLE; i++)
        if (people[i] == peer)
            people[i] = NULL;
    for (uint32_t i = 0; i < flush_count; i++)
        if (to_flush[i] == peer)
            to_flush[i] = to_flush[--flush_count];
    close(peer->fd);
    free(peer->in.data), free(peer->out.data), free(peer);
}

static void add(struct peer *peer, const void *data, size_t size) {
    memcpy(room_for(&peer->out, size), data, size);
    peer->out.size += size;
    if (!peer->dirty)
        peer->dirty = true, to_flush[flush_count++] = peer;
}

static void flush(void) {
    while (flush_count) {
        struct peer *peer = to_flush[--flush_count];
        peer->dirty = false;
        ssize_t sent = send(peer->fd, peer->out.data, peer->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            memmove(peer->out.data, peer->out.data + sent, peer->out.size -= (size_t)sent);
        if ((peer->out.size > 0) != peer->wants_out) {
            peer->wants_out = !peer->wants_out;
            struct epoll_event event = {EPOLLIN | (peer->wants_out ? EPOLLOUT : 0), {.ptr = peer}};
            epoll_ctl(poller, EPOLL_CTL_MOD, peer->fd, &event);
        }
        if (!peer->out.size && peer->out.room > READ)
            free(peer->out.data), peer->out = (struct bytes){0};
    }
}

static uint32_t turned(uint32_t word, unsigned by) {
    return word << by | word >> (32 - by);
}

/* SHA-1 (FIPS 180-4) of less than 119 bytes, which RFC 6455 wants of the handshake. */
static void sha1(const uint8_t *data, size_t size, uint8_t digest[20]) {
    uint8_t padded[128] = {0};
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    size_t blocks = (size + 9 + 63) / 64;
    memcpy(padded, data, size);
    padded[size] = 0x80;
    padded[blocks * 64 - 2] = (uint8_t)(size >> 5), padded[blocks * 64 - 1] = (uint8_t)(size << 3);
    for (size_t block = 0; block < blocks; block++) {
        uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (int i = 0; i < 16; i++) {
            memcpy(&w[i], padded + block * 64 + (size_t)i * 4, 4);
            w[i] = ntohl(w[i]);
        }
        for (int i = 16; i < 80; i++)
            w[i] = turned(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
            uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
            uint32_t next = turned(a, 5) + f + e + k + w[i];
            e = d, d = c, c = turned(b, 30), b = a, a = next;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
}

static void upgrade(struct peer *peer, const char *key) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[64] = {0}, answer[256], *at = answer;
    uint8_t digest[21] = {0};
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1((uint8_t *)text, strlen(text), digest);
    at += sprintf(at, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: ");
    for (int i = 0; i < 21; i += 3) {
        uint32_t three = (uint32_t)(digest[i] << 16 | digest[i + 1] << 8 | digest[i + 2]);
        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = digits[three >> shift & 63];
    }
    memcpy(at - 1, "=\r\n\r\n", 5);
    add(peer, answer, (size_t)(at - answer) + 4);
    peer->upgraded = true;
}

static void forward(uint8_t first, const uint8_t *data, size_t size) {
    uint32_t number;
    memcpy(&number, data, 4);
    struct peer *to = people[ntohl(number) % PEOPLE];
    if (!to)
        return;
    uint8_t head[4] = {first, (uint8_t)size};
    if (size >= 126)
        head[1] = 126, head[2] = (uint8_t)(size >> 8), head[3] = (uint8_t)size;
    add(to, head, size < 126 ? 2 : 4);
    add(to, data, size);
}

/* Takes whole frames of up to 64 KiB; returns the bytes taken, or -1 to end the connection. */
static ssize_t take(struct peer *peer, uint8_t *data, size_t size) {
    size_t at = 0;
    if (!peer->upgraded) {
        data[size] = 0;
        char *end = memmem(data, size, "\r\n\r\n", 4), *key = strcasestr((char *)data, "sec-websocket-key: ");
        if (!end)
            return 0;
        if (!key)
            return -1;
        upgrade(peer, key + 19);
        at = (size_t)(end - (char *)data) + 4;
    }
    while (size - at >= 6) {
        size_t length = data[at + 1] & 0x7F, head = length == 126 ? 8 : 6;
        if (length == 127 || !(data[at + 1] & 0x80))
            return -1;
        if (length == 126)
            length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (size - at < head + length)
            break;
        uint8_t *payload = data + at + head;
        uint64_t wide, word;
        memcpy(&wide, payload - 4, 4), memcpy((uint8_t *)&wide + 4, payload - 4, 4);
        size_t i = 0;
        for (; i + 8 <= length; i += 8) {
            memcpy(&word, payload + i, 8);
            word ^= wide;
            memcpy(payload + i, &word, 8);
        }
        for (; i < length; i++)
            payload[i] ^= ((uint8_t *)&wide)[i & 7];
        if (data[at] == 0x88 || length < 4)
            return -1;
        uint32_t number;
        memcpy(&number, payload, 4);
        if (peer->named)
            forward(data[at], payload, length);
        else
            peer->named = true, people[ntohl(number) % PEOPLE] = peer;
        at += head + length;
    }
    return (ssize_t)at;
}

static void receive(struct peer *peer) {
    uint8_t *data = buffer;
    size_t size = 0;
    if (peer->in.size) {
        data = room_for(&peer->in, READ) - peer->in.size;
        size = peer->in.size;
    }
    ssize_t count = recv(peer->fd, data + size, READ - 1, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN)
        return;
    ssize_t taken = count <= 0 ? -1 : take(peer, data, size += (size_t)count);
    if (taken < 0) {
        drop(peer);
        return;
    }
    size_t rest = size - (size_t)taken;
    if (data == buffer)
        memcpy(room_for(&peer->in, rest ? rest : 0), data + taken, rest);
    else
        memmove(data, data + taken, rest);
    peer->in.size = rest;
    if (!rest)
        free(peer->in.data), peer->in = (struct bytes){0};
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    poller = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, events[EVENTS];
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &length) ||
        epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event))
        return 1;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (!peer) {
                for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                    peer = calloc(1, sizeof *peer);
                    peer->fd = fd;
                    event = (struct epoll_event){EPOLLIN, {.ptr = peer}};
                    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
                }
                continue;
            }
            if (events[i].events & EPOLLOUT && !peer->dirty)
                peer->dirty = true, to_flush[flush_count++] = peer;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(peer);
            flush();
        }
    }
}
