/* stranger - sessions that have no good token yet, and the connections that carry them.
 *
 * A session is a user's from session_known() on, unless it is refused.  A connection is
 * what the session is that it carries, and stays that until its next request is
 * another's.  Where they stand among all others, and who goes, is net's. */
#include "eio/polling.h"

/* Sessions opened over one connection that have no good token: a proxy has many clients
 * on one, a flood has no more of the places than that. */
#define OPENED_MAX  64
#define OPENED_MIN  4
#define OPENED_PART 16 /* of the places */

static enum stranger_kind kind_of(const struct session *session)
{
    return session->polling != NULL ? STRANGER_POLLING : STRANGER_WEBSOCKET;
}

/* --- connections --- */

/* What conn carries is a stranger, or not. */
static void conn_is(struct conn *conn, int stranger)
{
    conn->stranger = stranger != 0;
    stranger_conn(conn);
}

void stranger_carry(struct conn *conn, struct session *session)
{
    conn->owner = session;
    conn->paired = session->ws == conn;
    conn_is(conn, session->stranger);
}

void stranger_served(struct conn *conn, uint64_t handle)
{
    const struct session *session = session_find(eio_of(conn), handle);

    if (session != NULL)
        conn_is(conn, session->stranger);
}

/* --- sessions opened over one connection --- */

static void opened_remove(struct session *session)
{
    struct polling *polling = session->polling;
    struct conn *conn = polling->opener;

    if (conn == NULL)
        return;
    polling->opener = NULL;
    polling->opened_older->polling->opened_newer = polling->opened_newer;
    polling->opened_newer->polling->opened_older = polling->opened_older;
    if (conn->opened == session)
        conn->opened = polling->opened_newer;
    if (--conn->nopened > 0)
        return;
    conn->opened = NULL;
    stranger_conn(conn);
}

static void opened_add(struct conn *conn, struct session *session)
{
    struct polling *polling = session->polling;
    struct session *oldest = conn->opened;

    polling->opener = conn;
    polling->opened_newer = polling->opened_older = session;
    if (oldest != NULL) { /* a ring: before the oldest is the newest */
        polling->opened_newer = oldest;
        polling->opened_older = oldest->polling->opened_older;
        polling->opened_older->polling->opened_newer = session;
        oldest->polling->opened_older = session;
    } else {
        conn->opened = session;
    }
    conn->nopened++;
    stranger_conn(conn);
}

void stranger_conn_gone(struct conn *conn)
{
    while (conn->opened != NULL)
        opened_remove(conn->opened);
}

/* Of its own, for it may be one client among many that come through a proxy. */
struct session *stranger_opened(struct conn *conn, struct session *session)
{
    struct eio *eio = session->eio;
    size_t max = net_places_max(eio->net) / OPENED_PART;
    uint64_t times;
    char address[ADDRESS_TEXT_MAX];

    if (max < OPENED_MIN || max > OPENED_MAX)
        max = max < OPENED_MIN ? OPENED_MIN : OPENED_MAX;
    if (!session->stranger)
        return NULL;
    opened_add(conn, session);
    if (conn->nopened <= max)
        return NULL;
    times = log_due(&eio->opened_log, FULL_LOG_MS);
    if (times > 0)
        log_event(WARN, "strangers_on_connection",
                  "too many sessions without a good token over one connection[: sessions={}]; "
                  "for each that comes the oldest is closed[: address={} times={}]",
                  LOG_UINT("sessions", max), LOG_STR("address", conn_peer_text(conn, address)),
                  LOG_TIMES(times));
    return conn->opened;
}

/* --- sessions --- */

void stranger_asked(const struct conn *conn, struct session *session)
{
    struct net *net = session->eio->net;

    stranger_remove(net, kind_of(session), &session->age);
    tally_session(net, &session->age, conn);
    stranger_add(net, kind_of(session), &session->age);
}

/* What it is has changed, and so its connections have. */
static void tell_conns(const struct session *session)
{
    const struct polling *polling = session->polling;
    struct conn *conns[] = {session->ws, polling ? polling->get : NULL,
                            polling ? polling->post : NULL, polling ? polling->probe : NULL};

    for (size_t i = 0; i < sizeof(conns) / sizeof(conns[0]); i++)
        if (conns[i] != NULL)
            conn_is(conns[i], session->stranger);
}

void session_unknown(struct session *session)
{
    if (session->stranger)
        return;
    session->stranger = 1;
    stranger_add(session->eio->net, kind_of(session), &session->age);
    tell_conns(session);
}

void session_known(struct session *session)
{
    struct conn *opener = session->polling != NULL ? session->polling->opener : NULL;

    if (!session->stranger)
        return;
    session->stranger = 0;
    stranger_remove(session->eio->net, kind_of(session), &session->age);
    tell_conns(session);
    if (opener == NULL)
        return;
    opened_remove(session);
    if (opener->owner == NULL) /* it waits there for its next GET */
        conn_is(opener, 0);
}

void stranger_upgraded(struct session *session)
{
    struct net *net = session->eio->net;

    opened_remove(session);
    if (session->stranger) {
        stranger_remove(net, STRANGER_POLLING, &session->age);
        stranger_add(net, STRANGER_WEBSOCKET, &session->age);
    }
    stranger_carry(session->ws, session);
}

void stranger_session_gone(struct session *session)
{
    if (session->polling != NULL)
        opened_remove(session);
    if (session->stranger)
        stranger_remove(session->eio->net, kind_of(session), &session->age);
    session->stranger = 0;
    tally_session_gone(session->eio->net, &session->age);
}
