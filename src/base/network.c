#include "base/network.h"

#include "base/address.h"

#include <string.h>

#define BITS_V4 96 /* in front of an IPv4 address that is mapped */

/* The number behind the '/', in bits of 16 bytes; -1: there is none, or it is too large. */
static int prefix_bits(struct slice text, int is_v4)
{
    int bits = 0, first = is_v4 ? BITS_V4 : 0;

    if (text.len == 0 || text.len > 3)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        bits = bits * 10 + (text.ptr[i] - '0');
    }
    return bits + first <= 128 ? bits + first : -1;
}

/* What of the byte at index i counts. */
static uint8_t mask(unsigned bits, size_t i)
{
    if (bits >= 8 * (i + 1))
        return 0xff;
    return bits <= 8 * i ? 0 : (uint8_t)(0xff << (8 * (i + 1) - bits));
}

static int has_host_bits(const uint8_t ip[16], unsigned bits)
{
    for (size_t i = 0; i < 16; i++)
        if ((ip[i] & ~mask(bits, i)) != 0)
            return 1;
    return 0;
}

enum network_fault network_parse(struct network *network, struct slice text)
{
    const char *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - text.ptr) : text.len;
    struct slice prefix = {NULL, 0};
    struct address address;
    int bits = 128;

    if (address_parse_ip(&address, (struct slice){text.ptr, len}) < 0)
        return NETWORK_NO_ADDRESS;
    if (slash != NULL) {
        prefix = (struct slice){slash + 1, text.len - len - 1};
        /* ::ffff:192.0.2.0/120 counts as IPv6 is written */
        bits = prefix_bits(prefix, memchr(text.ptr, ':', len) == NULL);
    }
    if (bits < 0)
        return NETWORK_NO_PREFIX;
    if (has_host_bits(address.ip, (unsigned)bits))
        return NETWORK_HOST_BITS;
    memcpy(network->ip, address.ip, sizeof(network->ip));
    network->bits = (uint8_t)bits;
    return NETWORK_GOOD;
}

int network_equal(const struct network *a, const struct network *b)
{
    return a->bits == b->bits && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

void network_encode(const struct network *network, struct buf *out)
{
    buf_put(out, network->ip, sizeof(network->ip));
    buf_putc(out, network->bits);
}

int network_decode(struct network *network, const uint8_t *bytes)
{
    memcpy(network->ip, bytes, sizeof(network->ip));
    network->bits = bytes[sizeof(network->ip)];
    return network->bits > 128 || has_host_bits(network->ip, network->bits) ? -1 : 0;
}

int network_is_all(const struct network *network)
{
    struct address address = {0};

    memcpy(address.ip, network->ip, sizeof(address.ip));
    return network->bits == 0 || (network->bits == BITS_V4 && address_is_v4(&address));
}

static int is_in(const struct network *network, const struct address *address)
{
    size_t whole = network->bits / 8;
    uint8_t rest = whole < sizeof(network->ip) ? mask(network->bits, whole) : 0;

    if (network->bits < BITS_V4 && address_is_v4(address))
        return 0;
    return memcmp(network->ip, address->ip, whole) == 0 &&
           (rest == 0 || ((network->ip[whole] ^ address->ip[whole]) & rest) == 0);
}

int networks_have(const struct networks *networks, const struct address *address)
{
    if (address_is_none(address))
        return networks->unix_too;
    for (size_t i = 0; i < networks->n; i++)
        if (is_in(&networks->at[i], address))
            return 1;
    return 0;
}
