/* counters - what workers count, in one table: the order on the pipe
 * (MSG_COUNTERS), how it is summed, and what it is called in Prometheus' text form.
 *
 * A family is one or more values with a name; labels tell them apart.  Totals only
 * grow while a worker lives, gauges are of now.  A histogram is its buckets (each
 * alone, base/latency.h) and the sum, in microseconds. */
#ifndef IPC_COUNTERS_H
#define IPC_COUNTERS_H

#include "base/buf.h"
#include "base/latency.h"
#include "codec/eio.h"
#include "codec/http.h"
#include "codec/token.h"
#include "ipc/msg.h"

#include <stdint.h>

enum { COUNTERS_REASONS = 17 };  /* enum close_reason */
enum { COUNTERS_STRANGERS = 3 }; /* enum stranger_kind */
enum { COUNTERS_MEMBERS = 2 };   /* enum source_member */
enum { COUNTERS_TLS = 13 };      /* enum tls_fault */
enum { COUNTERS_PROXY = 5 };     /* enum proxy_refusal */
/* What came of a renewal, beside enum token_result. */
enum { RENEWAL_OTHER_USER = TOKEN_RESULTS, RENEWAL_RATE, RENEWAL_RESULTS };
/* "ok", or the code that the client is told. */
const char *renewal_code(unsigned result);

/* Why a client is not in a room that it was told to join, or in one that it was told to
 * leave. */
enum room_refusal { ROOM_LIMIT, ROOM_NAME, ROOM_NO_MEMORY, ROOM_REFUSALS };

/* What came of a client's claim to its session: it was told that it has it; the claim is no pid
 * or no offset; what it missed does not fit into limits:sendBuffer; the history has lost some of
 * it; there was no memory. */
enum replay_result {
    REPLAY_RECOVERED,
    REPLAY_MALFORMED,
    REPLAY_UNFIT,
    REPLAY_OVERRUN,
    REPLAY_NO_MEMORY,
    REPLAY_RESULTS
};

/* Why an acknowledgement was dropped: nothing waits for it under its id (any more); its client
 * has sent one, or has not got what it acknowledges; it has more placeholders than
 * attachments; it is too large; too much waits for the master, or for attachments. */
enum ack_drop {
    ACK_LATE,
    ACK_SECOND,
    ACK_FOREIGN,
    ACK_MALFORMED,
    ACK_TOO_LARGE,
    ACK_QUEUE_FULL,
    ACK_NO_ROOM,
    ACK_DROPS
};

/* X(id, values, type, label, name, help) */
#define COUNTER_FAMILIES(X)                                                                        \
    X(ACCEPTED, 1, TOTAL, NONE, "connections_accepted_total",                                      \
      "Connections accepted from clients.")                                                        \
    X(ACCEPT_FAILURES, 1, TOTAL, NONE, "accept_failures_total",                                    \
      "Times that accepting failed for want of descriptors or memory.")                            \
    X(CONNECTIONS, 1, GAUGE, NONE, "connections", "Connections that are open.")                    \
    X(LIMIT, 1, GAUGE, NONE, "connections_limit",                                                  \
      "Connections, and sessions, that may be open: limits:connections of each worker.")           \
    X(FULL, 1, GAUGE, NONE, "connections_full",                                                    \
      "1 while users have all of them and the worker takes nobody; in the sum, how many workers "  \
      "do not.")                                                                                   \
    X(STRANGERS, COUNTERS_STRANGERS, GAUGE, STRANGER, "strangers",                                 \
      "Places of those that have no good token yet, by what holds them: a socket, a session that " \
      "polls, or a WebSocket with its session.")                                                   \
    X(STRANGERS_LIMIT, 1, GAUGE, NONE, "strangers_limit",                                          \
      "Places that there are for them: limits:strangers of each worker.")                          \
    X(STRANGERS_FULL, 1, GAUGE, NONE, "strangers_full",                                            \
      "1 while all of these are taken and whoever comes takes that of another; in the sum, how "   \
      "many workers that holds for.")                                                              \
    X(EVICTED, COUNTERS_STRANGERS, TOTAL, STRANGER, "strangers_evicted_total",                     \
      "Strangers closed for others that came, by kind.")                                           \
    X(TURNED_AWAY, COUNTERS_MEMBERS, TOTAL, MEMBER, "address_refused_total",                       \
      "Connections closed, or sessions refused, since their address has as many as "               \
      "limits:connectionsPerAddress allows.")                                                      \
    X(TLS_CONNECTIONS, 1, GAUGE, NONE, "tls_connections",                                          \
      "Connections that are open and speak TLS, their handshake done.")                            \
    X(TLS_HANDSHAKES, 4, TOTAL, TLS, "tls_handshakes_total",                                       \
      "TLS handshakes that were completed, by version, and whether a session was resumed.")        \
    X(TLS_FAILURES, COUNTERS_TLS, TOTAL, TLS_FAULT, "tls_failures_total",                          \
      "Connections on which TLS came to nothing, in the handshake or later, by reason.")           \
    X(PROXY_HEADERS, 2, TOTAL, PROXY_VERSION, "proxy_headers_total",                               \
      "PROXY headers taken, by the version of the protocol.")                                      \
    X(PROXY_REFUSED, COUNTERS_PROXY, TOTAL, PROXY, "proxy_refused_total",                          \
      "Connections closed on listeners with proxyProtocol before a PROXY header was through, by "  \
      "reason.")                                                                                   \
    X(SESSIONS, 4, GAUGE, TRANSPORT, "sessions",                                                   \
      "Engine.IO sessions by transport and protocol revision.")                                    \
    X(OPENED, 4, TOTAL, TRANSPORT, "sessions_opened_total",                                        \
      "Engine.IO sessions opened, by the transport they began with and protocol revision.")        \
    X(CLOSED, COUNTERS_REASONS, TOTAL, REASON, "sessions_closed_total",                            \
      "Engine.IO sessions that ended, by reason.")                                                 \
    X(CLIENTS, 1, GAUGE, NONE, "clients", "Clients that are in the namespace.")                    \
    X(JOINING, 1, GAUGE, NONE, "clients_joining",                                                  \
      "Clients with a good token that wait for the master's answer.")                              \
    X(CATCHING, 1, GAUGE, NONE, "clients_catching_up",                                             \
      "Clients that have their session back and are still to get some of what they missed.")       \
    X(REPLAYS, REPLAY_RESULTS, TOTAL, REPLAY, "replays_total",                                     \
      "Clients that came to a worker for their session and what they missed, by result; those "    \
      "that the master has refused are counted there.")                                            \
    X(REPLAYED, 1, TOTAL, NONE, "replayed_total",                                                  \
      "Notifications queued for a client that had missed them.")                                   \
    X(CONNECTS, 1, TOTAL, NONE, "connects_total", "Clients let into the namespace.")               \
    X(DISCONNECTS, COUNTERS_REASONS, TOTAL, REASON, "disconnects_total",                           \
      "Clients that were in the namespace and are not any more, by reason.")                       \
    X(REFUSED, TOKEN_RESULTS, TOTAL, REFUSAL, "refusals_total",                                    \
      "Clients refused by their token or by a limit, by the code that they were told.")            \
    X(RENEWALS, RENEWAL_RESULTS, TOTAL, RENEWAL, "token_renewals_total",                           \
      "Tokens that clients sent in place of their first, by result: ok, or the code of the "       \
      "refusal.")                                                                                  \
    X(REQUESTS, 1, TOTAL, NONE, "http_requests_total", "HTTP requests whose head was understood.") \
    X(HTTP, HTTP_ERROR_KINDS, TOTAL, STATUS, "http_errors_total",                                  \
      "HTTP requests answered with an error, by status.")                                          \
    X(ENGINEIO, EIO_ERRORS, TOTAL, EIO_ERROR, "engineio_errors_total",                             \
      "Those of the HTTP errors that carry an Engine.IO error, by error.")                         \
    X(UPGRADES, 2, TOTAL, RESULT, "upgrades_total",                                                \
      "Attempts of polling sessions to become WebSockets, by result.")                             \
    X(HANDOFFS, 2, TOTAL, RESULT, "handoffs_total",                                                \
      "Connections that a worker had to pass to another, which has their session or takes new "    \
      "ones, by result; failed: nobody took it and the client was refused.")                       \
    X(TAKEN, 2, TOTAL, RESULT, "handoffs_received_total",                                          \
      "Connections that came from another worker, by result; failed: lost for want of a "          \
      "descriptor or memory.")                                                                     \
    X(CARRIED, 1, GAUGE, NONE, "carried_connections",                                              \
      "Connections over TLS whose bytes a worker carries to another, which serves them.")          \
    X(CARRIES, 1, TOTAL, NONE, "carried_connections_total",                                        \
      "Connections that came to be carried.")                                                      \
    X(CARRIED_BYTES, 2, TOTAL, DIRECTION, "carried_bytes_total",                                   \
      "Bytes carried, without those of TLS, by direction: in, from clients, or out.")              \
    X(CARRY_FAILURES, 1, TOTAL, NONE, "carry_failures_total",                                      \
      "Connections that could not be carried for want of descriptors or memory: the client was "   \
      "refused.")                                                                                  \
    X(BROADCASTS, 1, TOTAL, NONE, "broadcasts_total", "Notifications received from the master.")   \
    X(ACKED, 1, TOTAL, NONE, "broadcasts_with_acks_total",                                         \
      "Those of them that clients are to acknowledge.")                                            \
    X(ACKS_WAITING, 1, GAUGE, NONE, "broadcasts_waiting_for_acks",                                 \
      "Notifications whose acknowledgements are waited for.")                                      \
    X(ACKS_UNAWAITED, 1, TOTAL, NONE, "acks_unawaited_total",                                      \
      "Clients whose acknowledgement of such a notification is not waited for, since too many "    \
      "are.")                                                                                      \
    X(ACKS, 1, TOTAL, NONE, "acks_total", "Acknowledgements of clients passed on to the master.")  \
    X(ACKS_DROPPED, ACK_DROPS, TOTAL, ACK_DROP, "acks_dropped_total",                              \
      "Acknowledgements of clients that were not, by reason.")                                     \
    X(DELIVERIES, 1, TOTAL, NONE, "deliveries_total", "Notifications queued for a client.")        \
    X(SKIPPED, 1, TOTAL, NONE, "deliveries_skipped_total",                                         \
      "Volatile notifications not queued for a client that had output waiting.")                   \
    X(DROPPED, COUNTERS_REASONS, TOTAL, REASON, "deliveries_dropped_total",                        \
      "Notifications not queued for a client, by the reason for which it is being disconnected.")  \
    X(RECEIVED, 1, TOTAL, NONE, "received_bytes_total", "Bytes read from clients.")                \
    X(SENT, 1, TOTAL, NONE, "sent_bytes_total", "Bytes written to clients.")                       \
    X(WRITES, 1, TOTAL, NONE, "socket_writes_total",                                               \
      "Writes to clients' sockets that took something.")                                           \
    X(QUEUED, 1, GAUGE, NONE, "output_queue_bytes", "Output that waits for clients.")              \
    X(MEMORY, 1, GAUGE, NONE, "output_memory_bytes",                                               \
      "Memory that holds output, which clients may share, and what they have read of it.")         \
    X(DISCARDED, COUNTERS_REASONS, TOTAL, REASON, "output_discarded_bytes_total",                  \
      "Output that was waiting for a client when its connection or session ended, by reason.")     \
    X(ROOMS, 1, GAUGE, NONE, "rooms",                                                              \
      "Rooms with a member; in the sum, a room counts once for each worker that has members.")     \
    X(ROOMS_JOINED, 1, TOTAL, NONE, "rooms_joined_total",                                          \
      "Rooms that clients joined by request, or with a new token.")                                \
    X(ROOMS_LEFT, 1, TOTAL, NONE, "rooms_left_total",                                              \
      "Rooms that clients left by request, or with a new token.")                                  \
    X(ROOMS_REFUSED, ROOM_REFUSALS, TOTAL, ROOM, "rooms_refused_total",                            \
      "Rooms that clients were told to join, or to leave, and did not, by reason.")                \
    X(FETCHES, 2, TOTAL, RESULT, "fetches_total",                                                  \
      "Questions of the master about clients, for other servers, by result; failed: answered "     \
      "with nobody, for there were too many at once, or no memory.")                               \
    X(LOG_LOST, 1, TOTAL, NONE, "log_lines_lost_total",                                            \
      "Log lines of workers that could not be written.")                                           \
    X(LATENCY, LATENCY_BUCKETS + 1, HISTOGRAM, NONE, "delivery_latency_seconds",                   \
      "Time from the master's reading a notification from redis to a worker's write to a "         \
      "client's socket; for a client that polls and was away, from its next GET. A full "          \
      "connection counts. One observation for each write that carries notifications, of the "      \
      "oldest in it.")

enum counter {
#define COUNTER_ENUM(id, n, type, label, name, help)                                               \
    COUNTER_##id, COUNTER_##id##_LAST = COUNTER_##id + (n)-1,
    COUNTER_FAMILIES(COUNTER_ENUM)
#undef COUNTER_ENUM
        COUNTERS /* how many values there are */
};

struct counters {
    uint64_t at[COUNTERS];
};

enum counter_type { COUNTER_TOTAL, COUNTER_GAUGE, COUNTER_HISTOGRAM };

struct counter_family {
    const char *name, *help; /* name without its prefix */
    enum counter_type type;
    unsigned first, n; /* its values: at[first] ... */
    /* Labels of value i of n as name="value",name="value"; NULL: none.  A histogram's
     * buckets have theirs from base/latency.h. */
    const char *(*label)(unsigned i);
};

enum {
#define COUNTER_FAMILY(id, n, type, label, name, help) COUNTER_FAMILY_##id,
    COUNTER_FAMILIES(COUNTER_FAMILY)
#undef COUNTER_FAMILY
        COUNTER_FAMILY_COUNT
};
extern const struct counter_family counter_families[COUNTER_FAMILY_COUNT];

/* Appends a whole MSG_COUNTERS.  Returns 0, or -1 without memory (out is as it was). */
int counters_put(struct buf *out, uint32_t id, const struct counters *counters);

/* Reads one.  Returns 0, or -1 if it is malformed. */
int counters_get(struct msg *msg, uint32_t *id, struct counters *counters);

/* Adds one worker's values to a sum. */
void counters_add(struct counters *sum, const struct counters *one);

/* The same of a worker that has gone: its gauges count no more. */
void counters_add_totals(struct counters *sum, const struct counters *gone);

#endif
