#include "net/sources.h"

#include "base/clock.h"
#include "ipc/census.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MIN     64
#define EXPIRE_BATCH 2 /* of those without anybody, for each that becomes one */

static int is_unknown(const struct sources *sources, const struct source *source)
{
    return source == &sources->unknown;
}

/* --- lists --- */

static void row_add(struct source_row *row, struct source *source, int rank)
{
    source->before[rank] = row->last;
    source->behind[rank] = NULL;
    if (row->last != NULL)
        row->last->behind[rank] = source;
    else
        row->first = source;
    row->last = source;
}

static void row_remove(struct source_row *row, struct source *source, int rank)
{
    struct source *before = source->before[rank], *behind = source->behind[rank];

    if (before != NULL)
        before->behind[rank] = behind;
    else
        row->first = behind;
    if (behind != NULL)
        behind->before[rank] = before;
    else
        row->last = before;
}

/* --- who has most --- */

static int ranking_init(struct source_ranking *ranking)
{
    ranking->rows = calloc(ROWS_MIN, sizeof(*ranking->rows));
    ranking->n = ROWS_MIN;
    return ranking->rows != NULL ? 0 : -1;
}

/* So that n has a row of its own.  Once there was no memory it stays as it is, for then a number
 * may not tell where a source is. */
static void ranking_grow(struct source_ranking *ranking, uint32_t n)
{
    struct source_row *rows;

    if (n < ranking->n || ranking->is_capped)
        return;
    rows = realloc(ranking->rows, 2 * ranking->n * sizeof(*rows));
    if (rows == NULL) {
        ranking->is_capped = 1;
        return;
    }
    memset(rows + ranking->n, 0, ranking->n * sizeof(*rows));
    ranking->rows = rows;
    ranking->n *= 2;
}

static size_t row_of(const struct source_ranking *ranking, uint32_t n)
{
    return n < ranking->n ? n : ranking->n - 1;
}

/* Whoever goes down goes down by one, so the highest row is never far. */
static void ranking_move(struct source_ranking *ranking, struct source *source, int rank,
                         uint32_t was, uint32_t is)
{
    size_t row;

    if (was > 0)
        row_remove(&ranking->rows[row_of(ranking, was)], source, rank);
    if (is > 0) {
        ranking_grow(ranking, is + 1);
        row = row_of(ranking, is);
        row_add(&ranking->rows[row], source, rank);
        if (row > ranking->top)
            ranking->top = row;
    }
    while (ranking->top > 0 && ranking->rows[ranking->top].first == NULL)
        ranking->top--;
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
    return by_rank(source->strangers, rank);
}

/* --- strangers --- */

static struct source *source_of(struct sources *sources, const struct stranger *stranger)
{
    return stranger->source != NULL ? stranger->source : &sources->unknown;
}

/* It has so many of that kind more, or less. */
static void change(struct sources *sources, struct source *source, enum stranger_kind kind, int by)
{
    uint32_t was[STRANGER_KINDS];

    memcpy(was, source->strangers, sizeof(was));
    source->strangers[kind] += (uint32_t)by;
    sources->strangers[kind] += (uint64_t)(int64_t)by;
    if (is_unknown(sources, source))
        return;
    for (enum source_rank rank = 0; rank < SOURCE_RANKS; rank++) {
        uint32_t before = by_rank(was, rank), now = source_strangers(source, rank);
        if (before != now)
            ranking_move(&sources->rankings[rank], source, (int)rank, before, now);
    }
}

void source_add(struct sources *sources, enum stranger_kind kind, struct stranger *stranger)
{
    struct source *source = source_of(sources, stranger);
    struct stranger *oldest = source->oldest[kind];

    if (oldest == NULL) {
        stranger->older = stranger->newer = stranger;
        source->oldest[kind] = stranger;
    } else {
        stranger->newer = oldest;
        stranger->older = oldest->older;
        stranger->older->newer = stranger;
        oldest->older = stranger;
    }
    change(sources, source, kind, 1);
}

void source_remove(struct sources *sources, enum stranger_kind kind, struct stranger *stranger)
{
    struct source *source = source_of(sources, stranger);

    if (source->oldest[kind] == stranger)
        source->oldest[kind] = stranger->newer != stranger ? stranger->newer : NULL;
    stranger->older->newer = stranger->newer;
    stranger->newer->older = stranger->older;
    change(sources, source, kind, -1);
}

struct source *sources_first(struct sources *sources, enum source_rank rank)
{
    const struct source_ranking *ranking = &sources->rankings[rank];
    uint32_t unknown = source_strangers(&sources->unknown, rank);
    const uint64_t *n = sources->strangers;
    uint64_t all = n[STRANGER_WEBSOCKET];

    all += rank != SOURCE_SESSIONS ? n[STRANGER_SOCKET] : 0;
    all += rank != SOURCE_CONNS ? n[STRANGER_POLLING] : 0;
    if (unknown > all - unknown || (unknown > 0 && ranking->top <= 1))
        return &sources->unknown;
    return ranking->rows[ranking->top].first;
}

/* --- what is counted --- */

/* What is too old goes. */
static void fade(struct source *source, uint32_t period)
{
    if (source->period == period)
        return;
    if (source->period + 1 == period)
        memcpy(source->counts[1], source->counts[0], sizeof(source->counts[1]));
    else
        memset(source->counts[1], 0, sizeof(source->counts[1]));
    memset(source->counts[0], 0, sizeof(source->counts[0]));
    source->period = period;
}

static uint32_t this_period(void)
{
    return (uint32_t)(clock_ms() / SOURCE_PERIOD_MS);
}

static uint32_t counted(const struct source *source, enum source_count what, uint32_t period)
{
    if (source->period == period)
        return source->counts[0][what] + source->counts[1][what];
    return source->period + 1 == period ? source->counts[0][what] : 0;
}

uint32_t source_counted(const struct source *source, enum source_count what)
{
    return counted(source, what, this_period());
}

static int is_forgotten(const struct source *source, uint32_t period)
{
    for (enum source_count what = 0; what < SOURCE_COUNTS; what++)
        if (counted(source, what, period) > 0)
            return 0;
    return 1;
}

static uint64_t trouble(const struct source *source, uint32_t period)
{
    return (uint64_t)counted(source, SOURCE_REFUSED, period) +
           counted(source, SOURCE_TURNED_AWAY, period);
}

static void worst_note(struct sources *sources, struct source *source, uint32_t period)
{
    size_t least = 0;

    for (size_t i = 0; i < sources->nworst; i++) {
        if (sources->worst[i] == source)
            return;
        if (trouble(sources->worst[i], period) < trouble(sources->worst[least], period))
            least = i;
    }
    if (sources->nworst < SOURCES_WORST)
        sources->worst[sources->nworst++] = source;
    else if (trouble(sources->worst[least], period) < trouble(source, period))
        sources->worst[least] = source;
}

static void worst_forget(struct sources *sources, const struct source *source)
{
    for (size_t i = 0; i < sources->nworst; i++) {
        if (sources->worst[i] != source)
            continue;
        sources->worst[i] = sources->worst[--sources->nworst];
        return;
    }
}

void source_count(struct sources *sources, struct source *source, enum source_count what)
{
    uint32_t period = this_period();

    fade(source, period);
    if (source->counts[0][what] < UINT32_MAX / 2)
        source->counts[0][what]++;
    if (!is_unknown(sources, source) && trouble(source, period) > 0)
        worst_note(sources, source, period);
}

/* --- life --- */

static void source_free(struct sources *sources, struct source *source)
{
    table_remove(&sources->table, &source->node);
    worst_forget(sources, source);
    slab_free(&sources->slab, source, sizeof(*source));
}

static void idle_remove(struct sources *sources, struct source *source)
{
    row_remove(&sources->idle, source, SOURCE_PLACES);
    sources->nidle--;
}

static void idle_add(struct sources *sources, struct source *source)
{
    uint32_t period = this_period();

    row_add(&sources->idle, source, SOURCE_PLACES);
    sources->nidle++;
    for (int i = 0; i < EXPIRE_BATCH && sources->nidle > 0; i++) {
        struct source *first = sources->idle.first;
        if (sources->nidle <= SOURCES_KEPT && !is_forgotten(first, period))
            return;
        idle_remove(sources, first);
        source_free(sources, first);
    }
}

int sources_init(struct sources *sources, struct census *census, uint32_t place)
{
    *sources = (struct sources){.census = census, .place = place};
    table_init(&sources->table);
    sources->unknown.slot = CENSUS_NONE;
    for (int rank = 0; rank < SOURCE_RANKS; rank++)
        if (ranking_init(&sources->rankings[rank]) < 0)
            return -1;
    return 0;
}

void sources_clear(struct sources *sources)
{
    while (sources->idle.first != NULL) {
        struct source *first = sources->idle.first;
        idle_remove(sources, first);
        source_free(sources, first);
    }
    assert(sources->table.count == 0);
    table_clear(&sources->table);
    slab_clear(&sources->slab);
    for (int rank = 0; rank < SOURCE_RANKS; rank++)
        free(sources->rankings[rank].rows);
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
    else if (source->refs == 0)
        idle_remove(sources, source);
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
    assert(source_strangers(source, SOURCE_PLACES) == 0);
    if (is_forgotten(source, this_period()))
        source_free(sources, source);
    else
        idle_add(sources, source);
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
    worst->n[WORST_STRANGERS] = source_strangers(source, SOURCE_PLACES);
    worst->n[WORST_HANDSHAKES] = source_counted(source, SOURCE_HANDSHAKES);
    worst->n[WORST_TLS] = source_counted(source, SOURCE_TLS);
    worst->n[WORST_REFUSED] = source_counted(source, SOURCE_REFUSED);
    worst->n[WORST_TURNED_AWAY] = source_counted(source, SOURCE_TURNED_AWAY);
}

static int is_worst(const struct sources *sources, const struct source *source)
{
    for (size_t i = 0; i < sources->nworst; i++)
        if (sources->worst[i] == source)
            return 1;
    return 0;
}

size_t sources_worst(const struct sources *sources, struct worst dst[WORST_MAX])
{
    const struct source_ranking *ranking = &sources->rankings[SOURCE_PLACES];
    size_t n = 0;

    for (size_t i = 0; i < sources->nworst; i++)
        if (trouble(sources->worst[i], this_period()) > 0)
            worst_set(&dst[n++], sources->worst[i]);
    for (size_t row = ranking->top; row > 0 && n < WORST_MAX; row--)
        for (const struct source *source = ranking->rows[row].first;
             source != NULL && n < WORST_MAX; source = source->behind[SOURCE_PLACES])
            if (!is_worst(sources, source))
                worst_set(&dst[n++], source);
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
