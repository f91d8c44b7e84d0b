/* Header lines that proxies and those before them have written.  Whatever comes first, and
 * whatever it does with quotes: what a proxy adds behind it is what is believed. */
#include "codec/forwarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {2 * MAX_BYTES, 100};
static struct http_request req;
static struct network trusted[2];
static const struct networks proxies = {trusted, 2, 0};
static struct address peer;

static void must(int cond)
{
    if (!cond)
        abort();
}

/* The lines and what is behind them, as a request.  Returns 0 if they are none. */
static int parse(const uint8_t *lines, size_t len, const char *behind)
{
    static char text[2 * MAX_BYTES];
    size_t scanned = 0, n = 0;

    memcpy(text, "GET / HTTP/1.0\r\n", 16);
    n = 16;
    memcpy(text + n, lines, len);
    n += len;
    n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\r\n\r\n", behind);
    return http_parse(&req, text, n, &limits, &scanned) == (long)n;
}

static void judge(struct forwarded *forwarded, enum forwarded_header header)
{
    forwarded_read(forwarded, &req, header, &proxies, &peer);
    must(forwarded->named <= FORWARDED_HOPS_MAX);
    must(forwarded->is_https >= -1 && forwarded->is_https <= 1);
    must(!address_is_none(&forwarded->client));
    if (forwarded->named == 0)
        must(memcmp(&forwarded->client, &peer, sizeof(peer)) == 0);
}

/* One client, by one proxy, that adds it in the last of the lines, or in one of its own. */
static void must_be_client(const uint8_t *lines, size_t len, const char *behind,
                           enum forwarded_header header)
{
    struct forwarded forwarded;

    if (!parse(lines, len, behind))
        return;
    judge(&forwarded, header);
    must(forwarded.named == 1 && forwarded.client.ip[15] == 9 && forwarded.client.ip[12] == 203);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct forwarded forwarded;

    if (size > MAX_BYTES)
        return 0;
    if (trusted[0].bits == 0) {
        must(network_parse(&trusted[0], SLICE("10.0.0.0/8")) == NETWORK_GOOD);
        must(network_parse(&trusted[1], SLICE("fd00::/8")) == NETWORK_GOOD);
        must(address_parse_ip(&peer, SLICE("10.0.0.1")) == 0);
    }
    if (parse(data, size, ""))
        for (int header = FORWARDED_EITHER; header <= FORWARDED_STANDARD; header++)
            judge(&forwarded, (enum forwarded_header)header);
    must_be_client(data, size, "\r\nX-Forwarded-For: 203.0.113.9", FORWARDED_EITHER);
    must_be_client(data, size, "\r\nForwarded: for=203.0.113.9;by=\"a,b\"", FORWARDED_STANDARD);
    if (size > 11 && memcmp(data, "Forwarded: ", 11) == 0 && memchr(data, '\n', size) == NULL &&
        memchr(data, '\r', size) == NULL)
        must_be_client(data, size, ", proto=https;for=\"203.0.113.9:1\"", FORWARDED_STANDARD);
    if (size > 17 && memcmp(data, "X-Forwarded-For: ", 17) == 0 &&
        memchr(data, '\n', size) == NULL && memchr(data, '\r', size) == NULL)
        must_be_client(data, size, ", [::ffff:203.0.113.9]:80", FORWARDED_X_FOR);
    return 0;
}
