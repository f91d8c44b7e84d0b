#include "base/rand.h"
#include "base/log.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <assert.h>
#include <pthread.h>
#include <string.h>

#define CHUNK_MAX_BYTES (1 << 20) /* RAND_bytes counts in int */
#define BATCH_BYTES     1024      /* drawn at once: RAND_bytes() asks for the pid each time */

/* What is drawn and not yet given is at the end of at; the rest has been cleared. */
static struct {
    unsigned char at[BATCH_BYTES];
    size_t left;
    int sees_forks; /* else nothing is kept here */
} batch;

/* In a child: what is left is the parent's. */
static void drop(void)
{
    OPENSSL_cleanse(batch.at, sizeof(batch.at));
    batch.left = 0;
}

static void draw(unsigned char *dst, size_t len)
{
    while (len > 0) {
        size_t n = len < CHUNK_MAX_BYTES ? len : CHUNK_MAX_BYTES;

        if (RAND_bytes(dst, (int)n) != 1)
            log_fatal("random_none", "no random bytes to be had");
        dst += n;
        len -= n;
    }
}

void rand_bytes(void *dst, size_t len)
{
    unsigned char *next;

    if (!batch.sees_forks)
        batch.sees_forks = pthread_atfork(NULL, NULL, drop) == 0;
    if (!batch.sees_forks || len > sizeof(batch.at)) {
        draw(dst, len);
        return;
    }
    /* What is too little for this draw is given up. */
    if (len > batch.left) {
        draw(batch.at, sizeof(batch.at));
        batch.left = sizeof(batch.at);
    }
    next = batch.at + sizeof(batch.at) - batch.left;
    memcpy(dst, next, len);
    OPENSSL_cleanse(next, len);
    batch.left -= len;
}

/* The high half of a 32 x 32 bit product is uniform once the few low halves
 * that would favour some results are rejected. */
uint32_t rand_below(uint32_t bound)
{
    uint32_t reject;
    uint64_t product;

    assert(bound > 0);
    reject = -bound % bound;
    do {
        uint32_t value;

        rand_bytes(&value, sizeof(value));
        product = (uint64_t)value * bound;
    } while ((uint32_t)product < reject);
    return (uint32_t)(product >> 32);
}
