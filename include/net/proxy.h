/* proxy - what stands in front of the bytes of a connection where a listener expects it: whose
 * they are, as a PROXY header says it (codec/proxyline.h).
 *
 * Only those are heard that are in net_options.proxies; another, one who says something else
 * first, or nothing whole in time, is closed, counted, and named in the log.  Who closes
 * without having said a byte, or resets the connection before it is read, has only looked
 * whether we are there. */
#ifndef NET_PROXY_H
#define NET_PROXY_H

struct conn;

/* A PROXY header comes first on conn, which has no veil; behind it whatever else the bits of
 * enum net_speaks name.  Returns 0, or -1 without memory. */
int proxy_begin(struct conn *conn, unsigned speaks);

#endif
