/* TLS as a client, by the system's libssl: looked up when it is needed, so that nothing has to be installed to build. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "load.h"

/* OpenSSL 3, documented values: SSL_CTRL_MODE; partial writes, from a buffer that may move; what a call waits for. */
enum { CTRL_MODE = 33, PARTIAL_AND_MOVING = 3, WANT_READ = 2, WANT_WRITE = 3, ZERO_RETURN = 6 };

struct tls {
    void *ssl;
};

static void *context;
static void *(*ssl_new)(void *);
static int (*ssl_set_fd)(void *, int), (*ssl_connect)(void *), (*ssl_read)(void *, void *, int);
static int (*ssl_write)(void *, const void *, int), (*ssl_get_error)(const void *, int);

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found)
        die("libssl has no %s", name);
    return found;
}

static void look_up(void) {
    void *library = dlopen("libssl.so.3", RTLD_NOW);
    if (!library)
        die("there is no libssl.so.3, which the measurement with TLS needs");
    void *(*method)(void), *(*new_context)(void *);
    long (*control)(void *, int, long, void *);
    *(void **)&method = symbol(library, "TLS_client_method");
    *(void **)&new_context = symbol(library, "SSL_CTX_new");
    *(void **)&control = symbol(library, "SSL_CTX_ctrl");
    *(void **)&ssl_new = symbol(library, "SSL_new");
    *(void **)&ssl_set_fd = symbol(library, "SSL_set_fd");
    *(void **)&ssl_connect = symbol(library, "SSL_connect");
    *(void **)&ssl_read = symbol(library, "SSL_read");
    *(void **)&ssl_write = symbol(library, "SSL_write");
    *(void **)&ssl_get_error = symbol(library, "SSL_get_error");
    context = new_context(method());
    control(context, CTRL_MODE, PARTIAL_AND_MOVING, NULL);
}

/* The handshake, for which the socket blocks. Certificates are not looked at: the server is our own. */
struct tls *tls_begin(int fd) {
    if (!context)
        look_up();
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    struct tls *tls = malloc(sizeof *tls);
    if (!tls || !(tls->ssl = ssl_new(context)) || ssl_set_fd(tls->ssl, fd) != 1 || ssl_connect(tls->ssl) != 1)
        die("the TLS handshake failed on descriptor %d", fd);
    return tls;
}

/* As recv and send say it: -1 with EAGAIN where there is nothing for now, 0 at the end. */
static long as_socket(struct tls *tls, int done) {
    if (done > 0)
        return done;
    int error = ssl_get_error(tls->ssl, done);
    errno = error == WANT_READ || error == WANT_WRITE ? EAGAIN : ECONNRESET;
    return error == ZERO_RETURN ? 0 : -1;
}

long tls_read(struct tls *tls, void *to, size_t size) {
    return as_socket(tls, ssl_read(tls->ssl, to, (int)size));
}

long tls_write(struct tls *tls, const void *from, size_t size) {
    return as_socket(tls, ssl_write(tls->ssl, from, (int)size));
}
