/* forwarded - whose request it is that a proxy passes on.
 *
 * A proxy keeps its connections, and each request on one may be another client's: each says
 * anew whose it is, and one that does not say is the proxy's own.  Who is believed is whoever
 * the connection itself is of: the peer, or the one that a PROXY header names, which is
 * another proxy where there is a chain of them. */
#include "codec/forwarded.h"
#include "http/http.h"

/* Where the connection comes from is own then. */
static int is_proxys(const struct conn *conn, struct address *own)
{
    const struct networks *proxies = conn->net->options.proxies;

    if (proxies == NULL || (proxies->n == 0 && !proxies->unix_too))
        return 0; /* most often: without a system call */
    (void)conn_own_peer(conn, own);
    return networks_have(proxies, own);
}

int forwarded_request(struct conn *conn, const struct http_request *req)
{
    struct forwarded forwarded;
    struct address own;
    int secure;

    if (!is_proxys(conn, &own)) {
        conn_relay_end(conn);
        hint_forwarded(conn, req);
        return 0;
    }
    forwarded_read(&forwarded, req, http_of(conn)->options.proxy_header, conn->net->options.proxies,
                   &own);
    secure = forwarded.is_https >= 0 ? forwarded.is_https : conn_own_secure(conn);
    return conn_relay(conn, &forwarded.client, secure);
}
