/* net - all connections of a process: accepted at the pace that the workers settle among
 * them, read, written to in slices, and closed when they do not read.  No protocol.
 *
 * What stands above (HTTP) is told through conn_ops and net_ops, and never named. */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/latency.h"
#include "base/log.h"
#include "base/network.h"
#include "ipc/start.h"
#include "net/chunk.h"
#include "net/close.h"
#include "net/compact.h"
#include "net/conn.h"
#include "net/gather.h"
#include "net/tls_fault.h"
#include "net/wheel.h"

#include <event2/event_struct.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_BYTES 65536 /* read from one socket at a time */
#define VEIL_BYTES  32768 /* ... where a veil may have kept some that came before */
#define NET_VEIL_MS 5000  /* for what comes before the first byte that the speaker hears */
#define STAMP_BITS  6     /* stamps are in units of 64 us */
#define FULL_LOG_MS 60000 /* a line about a limit that is reached each so often */

/* The kernel takes this much unsent output of a client and then says EAGAIN:
 * without it, a reader that stalls ties up megabytes of kernel memory. */
#define NOTSENT_LOWAT_BYTES 16384

struct balance;
struct event_base;
struct tls_net;

struct net_options {
    struct balance *balance; /* with whom it shares its listeners; NULL: with nobody */
    uint32_t place;          /* its line in balance */
    /* Who may say whose connections and requests it passes on; NULL: nobody.  Borrowed. */
    const struct networks *proxies;
    size_t connections_max;
    /* Places for those that have no good token yet, see evict.c; 0: as many as there
     * are. */
    size_t strangers_max;
    struct census *census; /* what addresses have in other workers, at place; NULL: nothing */
    uint32_t address_max;  /* connections of one address, and sessions, in all; 0: no limit */
    size_t send_buffer;    /* bytes */
    uint32_t send_timeout_ms;
};

/* Why a connection on which a PROXY header was to come is closed: its peer is none of proxies;
 * it begins with something else; the header is malformed, too long, or never became whole. */
enum proxy_refusal {
    PROXY_UNTRUSTED,
    PROXY_ABSENT,
    PROXY_MALFORMED,
    PROXY_TOO_LONG,
    PROXY_INCOMPLETE,
    PROXY_REFUSALS
};

/* What has happened, counted where it happens by one addition. */
struct net_stats {
    uint64_t accepted;                          /* connections taken from a listening socket */
    uint64_t accept_failures;                   /* no descriptor or no memory for one */
    uint64_t strangers[STRANGER_KINDS];         /* now */
    uint64_t strangers_evicted[STRANGER_KINDS]; /* for others that came */
    uint64_t tls_handshakes[2][2];              /* done: TLS 1.2 and 1.3, in full and resumed */
    uint64_t tls_faults[TLS_FAULTS];
    uint64_t tls_connections;             /* now, with their handshakes done */
    uint64_t turned_away[SOURCE_MEMBERS]; /* beyond address_max */
    uint64_t proxy_headers[2];            /* taken, of version 1 and 2 */
    uint64_t proxy_refused[PROXY_REFUSALS];
    uint64_t bytes_received, bytes_sent;
    uint64_t writes;                         /* to a socket that took something */
    uint64_t queued_bytes;                   /* now: output that waits for clients */
    uint64_t discarded_bytes[CLOSE_REASONS]; /* output that waited when a session or connection
                                                ended, and why it did */
    /* From receipt to a socket write that carries the fan-out: one observation for each
     * write, of the oldest that it may carry. */
    struct latency latency;
};

/* From the loop: connections have gone. */
struct net_ops {
    void (*gone)(void *arg);
};

/* Of whoever has the sessions, when a place is needed. */
struct stranger_ops {
    /* 1 if conn, which is a stranger's by itself, turns out to serve a user. */
    int (*spares)(struct conn *conn, void *arg);
    /* A connection of that session, for its address; NULL: there is none now. */
    const struct conn *(*carrier)(struct stranger *stranger, void *arg);
    /* Ends that session at once, without a word, and all its connections. */
    void (*evict)(struct stranger *stranger, void *arg);
};

/* What comes first on the connections of a listening socket, below what the speaker hears. */
enum net_speaks { NET_PROXY = START_SPEAKS_PROXY, NET_TLS = START_SPEAKS_TLS };

struct listener {
    struct event ev;
    struct net *net;
    unsigned speaks; /* bits of enum net_speaks */
    struct listener *next;
};

/* Clients with output that has not been tried yet.  Those of a fan-out may be many
 * thousands; answers, and clients that are coming in, do not stand behind them. */
struct dirty {
    struct conn *first, **tail;
};

/* Those that do not read wait apart, and so do those that are to be cut off: the
 * kernel's buffers take long to fill and to give back, and many may stall together. */
enum { DIRTY_OWN, DIRTY_FANOUT, DIRTY_SLOW, DIRTY_CLOSING, DIRTIES };

struct net {
    struct event_base *base;
    struct net_options options;
    const struct net_ops *ops;
    void *arg;
    const struct conn_ops *speaker;          /* on a new connection */
    void *upper;                             /* the speaker's own, for all connections */
    uint32_t first_ms;                       /* a new connection has so long to say something */
    const struct stranger_ops *stranger_ops; /* NULL: there are no sessions */
    void *stranger_arg;

    uint64_t now_us; /* when output was last looked at: net_clock() */
    struct dirty dirty[DIRTIES];
    int fanning;              /* what is queued now is a fan-out's */
    struct gather gather;     /* the pauses between its rounds */
    struct event flush_timer; /* zero timeout: the rest of the dirty clients, the dead */
    struct net_stats stats;

    struct conn *conns, *dead;
    size_t nconns;
    size_t ncarried; /* of those, how many have a further descriptor: conn->carries */
    size_t nclients; /* sessions: those of polling live without a connection */
    int gone;        /* connections have gone, and ops is to be told */
    int draining;    /* who is closed is to hear first all that was sent to it */
    struct wheel *wheel;
    uint8_t *input;      /* INPUT_BYTES, for whoever reads now */
    struct tls_net *tls; /* net/tls.h; NULL: nobody speaks it */

    struct listener *listeners;
    struct event resume_timer; /* accepting again after a pause */
    struct event rest_timer;   /* ... after others had their turn */
    uint32_t others;           /* balance_others() when the rest began */
    int accepting, stopped;
    struct log_every emfile_log, full_log, strangers_log, beyond_log;
    struct log_every proxy_logs[PROXY_REFUSALS];

    struct sources sources;      /* by address: who is here, and its strangers */
    size_t stranger_send_buffer; /* bytes that may wait for a stranger */

    struct chunklog private_log; /* what goes to one client only */
    struct chunks chunks;        /* the blocks of this and all other logs */
    struct compact compact;
};

/* A time that fits into a connection: in units of 64 us, modulo three days, and never 0. */
static inline uint32_t stamp_of(uint64_t us)
{
    uint32_t stamp = (uint32_t)(us >> STAMP_BITS);

    return stamp != 0 ? stamp : 1;
}

/* --- net.c --- */

/* options is copied; ops and arg are borrowed.  NULL without memory. */
struct net *net_new(struct event_base *base, const struct net_options *options,
                    const struct net_ops *ops, void *arg);
/* Ends all connections; logs that are counted in chunks are gone by then. */
void net_free(struct net **net);
/* Ends all connections, and frees them: nobody refers to one any more. */
void net_kill_all(struct net *net, enum close_reason why);
/* Who speaks on new connections, and how long they have to say something. */
void net_speaks(struct net *net, const struct conn_ops *speaker, void *upper, uint32_t first_ms);
/* Who is asked when a session's place is needed; ops and arg are borrowed. */
void net_evicts(struct net *net, const struct stranger_ops *ops, void *arg);
/* All but balance, place and census come into force. */
void net_configure(struct net *net, const struct net_options *options);

/* --- dirty.c --- */

/* Reads the clock for the writes that follow. */
void net_clock(struct net *net);
/* net_flush() is called on the loop's next turn. */
void net_flush_later(struct net *net);
/* Has conn_flush called on one of the loop's next turns; what a fan-out has queued may wait
 * for a rest first (gather.h). */
void conn_dirty(struct conn *conn);

/* --- flush.c --- */

/* Writes out what has been queued, now, for a slice of the clients; the loop goes
 * on with the rest. */
void net_flush(struct net *net);
/* Not a slice, but until nothing waits to be tried. */
void net_flush_all(struct net *net);
/* Frees the dead ones, but for those that are still in a dirty list: they go when it has
 * passed them. */
void net_sweep(struct net *net);

/* --- slow.c --- */

/* Looks whether conn, which is about to be written to, reads: conn->slow says it.  A
 * system call if its output is late, else nothing.  Returns 1 if it has been set
 * blocked instead. */
int slow_blocks(struct conn *conn);

/* --- tally.c --- */

/* conn, which is new, comes from there, or does now; carried and relayed are set. */
void tally_conn(struct conn *conn, const struct address *peer);
/* conn is dead. */
void tally_conn_gone(struct conn *conn);
/* A session is asked for over conn: its place is one of that address; and its end. */
void tally_session(struct net *net, struct stranger *session, const struct conn *conn);
void tally_session_gone(struct net *net, struct stranger *session);
/* For its address: a token of that session was refused; a handshake of TLS begins on conn. */
void tally_refused(struct net *net, const struct stranger *session);
void tally_tls(struct conn *conn);
/* 1 if the address of conn is known and has many strangers. */
int tally_is_crowd(const struct conn *conn);
/* 1 if an address has as many connections as it may; that is counted, and logged. */
int tally_is_beyond(struct net *net, const struct address *peer);
/* The same of sessions, of the address of conn. */
int tally_session_is_beyond(struct net *net, const struct conn *conn);

/* --- strangers.c --- */

/* What a stranger may have of what a user may: a tenth, but min where there is as much. */
size_t stranger_part(size_t of, size_t min);
/* How conn counts may be different: its state, or whom it carries, is another. */
void stranger_conn(struct conn *conn);
/* conn has a further descriptor, of a pair over which another worker serves it, or has none
 * any more.  It is a connection more as far as limits are concerned. */
void stranger_carries(struct conn *conn, int carries);
/* A session of that kind, which is nobody's, comes or goes. */
void stranger_add(struct net *net, enum stranger_kind kind, struct stranger *stranger);
void stranger_remove(struct net *net, enum stranger_kind kind, struct stranger *stranger);

/* 1 if one more could come only for a user: a connection, or a session. */
int net_conns_full(const struct net *net);
int net_clients_full(const struct net *net);
/* 1 if it listens and has no place for another client: all of connections_max are users'. */
int net_is_full(const struct net *net);
/* How many places strangers have, and whether it listens and all are taken. */
size_t net_places_max(const struct net *net);
int net_strangers_full(const struct net *net);

/* What is too many now; EXCESS_NONE if it is nothing that anybody could go for. */
enum excess { EXCESS_NONE, EXCESS_PLACES, EXCESS_CONNS, EXCESS_CLIENTS };
enum excess net_excess(const struct net *net);

/* The number of sessions is another; so the other workers are told. */
void net_count_clients(struct net *net, size_t nclients);
/* The same of connections. */
void net_counted(const struct net *net);

/* --- evict.c --- */

/* Takes the places of the oldest strangers, while there are too many. */
void net_evict(struct net *net);

/* --- accept.c --- */

void accept_init(struct net *net);
/* Stops the listening, and undoes accept_init(). */
void accept_clear(struct net *net);
/* Accepts again, if there is room and nothing else stands against it. */
void accept_again(struct net *net);
/* Takes what waits to be accepted, before the sockets are given up: it would be reset
 * where nobody shares them any more. */
void accept_backlog(struct net *net);
/* Accepts from a listening socket (non-blocking), which stays the caller's; speaks: bits of
 * enum net_speaks. */
int net_listen(struct net *net, int fd, unsigned speaks);
void net_stop_listening(struct net *net);

#endif
