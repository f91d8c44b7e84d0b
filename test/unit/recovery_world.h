/* recovery_world - redis, daemons and clients without a socket: what a client gets that is cut
 * off and comes back, wherever, told by the real codecs and the real history.
 *
 * A node of redis is a row of events, messages and marks.  A daemon goes through that of its
 * node, at its own pace; it relays, keeps, drops by limits, loses its subscription.  A client has
 * to get every message that is for it once and in the order of the node, from where its
 * session began: each time it gets one, all in between are looked at. */
#ifndef TEST_RECOVERY_WORLD_H
#define TEST_RECOVERY_WORLD_H

#include "base/buf.h"
#include "codec/offset.h"
#include "codec/pid.h"
#include "ipc/history.h"
#include "master/history.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES     2
#define DAEMONS   3
#define CLIENTS   4
#define EVENTS    2000
#define NEVER     UINT_MAX
#define MARK_MS   300
#define CLOCKS_MS 5000 /* by which the clocks of two hosts may differ, as the master has it */
#define UID       "user"

struct event {
    int is_mark;
    uint8_t mark[OFFSETS_MARK];
    unsigned to, except; /* a bit for each client's room; to 0: everybody */
    int is_volatile;
    size_t size; /* of the payload, which is made of the number */
};

struct node {
    unsigned events[EVENTS]; /* in its order */
    unsigned n;
    unsigned place[EVENTS];   /* where in that order each event is */
    unsigned waiting[EVENTS]; /* on the way from another node */
    unsigned nwaiting;
};

struct daemon {
    int is_up;
    unsigned node, at;    /* the next that it hears */
    unsigned since;       /* the first that it heard */
    unsigned marks_from;  /* marks before that are not heard */
    unsigned heard;       /* marks of others in a row */
    unsigned shared_from; /* its offsets are those of others from there on; NEVER: they are not */
    unsigned marked_at;   /* behind the last mark */
    unsigned marks;       /* that there were */
    struct offsets offsets;
    struct history *history;
    struct history_view *view;
    uint64_t seq, marked_ms;
    int hears, publishes; /* marks */
    size_t limit;         /* longest payload that it lets through */
    int is_roomy;         /* its history has all since then */
    uint8_t dropped[EVENTS];
    int64_t skew_ms; /* its wall clock's */
};

enum refusal { NOT_REFUSED, BY_PID, BY_GAP, BY_AWAY, BY_OFFSET, BY_START, BY_HOLE, REFUSALS };

enum client_state { AWAY, CATCHING, IN };

/* A place in the stream, by which daemon it was named, and whether all that hear it name it so. */
struct place {
    unsigned daemon, node, at;
    int is_shared;
};

struct client {
    enum client_state state;
    unsigned daemon; /* where it is, or was last */
    int is_lost;     /* what is sent to it gets nowhere */
    int is_broken;   /* its daemon had a gap */
    uint64_t left_ms;
    uint8_t pid[PID_LEN];
    int has_pid, has_offset;
    uint64_t offset;     /* what it says that it has */
    uint64_t pos, shown; /* where its replay is, and the `$offset` behind it */
    int is_told;         /* that is of no use: something was replayed */
    int was_sent;        /* an offset, since the last ping */
    unsigned marks;      /* of the daemon, at the last ping */
    /* For who judges. */
    unsigned node, next;      /* the event of the node from which on it has none */
    struct place start, stop; /* what the start in its pid and its offset name */
    int stop_is_old;          /* of a session before */
    uint8_t may_miss[EVENTS];
};

struct counts {
    unsigned long worlds, got, replayed, recovered, moved, sure, overrun;
    unsigned long refused[REFUSALS];
};

static struct event events[EVENTS];
static struct node nodes[NODES];
static struct daemon daemons[DAEMONS];
static struct client clients[CLIENTS];
static unsigned nevents, nnodes, ndaemons;
static uint64_t now_ms, away_max_ms, chance_state, session_count;
static struct pid_key key_at;
static const struct pid_keys keys = {&key_at, 1};
static struct counts counts;
static char fault[200]; /* the first of this world; "" while there is none */

/* --- chance --------------------------------------------------------------------------- */

static uint64_t chance64(void)
{
    uint64_t x = chance_state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static unsigned chance(unsigned n)
{
    return (unsigned)(chance64() % n);
}

static void chance_bytes(uint8_t *dst, size_t len)
{
    for (size_t i = 0; i < len; i++)
        dst[i] = (uint8_t)chance(256);
}

#define wrong(...)                                                                                 \
    do {                                                                                           \
        if (fault[0] == '\0')                                                                      \
            snprintf(fault, sizeof(fault), __VA_ARGS__);                                           \
    } while (0)

/* --- redis ---------------------------------------------------------------------------- */

static void arrive(struct node *node, unsigned event)
{
    node->place[event] = node->n;
    node->events[node->n++] = event;
}

/* At the node of who publishes at once, at the other when it gets there. */
static struct event *publish(unsigned at)
{
    struct event *event = &events[nevents];

    *event = (struct event){0};
    for (unsigned i = 0; i < nnodes; i++)
        if (i == at)
            arrive(&nodes[i], nevents);
        else
            nodes[i].waiting[nodes[i].nwaiting++] = nevents;
    nevents++;
    return event;
}

/* One of those on their way gets there: not always the oldest. */
static void cross(struct node *node)
{
    unsigned which;

    if (node->nwaiting == 0)
        return;
    which = chance(2) ? 0 : chance(node->nwaiting);
    arrive(node, node->waiting[which]);
    memmove(node->waiting + which, node->waiting + which + 1,
            (node->nwaiting - which - 1) * sizeof(node->waiting[0]));
    node->nwaiting--;
}

static int is_for(const struct event *event, unsigned client)
{
    return !event->is_mark && (event->to == 0 || (event->to >> client & 1) != 0) &&
           (event->except >> client & 1) == 0;
}

/* What redis sends: many are the same, so that nothing of them tells them apart. */
static void payload_of(const struct event *event, struct buf *out)
{
    buf_reset(out);
    buf_printf(out, "%u %u", event->to, event->except);
    while (out->len < event->size)
        buf_putc(out, 'x');
}

/* --- what a client gets ------------------------------------------------------------------ */

/* All that is for it before this place of its node has come, or need not. */
static void must_have(unsigned who, unsigned place, const char *how)
{
    struct client *client = &clients[who];

    for (; client->next < place; client->next++) {
        unsigned missed = nodes[client->node].events[client->next];

        if (is_for(&events[missed], who) && !events[missed].is_volatile &&
            !client->may_miss[missed])
            wrong("client %u: %s: event %u is missing", who, how, missed);
    }
}

static struct place place_of(unsigned which, unsigned at)
{
    const struct daemon *daemon = &daemons[which];

    return (struct place){which, daemon->node, at, at >= daemon->shared_from};
}

static void told(struct client *client, uint64_t offset, unsigned at)
{
    client->offset = offset;
    client->has_offset = 1;
    client->stop = place_of(client->daemon, at);
    client->stop_is_old = 0;
}

static void get(unsigned who, unsigned event, uint64_t offset, const char *how)
{
    struct client *client = &clients[who];
    const struct daemon *daemon = &daemons[client->daemon];
    unsigned place = nodes[daemon->node].place[event];

    if (daemon->node != client->node)
        wrong("client %u: %s: event %u is of another node", who, how, event);
    else if (!is_for(&events[event], who))
        wrong("client %u: %s: event %u is for others", who, how, event);
    else if (place < client->next)
        wrong("client %u: %s: event %u twice, late, or of before", who, how, event);
    must_have(who, place, how);
    client->next = place + 1;
    told(client, offset, place + 1);
    counts.got++;
}

#endif
