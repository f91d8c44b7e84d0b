/* wire - the bytes of a connection to redis, with TLS or without: each call waits, but no longer
 * than it may. */
#ifndef ASK_WIRE_H
#define ASK_WIRE_H

#include "conf.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct wire;

/* On fd (borrowed), which is connected: with TLS, if conf wants it.  Returns NULL, and why as far
 * as cap goes, if that has not come about when clock_ms() is `until`. */
struct wire *wire_new(int fd, const struct conf_redis *conf, uint64_t until, char *why, size_t cap);
void wire_free(struct wire **wire);

/* Returns 0 when all is written, or -1: wire_why().  That nothing of it is taken may last ms. */
int wire_write(struct wire *wire, const char *bytes, size_t len, unsigned ms);

/* Returns bytes, 0 if none has come by then, or -1: wire_why(). */
ssize_t wire_read(struct wire *wire, char *dst, size_t cap, uint64_t until);

const char *wire_why(const struct wire *wire);

#endif
