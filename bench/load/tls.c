#include "load.h"
struct tls *tls_begin(int fd) { (void)fd; die("no TLS yet"); }
long tls_read(struct tls *t, void *p, size_t n) { (void)t; (void)p; (void)n; return -1; }
long tls_write(struct tls *t, const void *p, size_t n) { (void)t; (void)p; (void)n; return -1; }
