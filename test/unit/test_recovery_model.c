/* Does a client that is cut off and comes back, here or elsewhere, get every message once and in
 * order, or hear that it does not?  Worlds by chance (recovery_world.h), each told by a number:
 *
 *     AXR_MODEL_SECONDS=3600  so long, other worlds each time; else the same for some seconds
 *     AXR_MODEL_SEED=N        that world only */
#include "recovery_world.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/broadcast.h"
#include "tap.h"

#define WORLDS     700
#define MAX_MS     5000 /* for those, where the machine is slow */
#define MANY_BYTES (1UL << 20)
#define FEW_BYTES  (64UL << 10)

static struct buf bytes; /* reused */

/* --- daemons -------------------------------------------------------------------------- */

static struct slice name_of(unsigned client)
{
    static const char *const names[CLIENTS] = {"room 0", "room 1", "room 2", "room 3"};

    return slice_str(names[client]);
}

static void add_names(struct slices *list, unsigned bits)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if ((bits >> i & 1) != 0 && slices_put(list, name_of(i)) < 0)
            abort();
}

/* What is kept of a message says which it is. */
static void keep(struct daemon *daemon, unsigned event, uint64_t offset)
{
    struct broadcast bc = {0};

    add_names(&bc.rooms, events[event].to);
    add_names(&bc.except, events[event].except);
    buf_reset(&bytes);
    buf_put(&bytes, &event, sizeof(event));
    while (bytes.len < events[event].size)
        buf_putc(&bytes, 'y');
    history_put(daemon->history, daemon->seq, offset, &bc,
                (struct slice){(const char *)bytes.data, bytes.len}, now_ms);
    broadcast_clear(&bc);
}

static void go_on(struct daemon *daemon)
{
    daemon->marked_at = daemon->at;
    daemon->marked_ms = now_ms;
    daemon->marks++;
    history_step(daemon->history, offsets_at(&daemon->offsets), now_ms);
}

/* Its own offsets, which nobody shares. */
static void be_alone(struct daemon *daemon)
{
    uint8_t random[OFFSETS_RANDOM];
    char id[16];

    snprintf(id, sizeof(id), "node %u", daemon->node);
    chance_bytes(random, sizeof(random));
    offsets_begin(&daemon->offsets, random, nnodes > 1 ? slice_str(id) : (struct slice){0});
    daemon->heard = 0;
    daemon->shared_from = NEVER;
    go_on(daemon);
}

/* Every session of it has a gap from here on; whoever is there misses what is in it. */
static void gap(unsigned which)
{
    history_cut(daemons[which].history);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (clients[i].daemon == which)
            clients[i].is_broken = 1;
    be_alone(&daemons[which]);
}

static void subscribe(unsigned which)
{
    struct daemon *daemon = &daemons[which];

    daemon->is_up = 1;
    daemon->at = daemon->since = nodes[daemon->node].n;
    daemon->marks_from = daemon->at + chance(6);
    gap(which);
    /* Who stays in is not judged by what was in the gap, nor by another node's order. */
    for (unsigned i = 0; i < CLIENTS; i++)
        if (clients[i].daemon == which && clients[i].state == IN) {
            clients[i].node = daemon->node;
            clients[i].next = daemon->at;
        }
}

static void lose(unsigned which)
{
    daemons[which].is_up = 0;
    if (nnodes > 1 && chance(3) == 0)
        daemons[which].node ^= 1;
    gap(which);
}

static void hear_mark(struct daemon *daemon, const uint8_t mark[OFFSETS_MARK])
{
    offsets_mark(&daemon->offsets, mark);
    if (++daemon->heard == 2)
        daemon->shared_from = daemon->at;
    go_on(daemon);
}

static void hear_message(unsigned which, unsigned event)
{
    struct daemon *daemon = &daemons[which];
    uint64_t offset;

    payload_of(&events[event], &bytes);
    offsets_next(&daemon->offsets, SLICE("socket.io#/axr#"),
                 (struct slice){(const char *)bytes.data, bytes.len});
    offset = offsets_at(&daemon->offsets);
    daemon->seq++;
    if (events[event].size > daemon->limit) {
        history_hole(daemon->history, offset, now_ms);
        daemon->dropped[event] = 1;
        for (unsigned i = 0; i < CLIENTS; i++)
            clients[i].may_miss[event] |= clients[i].daemon == which && clients[i].state != AWAY;
        return;
    }
    if (events[event].is_volatile)
        history_step(daemon->history, offset, now_ms);
    else
        keep(daemon, event, offset);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (clients[i].daemon != which || clients[i].state != IN || !is_for(&events[event], i) ||
            (events[event].is_volatile && chance(3) == 0))
            continue;
        clients[i].was_sent = 1;
        if (!clients[i].is_lost)
            get(i, event, offset, "live");
    }
}

static void hear(unsigned which)
{
    struct daemon *daemon = &daemons[which];
    unsigned event = nodes[daemon->node].events[daemon->at++];

    if (!events[event].is_mark)
        hear_message(which, event);
    else if (daemon->hears && daemon->at > daemon->marks_from)
        hear_mark(daemon, events[event].mark);
}

static void hear_all(unsigned which)
{
    while (daemons[which].at < nodes[daemons[which].node].n)
        hear(which);
}

static void beat(unsigned which)
{
    struct daemon *daemon = &daemons[which];
    uint64_t quiet_ms = now_ms - daemon->marked_ms;

    history_trim(daemon->history, now_ms);
    if (quiet_ms < MARK_MS || nevents == EVENTS)
        return;
    if (daemon->publishes) {
        struct event *event = publish(daemon->node);

        event->is_mark = 1;
        chance_bytes(event->mark, sizeof(event->mark));
        daemon->marked_ms = now_ms;
    } else if (quiet_ms > MARK_MS + 500) {
        be_alone(daemon);
    }
}

/* --- clients -------------------------------------------------------------------------- */

static void begin_session(unsigned who, unsigned which)
{
    struct client *client = &clients[who];
    const struct daemon *daemon = &daemons[which];
    struct pid pid = {.daemon = which + 1,
                      .offset = offsets_at(&daemon->offsets),
                      .start_ms = (uint64_t)((int64_t)now_ms + daemon->skew_ms)};

    session_count++;
    memcpy(pid.session, &session_count, sizeof(session_count));
    if (pid_make(client->pid, &pid, &key_at, SLICE("key"), SLICE("/axr"), SLICE(UID)) < 0)
        abort();
    client->state = IN;
    client->daemon = which;
    client->is_broken = client->is_lost = 0;
    client->has_pid = 1;
    client->node = daemon->node;
    client->next = daemon->at;
    client->start = place_of(which, daemon->at);
    client->stop_is_old = 1;
    client->was_sent = 1;
    client->marks = daemon->marks;
    memset(client->may_miss, 0, sizeof(client->may_miss));
    /* Cut between the reply and the offset: it goes by an old one. */
    if (chance(4) == 0)
        client->is_lost = 1;
    else
        told(client, offsets_marked(&daemon->offsets), daemon->marked_at);
}

/* 1 if an offset is surely of this session, for who does not know where that began. */
static int is_later(const struct daemon *daemon, uint64_t pos, const struct pid *pid)
{
    int64_t wall = (int64_t)now_ms + daemon->skew_ms;

    return wall - (int64_t)history_age_of(daemon->history, pos, now_ms) >
           (int64_t)pid->start_ms + CLOCKS_MS;
}

static enum refusal locate(struct client *client, unsigned which, const struct pid *pid)
{
    const struct history *history = daemons[which].history;
    uint64_t start = 0;
    int has_start = history_find(history, pid->offset, &start) == 0;

    if (!client->has_offset) {
        client->pos = start;
        return has_start ? NOT_REFUSED : BY_START;
    }
    if (history_find(history, client->offset, &client->pos) < 0)
        return BY_OFFSET;
    if (!has_start && pid->daemon != which + 1 && !is_later(&daemons[which], client->pos, pid))
        return BY_START;
    if (client->pos < start)
        client->pos = start;
    return NOT_REFUSED;
}

/* As the master decides; the owner of the session always answers. */
static enum refusal judge(struct client *client, unsigned which)
{
    enum refusal why;
    struct pid pid;

    if (!client->has_pid ||
        !pid_proven(&pid, client->pid, &keys, SLICE("key"), SLICE("/axr"), SLICE(UID)))
        return BY_PID;
    if (client->is_broken)
        return BY_GAP;
    if (now_ms - client->left_ms > away_max_ms)
        return BY_AWAY;
    why = locate(client, which, &pid);
    if (why != NOT_REFUSED && daemons[which].is_up) {
        hear_all(which); /* it may be ahead */
        why = locate(client, which, &pid);
    }
    if (why == NOT_REFUSED && client->daemon != which &&
        client->pos < history_holed(daemons[which].history))
        return BY_HOLE;
    return why;
}

static int is_common(const struct place *place, const struct daemon *daemon)
{
    return place->is_shared && place->node == daemon->node && place->at >= daemon->shared_from;
}

static int is_own(const struct place *place, unsigned which)
{
    return place->daemon == which && place->node == daemons[which].node &&
           place->at >= daemons[which].since;
}

/* 1 if it has to be recovered there: nothing stands against it. */
static int is_sure(const struct client *client, unsigned which)
{
    const struct daemon *daemon = &daemons[which];
    const struct place *stop = client->has_offset ? &client->stop : &client->start;
    struct history_stats stats;

    history_stats(daemon->history, now_ms, &stats);
    if (client->is_broken || !daemon->is_up || !daemon->is_roomy || stats.crowded > 0 ||
        now_ms - client->left_ms > away_max_ms || (client->has_offset && client->stop_is_old))
        return 0;
    if (client->daemon == which)
        return is_own(&client->start, which) && is_own(stop, which);
    return is_common(&client->start, daemon) && is_common(stop, daemon) &&
           history_holed(daemon->history) == 0;
}

static void recover(unsigned who, unsigned which)
{
    struct client *client = &clients[who];
    const struct daemon *daemon = &daemons[which];
    uint64_t marked = 0;

    counts.recovered++;
    counts.moved += client->daemon != which;
    if (daemon->node != client->node)
        wrong("client %u: recovered at another node", who);
    for (unsigned i = 0; i < nevents && client->daemon == which; i++)
        client->may_miss[i] |= daemon->dropped[i];
    /* Of the session before, at a daemon that was ahead: it has what is before that. */
    if (client->has_offset && client->stop_is_old && client->stop.node == client->node &&
        client->stop.at > client->next)
        client->next = client->stop.at;
    client->daemon = which;
    client->state = CATCHING;
    client->is_lost = client->is_told = 0;
    client->shown = offsets_marked(&daemon->offsets);
    if (history_find(daemon->history, client->shown, &marked) < 0 || marked < client->pos)
        client->shown = 0;
}

/* The connection that it had is known to be over by now: who comes takes its place. */
static void come(unsigned who, unsigned which)
{
    struct client *client = &clients[who];
    enum refusal why;
    int sure;

    if (client->state != AWAY)
        client->left_ms = now_ms;
    client->state = AWAY;
    sure = is_sure(client, which);
    why = judge(client, which);
    if (sure && why != NOT_REFUSED)
        wrong("client %u: not recovered at daemon %u, for %d, though nothing is missing", who,
              which, (int)why);
    counts.sure += sure;
    counts.refused[why]++;
    if (why == NOT_REFUSED)
        recover(who, which);
    else
        begin_session(who, which);
}

static void ping(struct client *client)
{
    const struct daemon *daemon = &daemons[client->daemon];

    if (client->state != IN)
        return;
    if (!client->is_lost && !client->was_sent && daemon->marks != client->marks)
        told(client, offsets_marked(&daemon->offsets), daemon->marked_at);
    client->was_sent = 0;
    client->marks = daemon->marks;
}

/* Its replay has come to the end: `$offset`, and it is in. */
static void catch_up(struct client *client)
{
    const struct daemon *daemon = &daemons[client->daemon];

    client->state = IN;
    client->was_sent = 1;
    client->marks = daemon->marks;
    if (!client->is_lost && !client->is_told && client->shown != 0 &&
        client->shown == offsets_marked(&daemon->offsets))
        told(client, client->shown, daemon->marked_at);
    if (chance(4) == 0)
        ping(client);
}

static int is_perhaps_for(const struct daemon *daemon, const struct history_entry *entry,
                          unsigned who)
{
    uint32_t hash = history_hash(daemon->view, name_of(who));
    int found = entry->nrooms == 0;

    for (unsigned i = 0; i < entry->nrooms; i++)
        found |= entry->hashes[i] == hash;
    return found;
}

static enum history_read replay_one(unsigned who, const struct history_entry *entry)
{
    struct client *client = &clients[who];
    const struct daemon *daemon = &daemons[client->daemon];
    unsigned event;

    client->pos = entry->next;
    if (!is_perhaps_for(daemon, entry, who))
        return HISTORY_ENTRY;
    buf_reset(&bytes);
    if (history_copy(daemon->view, entry->at, &bytes) != HISTORY_ENTRY)
        return HISTORY_OVERRUN;
    memcpy(&event, bytes.data, sizeof(event));
    if (!is_for(&events[event], who))
        return HISTORY_ENTRY;
    client->is_told = 1;
    if (client->is_lost)
        return HISTORY_ENTRY;
    get(who, event, entry->offset, "replay");
    counts.replayed++;
    return HISTORY_ENTRY;
}

static void replay(unsigned who, unsigned n)
{
    struct client *client = &clients[who];
    struct history_entry entry;
    enum history_read result = HISTORY_ENTRY;

    while (n-- > 0 && result == HISTORY_ENTRY) {
        result = history_next(daemons[client->daemon].view, client->pos, &entry);
        if (result == HISTORY_ENTRY)
            result = replay_one(who, &entry);
    }
    if (result == HISTORY_END)
        catch_up(client);
    if (result != HISTORY_OVERRUN)
        return;
    counts.overrun++;
    client->state = AWAY;
    client->left_ms = now_ms;
}

/* --- worlds --------------------------------------------------------------------------- */

static void make_daemon(unsigned which)
{
    struct daemon *daemon = &daemons[which];
    uint64_t keep_ms = chance(3) == 0 ? 3000 : 1000000;

    memset(daemon, 0, sizeof(*daemon));
    daemon->node = nnodes > 1 && chance(4) == 0;
    daemon->hears = chance(8) != 0;
    daemon->publishes = daemon->hears && chance(4) != 0;
    daemon->limit = chance(5) == 0 ? 1000 : 100000;
    daemon->skew_ms = (int64_t)chance(4000) - 2000 + 1000000;
    daemon->is_roomy = keep_ms > 3000;
    daemon->history = history_new(chance(3) == 0 ? FEW_BYTES : MANY_BYTES, keep_ms);
    daemon->view = daemon->history != NULL ? history_view_open(history_fd(daemon->history)) : NULL;
    if (daemon->view == NULL)
        abort();
    if (which == 0 || chance(3) != 0)
        subscribe(which);
}

static void begin_world(uint64_t seed)
{
    chance_state = seed;
    nevents = 0;
    memset(nodes, 0, sizeof(nodes));
    memset(clients, 0, sizeof(clients));
    fault[0] = '\0';
    now_ms = 100000;
    away_max_ms = chance(4) == 0 ? 500 : UINT32_MAX;
    nnodes = chance(3) == 0 ? 2 : 1;
    ndaemons = 2 + chance(DAEMONS - 1);
    for (unsigned i = 0; i < ndaemons; i++)
        make_daemon(i);
    /* They are to come. */
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i].is_lost = 1;
}

static void say(void)
{
    struct event *event;

    if (nevents == EVENTS)
        return;
    event = publish(chance(nnodes));
    event->to = chance(3) == 0 ? 0 : 1U << chance(CLIENTS) | (chance(5) == 0) << chance(CLIENTS);
    event->except = chance(8) == 0 ? 1U << chance(CLIENTS) : 0;
    if (chance(40) == 0)
        event->to = (1U << CLIENTS) - 1;
    event->is_volatile = chance(8) == 0;
    event->size = chance(6) == 0 ? 1500 + chance(2) * 2000 : 24;
}

static void act_on(unsigned who)
{
    struct client *client = &clients[who];
    unsigned which = chance(2) ? client->daemon : chance(ndaemons);

    switch (chance(8)) {
    case 0:
        client->is_lost = 1;
        if (chance(2))
            come(who, which);
        break;
    case 1: /* it is noticed, by the daemon alone or by both */
        if (client->is_lost && client->state != AWAY) {
            client->state = AWAY;
            client->left_ms = now_ms;
        }
        break;
    case 2:
    case 3:
        if (client->is_lost || client->state == AWAY)
            come(who, which);
        break;
    case 4:
        ping(client);
        break;
    default:
        if (client->state == CATCHING)
            replay(who, 1 + chance(6));
    }
}

static void live(unsigned which, unsigned calm)
{
    struct daemon *daemon = &daemons[which];

    if (daemon->is_up && chance(calm) == 0)
        lose(which);
    else if (!daemon->is_up && chance(12) == 0)
        subscribe(which);
    if (!daemon->is_up)
        return;
    for (unsigned n = chance(5); n > 0 && daemon->at < nodes[daemon->node].n; n--)
        hear(which);
    beat(which);
}

/* All is heard, all come back, and have all. */
static void end_world(void)
{
    for (unsigned i = 0; i < nnodes; i++)
        while (nodes[i].nwaiting > 0)
            cross(&nodes[i]);
    for (unsigned i = 0; i < ndaemons; i++) {
        if (!daemons[i].is_up)
            subscribe(i);
        hear_all(i);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        while (clients[i].is_lost || clients[i].state == AWAY)
            come(i, clients[i].daemon);
        replay(i, clients[i].state == CATCHING ? EVENTS : 0);
        if (clients[i].state == IN && clients[i].node == daemons[clients[i].daemon].node)
            must_have(i, daemons[clients[i].daemon].at, "at the end");
    }
    for (unsigned i = 0; i < ndaemons; i++) {
        history_view_close(&daemons[i].view);
        history_free(&daemons[i].history);
    }
}

static int world(uint64_t seed)
{
    unsigned calm, steps, warm;

    begin_world(seed);
    calm = chance(2) ? 2000 : 150;
    steps = 100 + chance(400);
    warm = chance(2) ? 60 : 0;
    for (unsigned step = 0; step < steps && fault[0] == '\0'; step++) {
        now_ms += chance(3) == 0 ? chance(300) : 0;
        if (chance(3) != 0)
            say();
        for (unsigned i = 0; i < nnodes; i++)
            if (chance(2))
                cross(&nodes[i]);
        for (unsigned i = 0; i < ndaemons; i++)
            live(i, calm);
        if (step > warm)
            act_on(chance(CLIENTS));
    }
    end_world();
    counts.worlds++;
    if (fault[0] != '\0')
        printf("# AXR_MODEL_SEED=%llu: %s\n", (unsigned long long)seed, fault);
    return fault[0] == '\0';
}

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

int main(void)
{
    uint64_t seconds = number_of("AXR_MODEL_SECONDS"), seed = number_of("AXR_MODEL_SEED");
    uint64_t until = clock_ms() + (seconds > 0 ? seconds * 1000 : MAX_MS);
    int good = 1;

    if (pid_key_derive(&key_at, SLICE("secret")) < 0)
        return 1;
    if (seed != 0) {
        ok(world(seed), "the world of %llu", (unsigned long long)seed);
        buf_free(&bytes);
        return tap_done();
    }
    seed = seconds > 0 ? (uint64_t)clock_wall_ms() << 20 : 0;
    for (uint64_t n = 1; good && (seconds > 0 || n <= WORLDS) && clock_ms() < until; n++)
        good = world(seed + n);
    ok(good, "every message once, in order, or the client hears that it is not recovered");
    printf(
        "# %lu worlds: %lu messages, %lu of them replayed; recovered %lu times, %lu elsewhere, %lu "
        "surely; overrun %lu times; not, for: pid %lu, gap %lu, away %lu, offset %lu, start %lu, "
        "hole %lu\n",
        counts.worlds, counts.got, counts.replayed, counts.recovered, counts.moved, counts.sure,
        counts.overrun, counts.refused[BY_PID], counts.refused[BY_GAP], counts.refused[BY_AWAY],
        counts.refused[BY_OFFSET], counts.refused[BY_START], counts.refused[BY_HOLE]);
    ok(counts.moved > counts.worlds && counts.sure > counts.worlds &&
           counts.replayed > counts.worlds,
       "as often as not they have it all back");
    buf_free(&bytes);
    return tap_done();
}
