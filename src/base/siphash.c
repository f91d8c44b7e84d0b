#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t x;

    memcpy(&x, at, sizeof(x));
    return le64toh(x);
}

static inline void rounds(struct state *s, int n)
{
    while (n-- > 0) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotl(s->v1, 13) ^ s->v0;
        s->v3 = rotl(s->v3, 16) ^ s->v2;
        s->v0 = rotl(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotl(s->v1, 17) ^ s->v2;
        s->v3 = rotl(s->v3, 21) ^ s->v0;
        s->v2 = rotl(s->v2, 32);
    }
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

static struct state begin(const uint8_t key[16])
{
    uint64_t k0 = load64(key), k1 = load64(key + 8);

    return (struct state){
        .v0 = k0 ^ 0x736f6d6570736575u, /* "somepseudorandomlygeneratedbytes" */
        .v1 = k1 ^ 0x646f72616e646f6du,
        .v2 = k0 ^ 0x6c7967656e657261u,
        .v3 = k1 ^ 0x7465646279746573u,
    };
}

/* last: the bytes that filled no word, below the number of all in the highest byte. */
static uint64_t end(struct state s, uint64_t last)
{
    absorb(&s, last);
    s.v2 ^= 0xff;
    rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint64_t last = (uint64_t)len << 56;
    struct state s = begin(key);

    for (; len >= 8; at += 8, len -= 8)
        absorb(&s, load64(at));
    while (len > 0) {
        len--;
        last |= (uint64_t)at[len] << (8 * len);
    }
    return end(s, last);
}

static struct state state_of(const struct siphash *hash)
{
    return (struct state){hash->v[0], hash->v[1], hash->v[2], hash->v[3]};
}

static void keep(struct siphash *hash, const struct state *s)
{
    hash->v[0] = s->v0;
    hash->v[1] = s->v1;
    hash->v[2] = s->v2;
    hash->v[3] = s->v3;
}

void siphash_begin(struct siphash *hash, const uint8_t key[16])
{
    struct state s = begin(key);

    keep(hash, &s);
    hash->tail = 0;
    hash->len = 0;
}

/* One byte; a word is absorbed when it is full. */
static void put_byte(struct siphash *hash, struct state *s, uint8_t byte)
{
    hash->tail |= (uint64_t)byte << (hash->len % 8 * 8);
    if (++hash->len % 8 == 0) {
        absorb(s, hash->tail);
        hash->tail = 0;
    }
}

void siphash_put(struct siphash *hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    struct state s = state_of(hash);

    for (; len > 0 && hash->len % 8 != 0; len--)
        put_byte(hash, &s, *at++);
    for (; len >= 8; at += 8, len -= 8, hash->len += 8)
        absorb(&s, load64(at));
    for (; len > 0; len--)
        put_byte(hash, &s, *at++);
    keep(hash, &s);
}

uint64_t siphash_end(const struct siphash *hash)
{
    return end(state_of(hash), hash->tail | hash->len << 56);
}
