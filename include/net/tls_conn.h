/* tls_conn - TLS on one connection, in its parts: what comes, what goes, why it came to nothing,
 * and OpenSSL's way to the socket.  For the files of net/tls only. */
#ifndef NET_TLS_CONN_H
#define NET_TLS_CONN_H

#include "net/handshakes.h"
#include "net/net.h"
#include "net/tls_context.h"

#include <openssl/ssl.h>

#define SEAL_BYTES SSL3_RT_MAX_PLAIN_LENGTH /* in one record */

/* Of one connection.  Its SSL, the most of it, is there from the first whole record on. */
struct tls {
    struct handshake turn;
    struct conn *conn;
    SSL *ssl;
    uint8_t *part; /* what came, and is no whole record yet or waits for its turn */
    uint8_t *rest; /* what the kernel has not taken */
    uint32_t part_len;
    uint32_t rest_off, rest_len;
    uint32_t sealed;  /* records, with the key that is in use */
    uint16_t sealing; /* bytes of conn->out that rest is made of */
    uint16_t useless; /* records, weighted */
    uint8_t records;  /* of the handshake */
    uint8_t opened : 1;
    uint8_t failed : 1; /* counted; nothing is said any more */
    uint8_t ended : 1;  /* the client has said that nothing more comes */
};

/* Of all. */
struct tls_net {
    struct tls_contexts *contexts;
    BIO_METHOD *method;
    BIO *bio; /* one for all: a call into OpenSSL is about one connection */
    struct tls *now;
    const uint8_t *in; /* one record */
    size_t in_len;
    uint8_t *plain; /* INPUT_BYTES */
    size_t plain_len;
    uint8_t *gather; /* SEAL_BYTES */
    struct handshakes handshakes;
    struct event trim_timer;
    uint64_t gone; /* connections, since memory was given back */
    struct log_every logs[TLS_FAULTS];
};

/* What a record, or several, have led to. */
enum tls_outcome {
    TLS_MORE,
    TLS_WAITS, /* for its turn; the record is still to be used */
    TLS_ENDED,
    TLS_FAILED
};

/* --- tls_fault.c --- */

/* Counted, and said in the log; nothing is said to the client any more.  reason: more words, or
 * NULL.  tls_fails() returns TLS_FAILED. */
void tls_fault(struct conn *conn, enum tls_fault why, const char *reason);
enum tls_outcome tls_fails(struct tls *tls, enum tls_fault why, const char *reason);
/* What OpenSSL says of a call that returned result; a fault is counted. */
enum tls_outcome tls_outcome_of(struct tls *tls, int result);

/* --- tls_bio.c --- */

/* One for all connections of layer, or NULL without memory. */
BIO *tls_bio_new(struct tls_net *layer);
/* The next call into OpenSSL is about this connection, and may read that. */
void tls_enter(struct tls_net *layer, struct tls *tls, const uint8_t *bytes, size_t len);

/* --- tls_input.c --- */

/* As veil_ops.input. */
void tls_input(struct conn *conn, uint8_t *bytes, size_t len);
/* The turn of one that waited has come: handshakes_init(). */
void tls_go_on(struct handshake *turn, void *arg);

/* --- tls_output.c --- */

/* As veil_ops.send and finish. */
ssize_t tls_send(struct conn *conn);
void tls_finish(struct conn *conn);

#endif
