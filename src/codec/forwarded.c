#include "codec/forwarded.h"

#include <string.h>

/* --- elements of a list, from the right ---
 *
 * Of all lines of a header, as if they were one.  Walked from the right, because what is at the
 * left may be anything: a quote that nobody closes, say, is not to swallow what a proxy added
 * behind it. */

struct walk {
    const struct http_request *req;
    const char *name;
    size_t line;       /* lines before this one are still to come */
    struct slice rest; /* of a line: what is left of the elements that were taken */
    int quotes;        /* a comma in quotes ends nothing */
};

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* at: of a quote in text that is closed there.  Where it was opened, or -1: nowhere. */
static long opened_at(struct slice text, size_t at)
{
    while (at-- > 0) {
        size_t escapes = 0;

        if (text.ptr[at] != '"')
            continue;
        while (escapes < at && text.ptr[at - 1 - escapes] == '\\')
            escapes++;
        if (escapes % 2 == 0)
            return (long)at;
        at -= escapes; /* each is looked at once */
    }
    return -1;
}

/* Where the last element of rest begins. */
static size_t last_begins(struct slice rest, int quotes)
{
    size_t at = rest.len;

    while (at > 0 && rest.ptr[at - 1] != ',') {
        long opened;

        at--;
        if (!quotes || rest.ptr[at] != '"')
            continue;
        opened = opened_at(rest, at);
        if (opened < 0)
            return 0; /* nothing in there can be told apart */
        at = (size_t)opened;
    }
    return at;
}

static int prev_line(struct walk *walk)
{
    struct slice name = slice_str(walk->name);

    while (walk->line > 0) {
        const struct http_header *header = &walk->req->headers[--walk->line];

        if (!slice_eq_nocase(header->name, name))
            continue;
        walk->rest = header->value;
        return 1;
    }
    return 0;
}

/* Returns 0 when there is none left.  Empty ones are passed over (RFC 9110, section 5.6.1). */
static int prev_element(struct walk *walk, struct slice *element)
{
    while (walk->rest.len > 0 || prev_line(walk)) {
        size_t at = last_begins(walk->rest, walk->quotes);

        *element = trim((struct slice){walk->rest.ptr + at, walk->rest.len - at});
        walk->rest.len = at > 0 ? at - 1 : 0;
        if (element->len > 0)
            return 1;
    }
    return 0;
}

static struct walk walk_begin(const struct http_request *req, const char *name, int quotes)
{
    return (struct walk){.req = req, .name = name, .line = req->nheaders, .quotes = quotes};
}

/* --- an address --- */

/* Returns 0, or -1: it is no port.  One that hides its number is none that is told. */
static int parse_port(struct slice text, uint16_t *port)
{
    uint32_t number = 0;

    *port = 0;
    if (text.len > 1 && text.ptr[0] == '_')
        return 0;
    if (text.len == 0 || text.len > 5)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        number = number * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *port = (uint16_t)number;
    return number <= UINT16_MAX ? 0 : -1;
}

/* 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.  Returns 0 or -1. */
static int parse_node(struct slice text, struct address *address)
{
    const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    struct slice ip = text, port = {NULL, 0};
    uint16_t number = 0;

    if (text.len > 0 && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);

        if (end == NULL || memchr(text.ptr, ':', (size_t)(end - text.ptr)) == NULL)
            return -1;
        ip = (struct slice){text.ptr + 1, (size_t)(end - text.ptr) - 1};
        port = (struct slice){end + 1, text.len - ip.len - 2};
        if (port.len > 0 && port.ptr[0] != ':')
            return -1;
    } else if (colon != NULL && memrchr(text.ptr, ':', text.len) == colon) {
        ip.len = (size_t)(colon - text.ptr);
        port = (struct slice){colon, text.len - ip.len};
    }
    if (port.len > 0 && parse_port((struct slice){port.ptr + 1, port.len - 1}, &number) < 0)
        return -1;
    if (address_parse_ip(address, ip) < 0 || address_is_none(address))
        return -1; /* ::, which nobody has, would pass for a Unix socket */
    address->port = number;
    return 0;
}

static int parse_proto(struct slice text)
{
    if (slice_eq_nocase(text, SLICE("https")) || slice_eq_nocase(text, SLICE("wss")))
        return 1;
    return slice_eq_nocase(text, SLICE("http")) || slice_eq_nocase(text, SLICE("ws")) ? 0 : -1;
}

/* --- an element of Forwarded --- */

struct hop {
    struct slice node, proto; /* ptr NULL: not there */
};

/* A quoted string, its quotes included; *used is its length.  One with an escape in it holds no
 * address and no scheme: *value is empty then.  Returns 0 or -1. */
static int read_quoted(struct slice text, struct slice *value, size_t *used)
{
    int escaped = 0;

    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            escaped = 1;
            i++;
        } else if (text.ptr[i] == '"') {
            *value = (struct slice){text.ptr + 1, escaped ? 0 : i - 1};
            *used = i + 1;
            return 0;
        }
    }
    return -1;
}

/* The value that text begins with.  Not in quotes it should be a token; that there are senders
 * who leave them out around an address with a port does no harm. */
static int read_value(struct slice text, struct slice *value, size_t *used)
{
    size_t n = 0;

    if (text.len > 0 && text.ptr[0] == '"')
        return read_quoted(text, value, used);
    while (n < text.len && text.ptr[n] != ';' && text.ptr[n] != '"' && !is_blank(text.ptr[n]))
        n++;
    *value = (struct slice){text.ptr, n};
    *used = n;
    return n > 0 ? 0 : -1;
}

static int take_pair(struct hop *hop, struct slice name, struct slice value)
{
    struct slice *at = slice_eq_nocase(name, SLICE("for"))     ? &hop->node
                       : slice_eq_nocase(name, SLICE("proto")) ? &hop->proto
                                                               : NULL;

    if (at == NULL)
        return 0; /* by, host, or what comes to be */
    if (at->ptr != NULL)
        return -1; /* each once */
    *at = value;
    return 0;
}

/* for=192.0.2.60;proto=http;by=203.0.113.43.  Returns 0 or -1. */
static int read_hop(struct slice text, struct hop *hop)
{
    *hop = (struct hop){{NULL, 0}, {NULL, 0}};
    for (;;) {
        struct slice name, value;
        size_t used;

        text = trim(text);
        if (text.len > 0 && text.ptr[0] != ';') {
            name = (struct slice){text.ptr, http_token(text)};
            if (name.len == 0 || name.len == text.len || text.ptr[name.len] != '=')
                return -1;
            text = (struct slice){text.ptr + name.len + 1, text.len - name.len - 1};
            if (read_value(text, &value, &used) < 0 || take_pair(hop, name, value) < 0)
                return -1;
            text = trim((struct slice){text.ptr + used, text.len - used});
        }
        if (text.len == 0)
            return 0;
        if (text.ptr[0] != ';')
            return -1;
        text = (struct slice){text.ptr + 1, text.len - 1};
    }
}

/* --- who it is --- */

/* 1 if the walk goes on to the left of address, which is who that element names. */
static int take(struct forwarded *forwarded, const struct address *address,
                const struct networks *proxies)
{
    forwarded->client = *address;
    forwarded->named++;
    return forwarded->named < FORWARDED_HOPS_MAX && networks_have(proxies, address);
}

static void read_standard(struct forwarded *forwarded, const struct http_request *req,
                          const struct networks *proxies)
{
    struct walk walk = walk_begin(req, "Forwarded", 1);
    struct slice element;
    struct address address;
    struct hop hop;

    while (prev_element(&walk, &element)) {
        if (read_hop(element, &hop) < 0)
            return;
        forwarded->is_https = (int8_t)parse_proto(hop.proto); /* also of one that it hides */
        if (parse_node(hop.node, &address) < 0 || !take(forwarded, &address, proxies))
            return;
    }
}

/* What the hops-th proxy from the right says; where they hand on what one of them has said,
 * that word is for all. */
static int read_proto(const struct http_request *req, unsigned hops)
{
    struct walk walk = walk_begin(req, "X-Forwarded-Proto", 0);
    struct slice element, last = {NULL, 0};

    while (prev_element(&walk, &element)) {
        last = element;
        if (hops-- <= 1)
            break;
    }
    return parse_proto(last);
}

static void read_x(struct forwarded *forwarded, const struct http_request *req,
                   const struct networks *proxies)
{
    struct walk walk = walk_begin(req, "X-Forwarded-For", 0);
    struct slice element;
    struct address address;
    unsigned hops = 0;

    while (prev_element(&walk, &element)) {
        hops++;
        if (parse_node(element, &address) < 0 || !take(forwarded, &address, proxies))
            break;
    }
    forwarded->is_https = (int8_t)read_proto(req, hops);
}

void forwarded_read(struct forwarded *forwarded, const struct http_request *req,
                    enum forwarded_header header, const struct networks *proxies,
                    const struct address *peer)
{
    int is_x = header == FORWARDED_X_FOR ||
               (header == FORWARDED_EITHER && (http_header(req, "X-Forwarded-For") != NULL ||
                                               http_header(req, "Forwarded") == NULL));

    *forwarded = (struct forwarded){.client = *peer, .is_https = -1};
    if (is_x)
        read_x(forwarded, req, proxies);
    else
        read_standard(forwarded, req, proxies);
}
