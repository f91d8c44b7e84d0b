#include "codec/origin.h"

#include <ctype.h>

/* Splits "host[:port]"; *port is fallback if there is none.  Returns 0 or -1. */
static int split_authority(struct slice text, long fallback, struct slice *host, long *port)
{
    size_t i = text.len;

    while (i > 0 && text.ptr[i - 1] >= '0' && text.ptr[i - 1] <= '9')
        i--;
    *host = text;
    *port = fallback;
    if (i == 0 || text.ptr[i - 1] != ':' || i == text.len)
        return 0; /* no port, or (as nobody sends it) an empty one */
    host->len = i - 1;
    if (text.len - i > 5)
        return -1;
    *port = 0;
    for (; i < text.len; i++)
        *port = *port * 10 + (text.ptr[i] - '0');
    return 0;
}

static int is_host(struct slice origin, const struct http_request *req)
{
    const struct http_header *host = http_header(req, "host");
    struct slice name[2];
    long port[2], fallback;

    if (host == NULL || host->value.len == 0)
        return 0;
    if (slice_skip_nocase(&origin, SLICE("http://")))
        fallback = 80;
    else if (slice_skip_nocase(&origin, SLICE("https://")))
        fallback = 443;
    else
        return 0;
    return split_authority(origin, fallback, &name[0], &port[0]) == 0 &&
           split_authority(host->value, fallback, &name[1], &port[1]) == 0 && port[0] == port[1] &&
           slice_eq_nocase(name[0], name[1]);
}

/* A pattern (the header says how it looks): any name below its host, at any depth. */
static int is_below(struct slice origin, struct slice pattern)
{
    const char *star = memchr(pattern.ptr, '*', pattern.len);
    struct slice head, tail, name;

    if (star == NULL)
        return 0;
    head = (struct slice){pattern.ptr, (size_t)(star - pattern.ptr)};
    tail = (struct slice){star + 1, pattern.len - head.len - 1};
    if (!slice_skip_nocase(&origin, head) || origin.len <= tail.len)
        return 0;
    name = (struct slice){origin.ptr, origin.len - tail.len};
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '.')
            return 0;
    return slice_eq_nocase((struct slice){origin.ptr + name.len, tail.len}, tail);
}

enum origin origin_judge(const struct http_request *req, char *const *list)
{
    const struct http_header *origin = http_header(req, "origin");
    int any = 0;

    if (origin == NULL)
        return ORIGIN_ABSENT;
    if (is_host(origin->value, req))
        return ORIGIN_HOST;
    for (; list != NULL && *list != NULL; list++) {
        if (strcmp(*list, "*") == 0)
            any = 1;
        else if (slice_eq_nocase(slice_str(*list), origin->value))
            return ORIGIN_LISTED;
        else
            any |= is_below(origin->value, slice_str(*list));
    }
    return any ? ORIGIN_ANY : ORIGIN_FOREIGN;
}

int origin_trusted(const struct http_request *req, char *const *list)
{
    const struct http_header *site = http_header(req, "sec-fetch-site");
    enum origin origin = origin_judge(req, list);

    if (origin == ORIGIN_LISTED)
        return 1;
    if (site == NULL)
        return origin == ORIGIN_ABSENT || origin == ORIGIN_HOST;
    return slice_eq_nocase(site->value, SLICE("same-origin")) ||
           slice_eq_nocase(site->value, SLICE("none"));
}
