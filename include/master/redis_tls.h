/* redis_tls - TLS on a connection to redis that redis_link has made: bytes of the socket come
 * in, text of the application comes out, and what is written to its bufferevent goes out.
 *
 * A stream of its own and not libevent's bufferevent_openssl: that one reads the socket itself,
 * record by record, into a buffer from which everything is copied once more, asks for more in
 * its own time, and keeps what the application writes, the password among it, in that buffer's
 * memory.  Here redis_link reads as it does without TLS, with the same bound for each turn of
 * the loop and the same pause; nothing that was read stays behind but part of a record. */
#ifndef MASTER_REDIS_TLS_H
#define MASTER_REDIS_TLS_H

#include "conf.h"
#include "master/redis_fault.h"

#include <stddef.h>
#include <sys/types.h>

struct bufferevent;
struct event_base;
struct redis_tls;
struct tls_client;

/* What sessions with that server have in common.  conf is not kept.  Returns 0 and *client, NULL
 * where conf is not on; -1 without memory, or where its files (which conf/ has checked) are no
 * good, which is logged then. */
int redis_tls_client(struct tls_client **client, const struct conf_redis_tls *conf);

struct redis_tls_ops { /* redis_tls_free() is allowed in both */
    /* Writing has failed: redis_tls_tell() notes why, if what redis has said does not. */
    void (*broken)(void *arg);
    /* redis_tls_read() is to be called, though nothing has come. */
    void (*again)(void *arg);
};

/* Begins the handshake on fd, which it closes in the end.  name: server_tls_name().  All but name
 * is borrowed.  Returns NULL without memory; fd is closed then, too. */
struct redis_tls *redis_tls_new(struct event_base *base, int fd, const struct tls_client *client,
                                const char *name, struct redis_fault *fault,
                                const struct redis_tls_ops *ops, void *arg);
/* At once, without a word to redis; what was to be written is dropped. */
void redis_tls_free(struct redis_tls **tls);

/* In a child: gives up its secrets.  Nothing else may be done with it then. */
void redis_tls_wipe(struct redis_tls *tls);

/* 1 once redis has shown a certificate that holds, and what is written goes out. */
int redis_tls_is_ready(const struct redis_tls *tls);

/* What is written to it goes out encrypted, when the loop comes to it.  For writing alone. */
struct bufferevent *redis_tls_bev(const struct redis_tls *tls);

/* Takes bytes that came from the socket; then redis_tls_read() is to be called until it returns
 * 0.  Returns 0, or -1 without memory. */
int redis_tls_feed(struct redis_tls *tls, const char *bytes, size_t len);

/* Goes on with the handshake, or decrypts.  Returns bytes, 0: no more for now; -1 where a fault
 * was noted. */
ssize_t redis_tls_read(struct redis_tls *tls, char *dst, size_t cap);

/* Notes why writing has failed, if it has. */
void redis_tls_tell(struct redis_tls *tls);

/* A connection's socket, and what is on it or NULL: for what is not to lie about in buffers. */
struct redis_wire {
    int fd;
    struct redis_tls *tls;
};

/* Sends at once, before all that waits; nothing may wait then.  As send(2). */
ssize_t redis_wire_send(const struct redis_wire *wire, const void *bytes, size_t len);

#endif
