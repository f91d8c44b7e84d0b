/* tally - for which address a connection or session counts, and whether that has as many as it
 * may.
 *
 * A connection counts for limits:connectionsPerAddress where it is the client's own: not if a
 * proxy sends the requests of many over it (their sessions count), nor if another worker has it
 * and carries it here.  The place of a stranger is one of the address that is known: of a
 * relayed connection that of its last request. */
#include "net/net.h"

#define CROWD_MIN 8 /* strangers of an address that are not many yet */

/* --- connections --- */

/* That of the address; proxies have none of their own. */
static struct source *source_at(struct net *net, const struct address *peer)
{
    static const struct address none;
    const struct networks *proxies = net->options.proxies;
    int is_proxy = proxies != NULL && networks_have(proxies, peer);

    return source_take(&net->sources, is_proxy ? &none : peer);
}

static int counts(const struct conn *conn)
{
    return !conn->relayed && !conn->carried;
}

static void conn_leave(struct conn *conn)
{
    struct sources *sources = &conn->net->sources;
    struct source *source = conn->age.source;

    if (conn->tallied)
        source_go(sources, source, SOURCE_CONN);
    conn->tallied = 0;
    conn->age.source = NULL;
    source_drop(sources, source);
}

void tally_conn(struct conn *conn, const struct address *peer)
{
    struct sources *sources = &conn->net->sources;
    struct source *source = source_at(conn->net, peer), *was = conn->age.source;
    int is_listed = place_is_listed((enum place)conn->place);

    if (source == was && conn->tallied == counts(conn)) {
        source_drop(sources, source);
        return;
    }
    if (is_listed)
        source_remove(sources, STRANGER_SOCKET, &conn->age);
    if (was != NULL)
        conn_leave(conn);
    conn->age.source = source;
    conn->tallied = counts(conn) != 0;
    if (conn->tallied)
        source_come(sources, source, SOURCE_CONN);
    if (is_listed)
        source_add(sources, STRANGER_SOCKET, &conn->age);
}

void tally_conn_gone(struct conn *conn)
{
    conn_leave(conn);
}

/* --- sessions --- */

void tally_session(struct net *net, struct stranger *session, const struct conn *conn)
{
    struct sources *sources = &net->sources;

    session->source = source_hold(conn->age.source);
    source_come(sources, session->source, SOURCE_SESSION);
    source_count(sources, session->source, SOURCE_HANDSHAKES);
}

void tally_session_gone(struct net *net, struct stranger *session)
{
    struct source *source = session->source;

    if (source == NULL)
        return;
    session->source = NULL;
    source_go(&net->sources, source, SOURCE_SESSION);
    source_drop(&net->sources, source);
}

void tally_refused(struct net *net, const struct stranger *session)
{
    if (session->source != NULL)
        source_count(&net->sources, session->source, SOURCE_REFUSED);
}

void tally_tls(struct conn *conn)
{
    source_count(&conn->net->sources, conn->age.source, SOURCE_TLS);
}

int tally_is_crowd(const struct conn *conn)
{
    const struct source *source = conn->age.source;

    return source != &conn->net->sources.unknown &&
           source_strangers(source, SOURCE_PLACES) > CROWD_MIN;
}

/* --- the limit --- */

#define FULL "limits:connectionsPerAddress reached"

static int is_beyond(struct net *net, struct source *source, enum source_member what)
{
    static const struct log_entry entries[] = {
        [SOURCE_CONN] = {"address_full_connection",
                         FULL ": connection closed[: address={} times={}]"},
        [SOURCE_SESSION] = {"address_full_session",
                            FULL ": session refused with 429[: address={} times={}]"},
    };
    char address[WORST_TEXT_MAX];
    uint64_t times;

    if (!source_is_full(&net->sources, source, what))
        return 0;
    net->stats.turned_away[what]++;
    source_count(&net->sources, source, SOURCE_TURNED_AWAY);
    times = log_due(&net->beyond_log, FULL_LOG_MS);
    if (times > 0)
        log_entry_at(LOG_LEVEL_WARN, entries[what],
                     LOG_STR("address", source_text(source, address)), LOG_TIMES(times));
    return 1;
}

int tally_is_beyond(struct net *net, const struct address *peer)
{
    struct source *source = source_at(net, peer);
    int beyond = is_beyond(net, source, SOURCE_CONN);

    source_drop(&net->sources, source);
    return beyond;
}

int tally_session_is_beyond(struct net *net, const struct conn *conn)
{
    return is_beyond(net, conn->age.source, SOURCE_SESSION);
}
