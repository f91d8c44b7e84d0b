/* stranger - those that have no good token yet, and how much they may take.
 *
 * A place is what somebody holds who may be nobody: a connection, or a session that
 * polls, which needs no connection; a WebSocket and its session are one.  Strangers have
 * options.strangers_max of them.  When more come the oldest goes, of the kind that has
 * most, so that a flood of one kind leaves the others alone, and who has come as far as
 * a session does not fall to sockets that say nothing.
 *
 * A session is a user's from session_known() on, unless it is refused.  A connection is
 * what the session is that it carries, and stays that until its next request is
 * another's.  No place of a user is ever taken.
 *
 * Beside that connections_max holds, for connections and for sessions: strangers have
 * what users leave of it. */
#include "base/address.h"
#include "engine/state.h"

#include <assert.h>

#define EVICT_SLICE 256 /* places taken before the loop gets its turn */

/* Sessions opened over one connection that have no good token: a proxy has many clients
 * on one, a flood has no more of the places than that. */
#define OPENED_MAX  64
#define OPENED_MIN  4
#define OPENED_PART 16 /* of the places */

#define SEND_PART         10 /* of send_buffer */
#define SEND_MIN_BYTES    4096
#define MESSAGE_PART      10 /* of max_payload */
#define MESSAGE_MIN_BYTES 100000

/* How a connection counts. */
enum place {
    PLACE_NONE,   /* a user's, or with the WebSocket's session */
    PLACE_OWN,    /* may go by itself */
    PLACE_CARRIES /* with the session of its request, or those that were opened over it */
};

/* --- lists, in order of age --- */

static void list_add(struct stranger_list *list, struct stranger *stranger)
{
    stranger->newer = &list->ends;
    stranger->older = list->ends.older;
    stranger->older->newer = stranger;
    list->ends.older = stranger;
    list->n++;
}

static void list_remove(struct stranger_list *list, struct stranger *stranger)
{
    stranger->older->newer = stranger->newer;
    stranger->newer->older = stranger->older;
    list->n--;
}

static struct conn *oldest_conn(const struct engine *engine)
{
    struct stranger *oldest = engine->strangers[STRANGER_SOCKET].ends.newer;

    return (struct conn *)(void *)((char *)oldest - offsetof(struct conn, age));
}

static struct session *oldest_session(const struct engine *engine, enum engine_stranger kind)
{
    struct stranger *oldest = engine->strangers[kind].ends.newer;

    return (struct session *)(void *)((char *)oldest - offsetof(struct session, age));
}

void stranger_init(struct engine *engine)
{
    for (int i = 0; i < ENGINE_STRANGERS; i++) {
        struct stranger *ends = &engine->strangers[i].ends;
        *ends = (struct stranger){ends, ends};
    }
}

/* --- how many there are, and may be --- */

static size_t places(const struct engine *engine)
{
    const uint64_t *n = engine->stats.strangers;

    return n[STRANGER_SOCKET] + n[STRANGER_POLLING] + n[STRANGER_WEBSOCKET];
}

static size_t places_max(const struct engine *engine)
{
    size_t max = engine->options.strangers_max;

    return max != 0 ? max : SIZE_MAX;
}

static int has_conns(const struct engine *engine)
{
    const uint64_t *n = engine->stats.strangers;

    return n[STRANGER_SOCKET] + n[STRANGER_WEBSOCKET] > 0;
}

static int has_sessions(const struct engine *engine)
{
    const uint64_t *n = engine->stats.strangers;

    return n[STRANGER_POLLING] + n[STRANGER_WEBSOCKET] > 0;
}

int stranger_conns_full(const struct engine *engine)
{
    return engine->nconns >= engine->options.connections_max && !has_conns(engine);
}

int stranger_sessions_full(const struct engine *engine)
{
    return engine->nsessions >= engine->options.connections_max && !has_sessions(engine);
}

int engine_is_full(const struct engine *engine)
{
    return !engine->stopped && (stranger_conns_full(engine) || stranger_sessions_full(engine));
}

int engine_strangers_full(const struct engine *engine)
{
    return !engine->stopped && places(engine) >= places_max(engine);
}

/* What is too many now; NOTHING if it is nothing that anybody could go for. */
enum excess { NOTHING, PLACES, CONNS, SESSIONS };

static enum excess excess(const struct engine *engine)
{
    size_t max = engine->options.connections_max;

    if (engine->nconns > max && has_conns(engine))
        return CONNS;
    if (engine->nsessions > max && has_sessions(engine))
        return SESSIONS;
    return places(engine) > places_max(engine) ? PLACES : NOTHING;
}

/* One more is there: nobody goes from here, for our caller may be using it. */
static void came(struct engine *engine)
{
    if (excess(engine) != NOTHING || !engine->accepting)
        engine_flush_later(engine);
}

/* --- connections --- */

static enum place place_of(const struct conn *conn)
{
    if (!conn->stranger || conn->state == CONN_DEAD)
        return PLACE_NONE;
    if (conn->session == NULL)
        return conn->nopened > 0 ? PLACE_CARRIES : PLACE_OWN;
    return conn->session->ws == conn ? PLACE_NONE : PLACE_CARRIES;
}

void stranger_conn(struct conn *conn)
{
    struct engine *engine = conn->engine;
    struct stranger_list *list = &engine->strangers[STRANGER_SOCKET];
    enum place place;

    if (conn->session != NULL)
        conn->stranger = conn->session->stranger;
    place = place_of(conn);
    if (place == conn->place)
        return;
    if (conn->place == PLACE_OWN)
        list_remove(list, &conn->age);
    if (place == PLACE_OWN)
        list_add(list, &conn->age);
    engine->stats.strangers[STRANGER_SOCKET] += (uint64_t)(place != PLACE_NONE);
    engine->stats.strangers[STRANGER_SOCKET] -= (uint64_t)(conn->place != PLACE_NONE);
    if (conn->place == PLACE_NONE)
        came(engine);
    conn->place = place;
}

void stranger_new_conn(struct conn *conn)
{
    conn->stranger = 1;
    stranger_conn(conn);
}

void stranger_served(struct conn *conn, uint64_t handle)
{
    const struct session *session = session_find(conn->engine, handle);

    if (session != NULL)
        conn->stranger = session->stranger;
    stranger_conn(conn);
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
    stranger_conn(conn);
}

/* --- sessions --- */

static enum engine_stranger kind_of(const struct session *session)
{
    return session->polling != NULL ? STRANGER_POLLING : STRANGER_WEBSOCKET;
}

static void session_add(struct session *session)
{
    struct engine *engine = session->engine;

    session->stranger = 1;
    list_add(&engine->strangers[kind_of(session)], &session->age);
    engine->stats.strangers[kind_of(session)]++;
}

static void session_remove(struct session *session, enum engine_stranger kind)
{
    struct engine *engine = session->engine;

    session->stranger = 0;
    list_remove(&engine->strangers[kind], &session->age);
    engine->stats.strangers[kind]--;
}

/* What it is has changed, and so its connections have. */
static void session_conns(const struct session *session)
{
    const struct polling *polling = session->polling;
    struct conn *conns[] = {session->ws, polling ? polling->get : NULL,
                            polling ? polling->post : NULL, polling ? polling->probe : NULL};

    for (size_t i = 0; i < sizeof(conns) / sizeof(conns[0]); i++)
        if (conns[i] != NULL)
            stranger_conn(conns[i]);
}

void stranger_session(struct session *session)
{
    if (session->stranger)
        return;
    session_add(session);
    session_conns(session);
    came(session->engine);
}

void session_known(struct session *session)
{
    struct conn *opener = session->polling != NULL ? session->polling->opener : NULL;

    if (!session->stranger)
        return;
    session_remove(session, kind_of(session));
    session_conns(session);
    if (opener == NULL)
        return;
    opened_remove(session);
    if (opener->session == NULL) { /* it waits there for its next GET */
        opener->stranger = 0;
        stranger_conn(opener);
    }
}

void stranger_upgraded(struct session *session)
{
    opened_remove(session);
    if (session->stranger) {
        session_remove(session, STRANGER_POLLING);
        session->stranger = 1;
        list_add(&session->engine->strangers[STRANGER_WEBSOCKET], &session->age);
        session->engine->stats.strangers[STRANGER_WEBSOCKET]++;
    }
    stranger_conn(session->ws);
}

void stranger_session_gone(struct session *session)
{
    if (session->polling != NULL)
        opened_remove(session);
    if (session->stranger)
        session_remove(session, kind_of(session));
}

/* --- who goes --- */

/* conn NULL: not known. */
static const char *peer_text(const struct conn *conn, char dst[ADDRESS_TEXT_MAX])
{
    struct address address;

    if (conn == NULL)
        return "unknown";
    address_of_peer(&address, conn->fd);
    return address_text(&address, dst);
}

/* A connection of it, for its address; NULL: there is none now. */
static const struct conn *conn_of(const struct session *session)
{
    const struct polling *polling = session->polling;

    if (polling == NULL)
        return session->ws;
    if (polling->get != NULL)
        return polling->get;
    return polling->post != NULL ? polling->post : polling->opener;
}

static void evict_conn(struct conn *conn)
{
    conn->engine->stats.strangers_evicted[STRANGER_SOCKET]++;
    conn_kill(conn, CLOSE_EVICTED, conn->out.bytes > 0);
}

/* At once, without a word, and with all its connections: they hold places, too. */
static void evict_session(struct session *session)
{
    struct engine *engine = session->engine;
    struct polling *polling = session->polling;

    engine->stats.strangers_evicted[kind_of(session)]++;
    if (polling == NULL) {
        conn_kill(session->ws, CLOSE_EVICTED, session->ws->out.bytes > 0);
        return;
    }
    struct conn *conns[] = {polling->get, polling->post, polling->probe};
    engine->stats.upgrades_failed += polling->probe != NULL;
    polling->get = polling->post = polling->probe = NULL;
    for (size_t i = 0; i < sizeof(conns) / sizeof(conns[0]); i++)
        if (conns[i] != NULL)
            conns[i]->session = NULL;
    session_end(session, CLOSE_EVICTED);
    for (size_t i = 0; i < sizeof(conns) / sizeof(conns[0]); i++)
        if (conns[i] != NULL)
            conn_kill(conns[i], CLOSE_EVICTED, conns[i]->out.bytes > 0);
}

/* An answer may still be leaving on it to a session that has become a user's. */
static int is_users(struct conn *conn)
{
    const struct session *session = session_find(conn->engine, conn->polled);

    if (session == NULL || session->stranger)
        return 0;
    conn->stranger = 0;
    stranger_conn(conn);
    return 1;
}

/* The kind that has most; of connections, where that is what there are too many of. */
static enum engine_stranger kind_to_go(const struct engine *engine, enum excess what)
{
    const struct stranger_list *lists = engine->strangers;
    size_t sockets = lists[STRANGER_SOCKET].n, polling = lists[STRANGER_POLLING].n,
           websocket = lists[STRANGER_WEBSOCKET].n;

    if (what == SESSIONS)
        sockets = 0;
    if (what == CONNS && sockets + websocket > 0)
        polling = 0;
    if (polling > 0 && polling >= websocket && polling >= sockets)
        return STRANGER_POLLING;
    return websocket > 0 && websocket >= sockets ? STRANGER_WEBSOCKET : STRANGER_SOCKET;
}

static void evict_log(struct engine *engine, enum excess what, const struct conn *conn)
{
    const uint64_t *n = engine->stats.strangers;
    uint64_t times = log_due(&engine->strangers_log, FULL_LOG_MS);
    char address[ADDRESS_TEXT_MAX];

    if (times == 0)
        return;
    log_warnx("limits:%s reached: sockets=%llu polling=%llu websocket=%llu without a good token; "
              "for each that comes the oldest is closed: address=%s times=%llu",
              what == PLACES ? "strangers" : "connections", (unsigned long long)n[STRANGER_SOCKET],
              (unsigned long long)n[STRANGER_POLLING], (unsigned long long)n[STRANGER_WEBSOCKET],
              peer_text(conn, address), (unsigned long long)times);
}

static void evict(struct engine *engine, enum excess what)
{
    enum engine_stranger kind = kind_to_go(engine, what);

    assert(engine->strangers[kind].n > 0);
    if (kind != STRANGER_SOCKET) {
        struct session *session = oldest_session(engine, kind);
        evict_log(engine, what, conn_of(session));
        evict_session(session);
    } else {
        struct conn *conn = oldest_conn(engine);
        if (is_users(conn))
            return;
        evict_log(engine, what, conn);
        evict_conn(conn);
    }
}

void stranger_trim(struct engine *engine)
{
    enum excess what;

    for (int n = 0; (what = excess(engine)) != NOTHING; n++) {
        if (n == EVICT_SLICE) {
            engine_flush_later(engine);
            return;
        }
        evict(engine, what);
    }
    if (engine->accepting == stranger_conns_full(engine)) /* users have come, or one has gone */
        accept_again(engine);
}

/* Of its own, for it may be one client among many that come through a proxy. */
void stranger_opened(struct conn *conn, struct session *session)
{
    struct engine *engine = conn->engine;
    size_t max = places_max(engine) / OPENED_PART;
    uint64_t times;
    char address[ADDRESS_TEXT_MAX];

    if (max < OPENED_MIN || max > OPENED_MAX)
        max = max < OPENED_MIN ? OPENED_MIN : OPENED_MAX;
    if (!session->stranger)
        return;
    opened_add(conn, session);
    if (conn->nopened <= max)
        return;
    times = log_due(&engine->opened_log, FULL_LOG_MS);
    if (times > 0)
        log_warnx("too many sessions without a good token over one connection: sessions=%zu; "
                  "for each that comes the oldest is closed: address=%s times=%llu",
                  max, peer_text(conn, address), (unsigned long long)times);
    evict_session(conn->opened);
}

/* --- what one may hold --- */

static size_t part(size_t of, size_t divisor, size_t min)
{
    size_t n = of / divisor > min ? of / divisor : min;

    return n < of ? n : of;
}

size_t stranger_send_buffer(const struct engine *engine)
{
    return part(engine->options.send_buffer, SEND_PART, SEND_MIN_BYTES);
}

size_t stranger_message_max(const struct engine *engine)
{
    return part(engine->options.max_payload, MESSAGE_PART, MESSAGE_MIN_BYTES);
}
