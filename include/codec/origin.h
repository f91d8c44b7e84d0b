/* origin - the page that a request came from (RFC 6454), as browsers say it. */
#ifndef CODEC_ORIGIN_H
#define CODEC_ORIGIN_H

#include "codec/http.h"

enum origin {
    ORIGIN_ABSENT,  /* no Origin header: no browser */
    ORIGIN_HOST,    /* the host and port that the request was sent to */
    ORIGIN_LISTED,  /* in the list by its name */
    ORIGIN_ANY,     /* not, but "*" or a pattern in the list lets it in */
    ORIGIN_FOREIGN, /* none of these; "null" too, unless that is listed */
};

/* Judges the Origin header.  list is NULL-terminated, or NULL: empty.  Names are
 * compared in any case.  A "*." before the host's name stands for any names in
 * front of it ("https", then "*.example.com"), one or more.  A port left out is the scheme's on
 * both sides: behind a proxy that ends TLS, Host has none, and which scheme the browser used is
 * known only from Origin. */
enum origin origin_judge(const struct http_request *req, char *const *list);

/* 1 if what a browser adds unasked, such as a cookie, may count in req: no page made it, or
 * one that may act for its user.  Sec-Fetch-Site (Fetch Metadata) says which that is where it
 * is there; it also comes with requests that carry no Origin, as those of a <script>:
 *
 *   same-origin, none    yes, also where a proxy has changed Host
 *   any other            an origin that is listed by its name
 *   absent               Origin absent, the host itself, or listed by its name */
int origin_trusted(const struct http_request *req, char *const *list);

#endif
