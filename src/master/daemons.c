#include "master/daemons.h"

#include "base/log.h"
#include "base/table.h"

#include <stdlib.h>

#define DROP_LOG_MS 60000

struct daemon {
    struct table_node node; /* first; its key is id */
    uint64_t id;
    uint64_t gap_ms;
    uint64_t silent_until_ms;
    int has_spoken, is_sought;
};

struct daemons {
    uint64_t self;
    const struct daemons_ops *ops;
    void *arg;
    struct table all;
    struct buf out;    /* what is to be said: empty, or a head and items */
    int has_more;      /* daemons_flush() has something to do */
    int is_short;      /* some of it could not be published */
    int is_due;        /* all are to hear that this one is there ... */
    uint64_t gap_ms;   /* ... since then; 0: it is not yet */
    size_t nunder_way; /* messages that redis has not confirmed yet */
    int is_over;       /* daemons_free() has been called: nobody is told anything */
    uint64_t dropped;
    struct log_every drop_log;
};

struct daemons *daemons_new(uint64_t self, const struct daemons_ops *ops, void *arg)
{
    struct daemons *daemons = calloc(1, sizeof(*daemons));

    if (daemons == NULL)
        return NULL;
    daemons->self = self;
    daemons->ops = ops;
    daemons->arg = arg;
    table_init(&daemons->all);
    return daemons;
}

static int forget(struct table_node *node, void *arg)
{
    table_remove(arg, node);
    free(node);
    return 0;
}

void daemons_free(struct daemons **daemonsp)
{
    struct daemons *daemons = *daemonsp;

    if (daemons == NULL)
        return;
    (void)table_each(&daemons->all, forget, &daemons->all);
    table_clear(&daemons->all);
    buf_free(&daemons->out);
    daemons->is_over = 1;
    if (daemons->nunder_way == 0)
        free(daemons);
    *daemonsp = NULL;
}

/* --- each of them ----------------------------------------------------------------- */

static struct daemon *find(const struct daemons *daemons, uint64_t id)
{
    return (struct daemon *)table_find(&daemons->all, (const char *)&id, sizeof(id));
}

/* NULL without memory.  Of who is forgotten it is not known that it has spoken: nobody does
 * without its answer then (resume.c). */
static struct daemon *get(struct daemons *daemons, uint64_t id)
{
    struct daemon *daemon = find(daemons, id);

    if (daemon != NULL)
        return daemon;
    if (daemons->all.count >= DAEMONS_MAX)
        (void)table_each(&daemons->all, forget, &daemons->all);
    daemon = calloc(1, sizeof(*daemon));
    if (daemon == NULL)
        return NULL;
    daemon->id = id;
    daemon->node.key = (const char *)&daemon->id;
    daemon->node.key_len = sizeof(daemon->id);
    if (table_insert(&daemons->all, &daemon->node) < 0) {
        free(daemon);
        return NULL;
    }
    return daemon;
}

void daemons_note_silent(struct daemons *daemons, uint64_t id, uint64_t now_ms)
{
    struct daemon *daemon = get(daemons, id);

    if (daemon != NULL)
        daemon->silent_until_ms = now_ms + DAEMONS_SILENT_MS;
}

struct daemons_known daemons_known(const struct daemons *daemons, uint64_t id, uint64_t now_ms)
{
    const struct daemon *daemon = find(daemons, id);

    if (daemon == NULL)
        return (struct daemons_known){0};
    return (struct daemons_known){.has_spoken = daemon->has_spoken,
                                  .is_silent = now_ms < daemon->silent_until_ms,
                                  .is_sought = daemon->is_sought,
                                  .gap_ms = daemon->gap_ms};
}

/* --- what is said ----------------------------------------------------------------- */

/* The presence may have been among it. */
static void note_unsent(struct daemons *daemons)
{
    daemons->is_due = daemons->gap_ms != 0;
    daemons->ops->unsent(daemons->arg);
}

static void on_published(int ok, void *arg)
{
    struct daemons *daemons = arg;

    daemons->nunder_way--;
    if (daemons->is_over && daemons->nunder_way == 0)
        free(daemons);
    else if (!daemons->is_over && !ok)
        note_unsent(daemons);
}

static void publish(struct daemons *daemons)
{
    daemons->nunder_way++;
    if (daemons->ops->publish(&daemons->out, on_published, daemons, daemons->arg) < 0) {
        daemons->nunder_way--;
        daemons->is_short = 1;
    }
    buf_free(&daemons->out);
}

static int put_item(struct buf *out, enum peer_kind kind, const void *item)
{
    if (kind == PEER_QUESTION)
        return peer_put_question(out, item);
    if (kind == PEER_ANSWER)
        return peer_put_answer(out, item);
    return peer_put_presence(out, item);
}

/* Behind what is to be said already; what is full goes out. */
static int put(struct daemons *daemons, enum peer_kind kind, const void *item)
{
    struct buf *out = &daemons->out;
    size_t mark;

    daemons->has_more = 1;
    if (out->len == 0 && peer_begin(out, daemons->self) < 0)
        return -1;
    mark = out->len;
    if (put_item(out, kind, item) < 0) {
        out->len = mark > PEER_HEAD_LEN ? mark : 0;
        return -1;
    }
    if (out->len <= PEER_MAX)
        return 0;
    out->len = mark > PEER_HEAD_LEN ? mark : 0;
    if (out->len == 0)
        return -1;
    publish(daemons);
    return put(daemons, kind, item); /* alone in its message */
}

int daemons_ask(struct daemons *daemons, const struct peer_question *question)
{
    return put(daemons, PEER_QUESTION, question);
}

int daemons_answer(struct daemons *daemons, const struct peer_answer *answer)
{
    return put(daemons, PEER_ANSWER, answer);
}

void daemons_present(struct daemons *daemons, uint64_t gap_ms)
{
    daemons->gap_ms = gap_ms;
    daemons->is_due = daemons->has_more = 1;
}

int daemons_has_more(const struct daemons *daemons)
{
    return daemons->has_more;
}

void daemons_flush(struct daemons *daemons)
{
    struct peer_presence presence = {daemons->gap_ms};

    if (daemons->is_due && put(daemons, PEER_PRESENCE, &presence) == 0)
        daemons->is_due = 0;
    if (daemons->out.len > 0)
        publish(daemons);
    daemons->has_more = 0;
    if (daemons->is_short) {
        daemons->is_short = 0;
        note_unsent(daemons);
    }
}

/* --- what is heard ---------------------------------------------------------------- */

static void on_question(struct daemons *daemons, const struct peer *peer)
{
    struct daemon *sought;

    if (peer->from == daemons->self) {
        daemons->ops->echo(peer->question.id, daemons->arg);
        return;
    }
    sought = peer->question.to != daemons->self ? get(daemons, peer->question.to) : NULL;
    if (sought != NULL)
        sought->is_sought = 1;
    daemons->ops->question(peer->from, &peer->question, daemons->arg);
}

static void on_answer(struct daemons *daemons, const struct peer *peer)
{
    if (peer->answer.to == daemons->self && peer->from != daemons->self)
        daemons->ops->answer(peer->from, &peer->answer, daemons->arg);
}

static void on_presence(struct daemons *daemons, const struct peer *peer)
{
    struct daemon *daemon = find(daemons, peer->from);

    if (daemon != NULL && daemon->gap_ms < peer->presence.gap_ms)
        daemon->gap_ms = peer->presence.gap_ms;
}

/* One that has not spoken before does not know of this one either. */
static void on_speaker(struct daemons *daemons, uint64_t id)
{
    struct daemon *daemon = id != daemons->self ? get(daemons, id) : NULL;

    if (daemon == NULL || daemon->has_spoken)
        return;
    daemon->has_spoken = 1;
    if (daemons->gap_ms != 0)
        daemons->is_due = daemons->has_more = 1;
}

static void drop(struct daemons *daemons, struct slice payload)
{
    uint64_t count = log_due(&daemons->drop_log, DROP_LOG_MS);

    daemons->dropped++;
    if (count > 0)
        log_event(WARN, "peer_message_dropped",
                  "message of another daemon dropped: malformed, or of another version[: count={} "
                  "bytes={}]",
                  LOG_UINT("count", count), LOG_UINT("bytes", payload.len));
}

void daemons_hear(struct daemons *daemons, struct slice payload)
{
    enum peer_kind kind;
    struct peer peer;

    if (peer_read(&peer, payload) < 0) {
        drop(daemons, payload);
        return;
    }
    on_speaker(daemons, peer.from);
    while ((kind = peer_next(&peer)) != PEER_END) {
        if (kind == PEER_QUESTION)
            on_question(daemons, &peer);
        else if (kind == PEER_ANSWER)
            on_answer(daemons, &peer);
        else
            on_presence(daemons, &peer);
    }
}

uint64_t daemons_dropped(const struct daemons *daemons)
{
    return daemons->dropped;
}
