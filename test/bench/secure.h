/* secure - TLS of a crowd's clients, as browsers offer it: TLS 1.3, AES-128 first, X25519.  Whose
 * certificate it is nobody asks: what counts is what it costs the server. */
#ifndef BENCH_SECURE_H
#define BENCH_SECURE_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct secure {
    SSL_CTX *context;
    SSL_SESSION *session; /* of the first client that was told one; or NULL */
    int resumes;          /* new clients offer it: the caller's */
};

/* Returns 0, or -1. */
int secure_init(struct secure *secure);

/* TLS on a connected socket, which stays the caller's; or NULL.  secure_free() ends it. */
SSL *secure_new(struct secure *secure, int fd);

/* Without a word to the other side; NULL is none. */
void secure_free(SSL *ssl);

/* Returns 1 when it is done, 0 when more must come, or -1 with errno. */
int secure_shake(SSL *ssl);

/* As recv() and send(). */
ssize_t secure_recv(SSL *ssl, void *dst, size_t cap);
ssize_t secure_send(SSL *ssl, const void *bytes, size_t len);

/* Keeps what a client has been told to resume with, unless there is something. */
void secure_keep(struct secure *secure, SSL *ssl);

#endif
