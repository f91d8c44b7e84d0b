#include "net/sources.h"

#include "base/clock.h"
#include "ipc/census.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRE_BATCH 2 /* of the crowds without strangers, for each that becomes one */

static int is_unknown(const struct sources *sources, const struct source *source)
{
    return source == &sources->unknown;
}

static struct crowd *crowd_of(struct ranked *ranked, enum source_rank rank)
{
    return (struct crowd *)(void *)((char *)(ranked - rank) - offsetof(struct crowd, ranked));
}

static uint32_t by_rank(const uint32_t n[STRANGER_KINDS], enum source_rank rank)
{
    uint32_t sockets = n[STRANGER_SOCKET], polling = n[STRANGER_POLLING];

    if (rank == SOURCE_CONNS)
        polling = 0;
    if (rank == SOURCE_SESSIONS)
        sockets = 0;
    return sockets + polling + n[STRANGER_WEBSOCKET];
}

uint32_t source_strangers(const struct source *source, enum source_rank rank)
{
    return source->crowd != NULL ? by_rank(source->crowd->strangers, rank) : 0;
}

/* --- what is counted --- */

/* What is too old goes. */
static void fade(struct crowd *crowd, uint32_t period)
{
    if (crowd->period == period)
        return;
    if (crowd->period + 1 == period)
        memcpy(crowd->counts[1], crowd->counts[0], sizeof(crowd->counts[1]));
    else
        memset(crowd->counts[1], 0, sizeof(crowd->counts[1]));
    memset(crowd->counts[0], 0, sizeof(crowd->counts[0]));
    crowd->period = period;
}

static uint32_t this_period(void)
{
    return (uint32_t)(clock_ms() / SOURCE_PERIOD_MS);
}

static uint32_t counted(const struct crowd *crowd, enum source_count what, uint32_t period)
{
    if (crowd->period == period)
        return crowd->counts[0][what] + crowd->counts[1][what];
    return crowd->period + 1 == period ? crowd->counts[0][what] : 0;
}

uint32_t source_counted(const struct source *source, enum source_count what)
{
    return source->crowd != NULL ? counted(source->crowd, what, this_period()) : 0;
}

static int is_forgotten(const struct crowd *crowd, uint32_t period)
{
    for (enum source_count what = 0; what < SOURCE_COUNTS; what++)
        if (counted(crowd, what, period) > 0)
            return 0;
    return 1;
}

/* --- those who were refused most --- */

static uint64_t trouble(const struct crowd *crowd, uint32_t period)
{
    return (uint64_t)counted(crowd, SOURCE_REFUSED, period) +
           counted(crowd, SOURCE_TURNED_AWAY, period);
}

static int is_worst(const struct sources *sources, const struct crowd *crowd)
{
    for (size_t i = 0; i < sources->nworst; i++)
        if (sources->worst[i] == crowd)
            return 1;
    return 0;
}

static void worst_note(struct sources *sources, struct crowd *crowd, uint32_t period)
{
    size_t least = 0;

    if (is_worst(sources, crowd))
        return;
    for (size_t i = 0; i < sources->nworst; i++)
        if (trouble(sources->worst[i], period) < trouble(sources->worst[least], period))
            least = i;
    if (sources->nworst < SOURCES_WORST)
        sources->worst[sources->nworst++] = crowd;
    else if (trouble(sources->worst[least], period) < trouble(crowd, period))
        sources->worst[least] = crowd;
}

static void worst_forget(struct sources *sources, const struct crowd *crowd)
{
    for (size_t i = 0; i < sources->nworst; i++) {
        if (sources->worst[i] != crowd)
            continue;
        sources->worst[i] = sources->worst[--sources->nworst];
        return;
    }
}

/* --- crowds --- */

static void source_free(struct sources *sources, struct source *source)
{
    table_remove(&sources->table, &source->node);
    slab_free(&sources->slab, source, sizeof(*source));
}

/* It is in no list. */
static void crowd_free(struct sources *sources, struct crowd *crowd)
{
    struct source *source = crowd->source;

    worst_forget(sources, crowd);
    slab_free(&sources->slab, crowd, sizeof(*crowd));
    source->crowd = NULL;
    if (source->refs == 0)
        source_free(sources, source);
}

static struct crowd *crowd_new(struct sources *sources, struct source *source)
{
    struct crowd *crowd = slab_alloc(&sources->slab, sizeof(*crowd));

    if (crowd == NULL)
        return NULL;
    memset(crowd, 0, sizeof(*crowd));
    crowd->source = source;
    source->crowd = crowd;
    return crowd;
}

static void idle_remove(struct sources *sources, struct crowd *crowd)
{
    row_remove(&sources->idle, &crowd->ranked[SOURCE_PLACES]);
    sources->nidle--;
}

/* Those that were refused most stay for what is counted of them, however many others come. */
static void idle_add(struct sources *sources, struct crowd *crowd)
{
    uint32_t period = this_period();

    row_add(&sources->idle, &crowd->ranked[SOURCE_PLACES]);
    sources->nidle++;
    for (int i = 0; i < EXPIRE_BATCH && sources->nidle > 0; i++) {
        struct crowd *first = crowd_of(sources->idle.first, SOURCE_PLACES);
        if (sources->nidle <= CROWDS_KEPT && !is_forgotten(first, period))
            return;
        idle_remove(sources, first);
        if (!is_worst(sources, first) || is_forgotten(first, period)) {
            crowd_free(sources, first);
        } else {
            row_add(&sources->idle, &first->ranked[SOURCE_PLACES]);
            sources->nidle++;
        }
    }
}

/* 1 if it has a crowd of its own without a stranger: that is in the idle list. */
static int is_idle(const struct sources *sources, const struct source *source)
{
    return source->crowd != NULL && source->crowd != &sources->nobody && source->nstrangers == 0;
}

/* That of which a stranger is to be one. */
static struct crowd *crowd_join(struct sources *sources, struct source *source)
{
    if (is_idle(sources, source))
        idle_remove(sources, source->crowd);
    else if (source->crowd == NULL && crowd_new(sources, source) == NULL)
        source->crowd = &sources->nobody;
    return source->crowd;
}

/* Its last stranger has gone. */
static void crowd_leave(struct sources *sources, struct source *source)
{
    if (is_unknown(sources, source))
        return;
    if (source->crowd == &sources->nobody)
        source->crowd = NULL;
    else if (is_forgotten(source->crowd, this_period()))
        crowd_free(sources, source->crowd);
    else
        idle_add(sources, source->crowd);
}

/* Without memory it is not counted. */
void source_count(struct sources *sources, struct source *source, enum source_count what)
{
    uint32_t period = this_period();
    struct crowd *crowd;

    if (is_unknown(sources, source) || source->crowd == &sources->nobody)
        return;
    if (is_idle(sources, source))
        idle_remove(sources, source->crowd);
    if (source->crowd == NULL && crowd_new(sources, source) == NULL)
        return;
    crowd = source->crowd;
    fade(crowd, period);
    if (crowd->counts[0][what] < UINT32_MAX / 2)
        crowd->counts[0][what]++;
    if (trouble(crowd, period) > 0)
        worst_note(sources, crowd, period);
    if (source->nstrangers == 0)
        idle_add(sources, crowd);
}

/* --- strangers --- */

static struct source *source_of(struct sources *sources, const struct stranger *stranger)
{
    return stranger->source != NULL ? stranger->source : &sources->unknown;
}

/* It has so many of that kind more, or less. */
static void change(struct sources *sources, struct crowd *crowd, enum stranger_kind kind, int by)
{
    uint32_t was[STRANGER_KINDS];

    memcpy(was, crowd->strangers, sizeof(was));
    crowd->strangers[kind] += (uint32_t)by;
    sources->strangers[kind] += (uint64_t)(int64_t)by;
    if (crowd == &sources->nobody)
        return;
    for (enum source_rank rank = 0; rank < SOURCE_RANKS; rank++) {
        uint32_t before = by_rank(was, rank), now = by_rank(crowd->strangers, rank);
        if (before != now)
            ranking_move(&sources->rankings[rank], &crowd->ranked[rank], before, now);
    }
}

void source_add(struct sources *sources, enum stranger_kind kind, struct stranger *stranger)
{
    struct source *source = source_of(sources, stranger);
    struct crowd *crowd = crowd_join(sources, source);
    struct stranger *oldest = crowd->oldest[kind];

    source->nstrangers++;
    if (oldest == NULL) {
        stranger->older = stranger->newer = stranger;
        crowd->oldest[kind] = stranger;
    } else {
        stranger->newer = oldest;
        stranger->older = oldest->older;
        stranger->older->newer = stranger;
        oldest->older = stranger;
    }
    change(sources, crowd, kind, 1);
}

void source_remove(struct sources *sources, enum stranger_kind kind, struct stranger *stranger)
{
    struct source *source = source_of(sources, stranger);
    struct crowd *crowd = source->crowd;

    if (crowd->oldest[kind] == stranger)
        crowd->oldest[kind] = stranger->newer != stranger ? stranger->newer : NULL;
    stranger->older->newer = stranger->newer;
    stranger->newer->older = stranger->older;
    change(sources, crowd, kind, -1);
    if (--source->nstrangers == 0)
        crowd_leave(sources, source);
}

struct source *sources_first(struct sources *sources, enum source_rank rank)
{
    const struct ranking *ranking = &sources->rankings[rank];
    uint32_t unknown = source_strangers(&sources->unknown, rank);
    const uint64_t *n = sources->strangers;
    uint64_t all = n[STRANGER_WEBSOCKET];
    struct ranked *first = ranking_first(ranking);

    all += rank != SOURCE_SESSIONS ? n[STRANGER_SOCKET] : 0;
    all += rank != SOURCE_CONNS ? n[STRANGER_POLLING] : 0;
    if (unknown > all - unknown || (unknown > 0 && ranking->top <= 1))
        return &sources->unknown;
    return first != NULL ? crowd_of(first, rank)->source : NULL;
}

/* --- life --- */

int sources_init(struct sources *sources, struct census *census, uint32_t place)
{
    *sources = (struct sources){.census = census, .place = place};
    table_init(&sources->table);
    sources->unknown.slot = CENSUS_NONE;
    sources->unknown.crowd = &sources->nobody;
    sources->nobody.source = &sources->unknown;
    for (int rank = 0; rank < SOURCE_RANKS; rank++)
        if (ranking_init(&sources->rankings[rank]) < 0)
            return -1;
    return 0;
}

void sources_clear(struct sources *sources)
{
    while (sources->idle.first != NULL) {
        struct crowd *first = crowd_of(sources->idle.first, SOURCE_PLACES);
        idle_remove(sources, first);
        crowd_free(sources, first);
    }
    assert(sources->table.count == 0);
    table_clear(&sources->table);
    slab_clear(&sources->slab);
    for (int rank = 0; rank < SOURCE_RANKS; rank++)
        ranking_clear(&sources->rankings[rank]);
}

/* Returns its length; 0: none. */
static uint8_t id_of(const struct address *address, uint8_t id[WORST_ID_MAX])
{
    static const uint8_t none[16], mapped[12] = {[10] = 0xff, [11] = 0xff};

    memset(id, 0, WORST_ID_MAX);
    if (memcmp(address->ip, none, sizeof(none)) == 0)
        return 0;
    if (memcmp(address->ip, mapped, sizeof(mapped)) == 0) {
        memcpy(id, address->ip + sizeof(mapped), 4);
        return 4;
    }
    memcpy(id, address->ip, WORST_ID_MAX);
    return WORST_ID_MAX;
}

static struct source *source_new(struct sources *sources, const uint8_t *id, uint8_t len)
{
    struct source *source = slab_alloc(&sources->slab, sizeof(*source));

    if (source == NULL)
        return NULL;
    memset(source, 0, sizeof(*source));
    memcpy(source->id, id, WORST_ID_MAX);
    source->node.key = (const char *)source->id;
    source->node.key_len = len;
    source->slot = CENSUS_NONE;
    if (table_insert(&sources->table, &source->node) < 0) {
        slab_free(&sources->slab, source, sizeof(*source));
        return NULL;
    }
    return source;
}

struct source *source_take(struct sources *sources, const struct address *address)
{
    uint8_t id[WORST_ID_MAX], len = id_of(address, id);
    struct source *source;

    if (len == 0)
        return source_hold(&sources->unknown);
    source = (struct source *)(void *)table_find(&sources->table, (const char *)id, len);
    if (source == NULL)
        source = source_new(sources, id, len);
    return source_hold(source != NULL ? source : &sources->unknown);
}

struct source *source_hold(struct source *source)
{
    source->refs++;
    return source;
}

void source_drop(struct sources *sources, struct source *source)
{
    if (--source->refs > 0 || is_unknown(sources, source))
        return;
    assert(source->nstrangers == 0);
    if (source->crowd == NULL) {
        source_free(sources, source);
    } else if (is_forgotten(source->crowd, this_period())) {
        idle_remove(sources, source->crowd);
        crowd_free(sources, source->crowd);
    }
}

/* --- how many it has, here and elsewhere --- */

static uint64_t tag_of(const struct sources *sources, const struct source *source)
{
    return census_tag(sources->census, source->id, source->node.key_len);
}

static void tell(const struct sources *sources, struct source *source)
{
    if (sources->limit == 0 || sources->census == NULL || is_unknown(sources, source))
        return;
    census_set(sources->census, sources->place, tag_of(sources, source), &source->slot,
               source->n[SOURCE_CONN], source->n[SOURCE_SESSION]);
}

void source_come(struct sources *sources, struct source *source, enum source_member what)
{
    source->n[what]++;
    tell(sources, source);
}

void source_go(struct sources *sources, struct source *source, enum source_member what)
{
    source->n[what]--;
    tell(sources, source);
}

int source_is_full(const struct sources *sources, const struct source *source,
                   enum source_member what)
{
    struct census_count others = {0, 0};

    if (sources->limit == 0 || is_unknown(sources, source))
        return 0;
    if (sources->census != NULL)
        others = census_others(sources->census, sources->place, tag_of(sources, source));
    return source->n[what] + (what == SOURCE_CONN ? others.conns : others.sessions) >=
           sources->limit;
}

static int on_limit(struct table_node *node, void *arg)
{
    struct source *source = (struct source *)(void *)node;

    source->slot = CENSUS_NONE;
    tell(arg, source);
    return 0;
}

/* Without a limit nobody is told anything. */
void sources_limit(struct sources *sources, uint32_t limit)
{
    uint32_t was = sources->limit;

    sources->limit = limit;
    if (sources->census == NULL || (was == 0) == (limit == 0))
        return;
    if (limit == 0)
        census_clear(sources->census, sources->place);
    (void)table_each(&sources->table, on_limit, sources);
}

/* --- the worst --- */

static void worst_set(struct worst *worst, const struct source *source)
{
    *worst = (struct worst){.len = (uint8_t)source->node.key_len};
    memcpy(worst->id, source->id, sizeof(worst->id));
    worst->n[WORST_CONNS] = source->n[SOURCE_CONN];
    worst->n[WORST_SESSIONS] = source->n[SOURCE_SESSION];
    worst->n[WORST_STRANGERS] = source->nstrangers;
    worst->n[WORST_HANDSHAKES] = source_counted(source, SOURCE_HANDSHAKES);
    worst->n[WORST_TLS] = source_counted(source, SOURCE_TLS);
    worst->n[WORST_REFUSED] = source_counted(source, SOURCE_REFUSED);
    worst->n[WORST_TURNED_AWAY] = source_counted(source, SOURCE_TURNED_AWAY);
}

size_t sources_worst(const struct sources *sources, struct worst dst[WORST_MAX])
{
    const struct ranking *ranking = &sources->rankings[SOURCE_PLACES];
    size_t n = 0;

    for (size_t i = 0; i < sources->nworst; i++)
        if (trouble(sources->worst[i], this_period()) > 0)
            worst_set(&dst[n++], sources->worst[i]->source);
    for (size_t row = ranking->top; row > 0 && n < WORST_MAX; row--)
        for (struct ranked *one = ranking->rows[row].first; one != NULL && n < WORST_MAX;
             one = one->behind)
            if (!is_worst(sources, crowd_of(one, SOURCE_PLACES)))
                worst_set(&dst[n++], crowd_of(one, SOURCE_PLACES)->source);
    worst_sort(dst, n);
    return n;
}

const char *source_text(const struct source *source, char dst[WORST_TEXT_MAX])
{
    struct worst worst = {.len = (uint8_t)source->node.key_len};

    memcpy(worst.id, source->id, sizeof(worst.id));
    if (worst.len == 0)
        return memcpy(dst, "unknown", sizeof("unknown"));
    return worst_text(&worst, dst);
}
