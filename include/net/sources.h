/* sources - who comes from where: what each address has in this worker, and which of them gives
 * way when there are too many strangers.
 *
 * A source is an IPv4 address or a /64 of IPv6, which is what one customer gets and may use at
 * will; IPv4 mapped into IPv6 is IPv4.  What is small is there while a connection or session is.
 * The rest is its crowd: its strangers, and what is counted of it, which lasts SOURCE_PERIOD_MS at
 * least; of crowds without a stranger there are CROWDS_KEPT at most, so that users from as many
 * addresses need little, and the address as long as its crowd.
 *
 * Who has no address of his own is of one source together, sources->unknown: connections over
 * Unix sockets, and those of proxies (net_options.proxies) that have not said yet who it is that
 * they carry, or say nothing.  Behind it are many, among them users that are about to say so.  So
 * it has no limit, and gives way only where it has more than all others together, or none of
 * these has more than one. */
#ifndef NET_SOURCES_H
#define NET_SOURCES_H

#include "base/address.h"
#include "base/slab.h"
#include "base/table.h"
#include "ipc/worst.h"
#include "net/ranking.h"

#include <stddef.h>
#include <stdint.h>

#define SOURCE_PERIOD_MS 600000
#define CROWDS_KEPT      1024

struct census;
struct source;

/* What holds the place of a client that has no good token yet (strangers.c): a
 * connection, a session that polls and so needs none, a WebSocket with its session. */
enum stranger_kind { STRANGER_SOCKET, STRANGER_POLLING, STRANGER_WEBSOCKET, STRANGER_KINDS };

/* In a ring of those of one source and kind, by age: next to the newest is the oldest. */
struct stranger {
    struct stranger *older, *newer;
    struct source *source; /* also where it is in no ring; NULL: none yet, which is unknown */
};

/* What they are compared by: all strangers, those that are connections, those that are
 * sessions. */
enum source_rank { SOURCE_PLACES, SOURCE_CONNS, SOURCE_SESSIONS, SOURCE_RANKS };

/* What a source has. */
enum source_member { SOURCE_CONN, SOURCE_SESSION, SOURCE_MEMBERS };

/* What is counted of it: Engine.IO handshakes, handshakes of TLS begun, tokens refused,
 * connections and sessions beyond its limit. */
enum source_count {
    SOURCE_HANDSHAKES,
    SOURCE_TLS,
    SOURCE_REFUSED,
    SOURCE_TURNED_AWAY,
    SOURCE_COUNTS
};

/* There is one while it has strangers, and as long as something is counted. */
struct crowd {
    struct source *source;
    uint32_t strangers[STRANGER_KINDS]; /* in the rings */
    uint32_t period;                    /* of counts[0]; counts[1]: the one before */
    uint32_t counts[2][SOURCE_COUNTS];
    struct stranger *oldest[STRANGER_KINDS];
    struct ranked ranked[SOURCE_RANKS]; /* without strangers the first is in idle */
};

struct source {
    struct table_node node;   /* by its address */
    uint8_t id[WORST_ID_MAX]; /* as in struct worst */
    struct crowd *crowd;      /* NULL: none; that of unknown where there was no memory for one */
    uint32_t refs;
    uint32_t n[SOURCE_MEMBERS];
    uint32_t nstrangers;
    uint32_t slot; /* in the census */
};

#define SOURCES_WORST 16

struct sources {
    struct table table;
    struct slab slab;
    struct source unknown;
    struct crowd nobody;                /* that of unknown */
    uint64_t strangers[STRANGER_KINDS]; /* in all rings */
    struct ranking rankings[SOURCE_RANKS];
    struct ranked_row idle; /* without strangers, the least recent first */
    size_t nidle;
    struct crowd *worst[SOURCES_WORST]; /* by what was refused to them */
    size_t nworst;
    struct census *census; /* with other workers, or NULL */
    uint32_t place;        /* this worker's, in there */
    uint32_t limit;        /* limits:connectionsPerAddress; 0: none */
};

/* Returns 0, or -1 without memory. */
int sources_init(struct sources *sources, struct census *census, uint32_t place);
/* Nobody refers to a source any more. */
void sources_clear(struct sources *sources);
/* The limit is another; it holds for who comes. */
void sources_limit(struct sources *sources, uint32_t limit);

/* That of the address, held until it is dropped; unknown where there is none, or no memory. */
struct source *source_take(struct sources *sources, const struct address *address);
/* The same source once more. */
struct source *source_hold(struct source *source);
void source_drop(struct sources *sources, struct source *source);

/* It has one more, or one less. */
void source_come(struct sources *sources, struct source *source, enum source_member what);
void source_go(struct sources *sources, struct source *source, enum source_member what);
/* 1 if it has as many as it may, in all workers. */
int source_is_full(const struct sources *sources, const struct source *source,
                   enum source_member what);

void source_count(struct sources *sources, struct source *source, enum source_count what);
/* How many in this period and the last one. */
uint32_t source_counted(const struct source *source, enum source_count what);

/* stranger, whose source is held, is its newest of that kind; or is that no more. */
void source_add(struct sources *sources, enum stranger_kind kind, struct stranger *stranger);
void source_remove(struct sources *sources, enum stranger_kind kind, struct stranger *stranger);
/* Its strangers by that rank. */
uint32_t source_strangers(const struct source *source, enum source_rank rank);
/* Who gives way: the one with most by that rank; of several with as many the one that has been at
 * that number for longest.  NULL: nobody has any. */
struct source *sources_first(struct sources *sources, enum source_rank rank);

/* Those with most strangers, refused tokens and attempts beyond the limit; at most WORST_MAX.
 * Returns how many. */
size_t sources_worst(const struct sources *sources, struct worst dst[WORST_MAX]);

/* Its address for the log.  Returns dst. */
const char *source_text(const struct source *source, char dst[WORST_TEXT_MAX]);

#endif
