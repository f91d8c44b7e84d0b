/* The marks of several daemons at one redis, which is an array here, in all kinds of schedules;
 * and the timer of one. */
#include "master/marks.h"

#include "nomem_nth.h"
#include "tap.h"

#include <event2/event.h>
#include <stdlib.h>

static struct event_base *base;

/* --- the time, which passes when the test wants it -------------------------------- */

uint64_t __wrap_clock_ms(void);
int __wrap_event_add(struct event *event, const struct timeval *tv);

static uint64_t now_ms = 1000000;
static struct event *timer; /* the only one */
static uint64_t due_ms;
static int add_rc;

uint64_t __wrap_clock_ms(void)
{
    return now_ms;
}

int __wrap_event_add(struct event *event, const struct timeval *tv)
{
    timer = event;
    due_ms = now_ms + (uint64_t)tv->tv_sec * 1000 + (uint64_t)tv->tv_usec / 1000;
    return add_rc;
}

/* Until the timer is due. */
static void pass(void)
{
    if (due_ms > now_ms)
        now_ms = due_ms;
    event_active(timer, EV_TIMEOUT, 1);
    event_base_loop(base, EVLOOP_NONBLOCK);
}

/* --- one, and its timer --------------------------------------------------------- */

static struct marks *marks;
static int nsteps, npublished, publish_rc, is_heard;
static uint64_t stepped; /* what the last step said */
static uint8_t last[OFFSETS_MARK];
static uint64_t published_ms;

static void on_step(uint64_t offset, void *arg)
{
    (void)arg;
    nsteps++;
    stepped = offset;
}

static int on_publish(const uint8_t mark[OFFSETS_MARK], void *arg)
{
    (void)arg;
    npublished++;
    published_ms = now_ms;
    memcpy(last, mark, sizeof(last));
    return publish_rc;
}

static const struct marks_ops ops = {on_step, on_publish};

static struct slice slice_of(const uint8_t mark[OFFSETS_MARK])
{
    return (struct slice){(const char *)mark, OFFSETS_MARK};
}

static void begin(int rc)
{
    nsteps = npublished = is_heard = 0;
    publish_rc = rc;
    marks = marks_new(base, &ops, NULL);
    if (marks == NULL)
        abort();
}

static void end(void)
{
    marks_free(&marks);
    event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Until *count is n; what is published comes back at once if it is heard. */
static int until(const int *count, int n)
{
    for (int i = 0, came = npublished; *count < n && i < 1000; i++) {
        pass();
        if (is_heard && npublished > came) {
            came = npublished;
            (void)marks_peer(marks, slice_of(last));
        }
    }
    return *count >= n;
}

static void test_messages(void)
{
    uint64_t first, offset, marked;
    uint8_t mark[OFFSETS_MARK] = {1, 2, 3};

    begin(0);
    first = marks_offset(marks);
    ok(first != 0 && marks_marked(marks) == first && !marks_shared(marks), "it begins somewhere");
    offset = marks_message(marks, SLICE("c"), SLICE("x"));
    ok(offset != first && offset == marks_offset(marks), "each message moves it");
    ok(marks_message(marks, SLICE("c"), SLICE("x")) != offset, "an equal one, too");
    is_int(nsteps, 0, "which is no step");
    is_int(marks_marked(marks) == first, 1, "and leaves what is behind the last mark");
    ok(!marks_peer(marks, SLICE("fifteen bytes..")) && !marks_peer(marks, SLICE("")) &&
           !marks_peer(marks, SLICE("seventeen bytes..")),
       "what daemons say otherwise is no mark");
    is_int(marks_offset(marks) != offset && nsteps == 0, 1, "and does not move it");
    is_int(marks_peer(marks, slice_of(mark)), 1, "a mark is one");
    marked = marks_offset(marks);
    ok(nsteps == 1 && stepped == marked && marks_marked(marks) == marked, "and a step");
    ok(marks_peer(marks, slice_of(mark)) && nsteps == 1 && marks_offset(marks) == marked,
       "the same once more is none");
    ok(!marks_shared(marks), "after one nobody else knows what it says");
    mark[0]++;
    ok(marks_peer(marks, slice_of(mark)) && marks_shared(marks), "after two they do");
    marks_gap(marks, SLICE("node"));
    ok(!marks_shared(marks) && nsteps == 3 && stepped == marks_offset(marks) && stepped != marked,
       "behind a gap it begins anew, which is a step");
    end();
}

static void test_publishes(void)
{
    uint64_t before = now_ms;

    begin(0);
    is_heard = 1;
    ok(until(&npublished, 1) && published_ms - before < MARKS_JITTER_MS,
       "the first mark comes soon");
    for (int i = 2; i < 50; i++) {
        uint64_t ms;
        before = published_ms;
        (void)until(&npublished, i);
        ms = published_ms - before;
        if (ms < MARKS_EVERY_MS || ms >= MARKS_EVERY_MS + MARKS_JITTER_MS)
            ok(0, "the next one comes after %u ms", (unsigned)ms);
    }
    ok(nsteps == 49 && marks_shared(marks), "then one a second, and they are shared");
    end();
}

/* Others do it. */
static void test_waits(void)
{
    uint8_t mark[OFFSETS_MARK] = {0};
    int early = 0;

    begin(0);
    for (int i = 0; i < 60; i++) {
        mark[0]++;
        (void)marks_peer(marks, slice_of(mark));
        now_ms += MARKS_EVERY_MS - 1;
        early += due_ms <= now_ms;
    }
    ok(npublished == 0 && nsteps == 60 && early == 0, "while others publish it does not");
    end();
}

/* Where nothing can be published. */
static void test_alone(void)
{
    uint64_t start = now_ms, offset;

    begin(-1);
    offset = marks_message(marks, SLICE("c"), SLICE("x"));
    ok(until(&nsteps, 1), "after a while it has marks of its own");
    is_int((long)(now_ms - start), MARKS_ALONE_MS, "when others would have had time");
    ok(npublished >= 3, "it has tried: %d", npublished);
    ok(stepped != offset && stepped == marks_offset(marks) && stepped == marks_marked(marks),
       "they move it");
    start = now_ms;
    ok(until(&nsteps, 11), "one after the other");
    is_int((long)(now_ms - start), 10 * MARKS_EVERY_MS, "a second each");
    ok(!marks_shared(marks), "but nobody else knows them");
    publish_rc = 0;
    is_heard = 1;
    start = now_ms;
    npublished = 0;
    ok(until(&npublished, 2) && now_ms - start <= 2000, "once it can it publishes");
    ok(marks_shared(marks), "and they are shared then");
    end();
}

/* Others can, and are late. */
static void test_late(void)
{
    uint8_t mark[OFFSETS_MARK] = {0};

    begin(-1);
    for (int i = 0; i < 60; i++) {
        uint64_t stop = now_ms + MARKS_ALONE_MS - 1;
        while (due_ms <= stop)
            pass();
        now_ms = stop;
        mark[0]++;
        (void)marks_peer(marks, slice_of(mark));
    }
    ok(nsteps == 60 && marks_shared(marks), "whoever cannot publish waits for those of others");
    end();
}

static void test_refused(void)
{
    uint64_t start = now_ms;

    begin(0);
    ok(until(&npublished, 1), "one is published");
    marks_refused(marks);
    ok(until(&nsteps, 3), "it is refused: some of its own");
    is_int(npublished, 1, "and none that would be refused again");
    is_int((long)(now_ms - start), MARKS_ALONE_MS + 2 * MARKS_EVERY_MS, "as if it were alone");
    ok(until(&npublished, 2) && now_ms - start >= MARKS_RETRY_MS, "but for one now and then");
    is_int(marks_peer(marks, slice_of(last)), 1, "which is taken when it comes");
    start = now_ms;
    marks_refused(marks);
    ok(until(&npublished, 3) && now_ms - start <= MARKS_EVERY_MS + MARKS_JITTER_MS,
       "what is refused later is not the one that has come");
    end();
}

static void test_lost(void)
{
    uint64_t start = now_ms;

    begin(0);
    ok(until(&npublished, 1), "one is published");
    ok(until(&nsteps, 1), "it never comes: one of its own");
    ok(now_ms - start >= MARKS_LOST_MS && now_ms - start < MARKS_LOST_MS + MARKS_JITTER_MS,
       "in the end");
    is_int(npublished, 1, "and nothing is published meanwhile");
    end();
}

static void test_memory(void)
{
    int rc = -1;

    for (int n = 1; rc < 0 && n < 20; n++) {
        nomem_nth = n;
        marks = marks_new(base, &ops, NULL);
        nomem_nth = 0;
        rc = marks != NULL ? 0 : -1;
        marks_free(&marks);
    }
    is_int(rc, 0, "without memory there are none");
    add_rc = -1;
    marks = marks_new(base, &ops, NULL);
    add_rc = 0;
    ok(marks == NULL, "nor without a timer");
}

/* --- many ------------------------------------------------------------------------ */

enum { DAEMONS = 3, EVENTS = 4000, PLACES = 1 << 16 };

static struct marks *daemons[DAEMONS];
static int is_subscribed[DAEMONS], hears_marks[DAEMONS];
static int nmarks[DAEMONS]; /* since it was subscribed */

/* Which position an offset names: how many messages there were before it. */
static struct {
    uint64_t offset;
    unsigned position;
    unsigned who; /* bits of daemons */
} places[PLACES];
static size_t nplaces;

static unsigned position; /* of redis */
static int wrong;

static unsigned seed;

static unsigned draw(unsigned bound)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % bound;
}

static size_t place_of(uint64_t offset)
{
    size_t i = offset % PLACES;

    while (places[i].offset != 0 && places[i].offset != offset)
        i = (i + 1) % PLACES;
    return i;
}

/* That daemon has such an offset now. */
static void note(int who, uint64_t offset)
{
    size_t i = place_of(offset);

    if (places[i].offset == 0) {
        if (++nplaces > PLACES / 2)
            abort();
        places[i].offset = offset;
        places[i].position = position;
    }
    wrong += places[i].position != position;
    places[i].who |= 1U << who;
}

static int current; /* whose step it is */

static void on_sim_step(uint64_t offset, void *arg)
{
    (void)arg;
    note(current, offset);
}

static int on_sim_publish(const uint8_t mark[OFFSETS_MARK], void *arg)
{
    (void)mark, (void)arg;
    return -1;
}

static const struct marks_ops sim_ops = {on_sim_step, on_sim_publish};

static void subscribe(int who)
{
    current = who;
    is_subscribed[who] = 1;
    nmarks[who] = 0;
    marks_gap(daemons[who], SLICE("n"));
}

static void event_message(void)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u", draw(3)); /* many are equal */
    position++;
    for (int i = 0; i < DAEMONS; i++)
        if (is_subscribed[i])
            note(i, marks_message(daemons[i], SLICE("k#/axr#"), slice_str(text)));
}

static void event_mark(void)
{
    uint8_t mark[OFFSETS_MARK];

    for (size_t i = 0; i < sizeof(mark); i++)
        mark[i] = (uint8_t)draw(256);
    for (int i = 0; i < DAEMONS; i++) {
        current = i;
        if (is_subscribed[i] && hears_marks[i]) {
            nmarks[i]++;
            (void)marks_peer(daemons[i], slice_of(mark));
        }
    }
}

/* All that have heard two marks say the same; whoever has heard none says what nobody else does. */
static int agreed, alone;

static void check(void)
{
    uint64_t common = 0;

    for (int i = 0; i < DAEMONS; i++) {
        uint64_t offset = marks_offset(daemons[i]);
        if (!is_subscribed[i])
            continue;
        wrong += marks_shared(daemons[i]) != (nmarks[i] >= 2);
        if (nmarks[i] >= 2) {
            wrong += common != 0 && offset != common;
            agreed += common != 0;
            common = offset;
        } else if (nmarks[i] == 0) {
            wrong += places[place_of(offset)].who != 1U << i;
            alone++;
        }
    }
}

static void schedule(unsigned number)
{
    memset(places, 0, sizeof(places));
    nplaces = 0;
    position = 0;
    seed = number;
    for (int i = 0; i < DAEMONS; i++) {
        daemons[i] = marks_new(base, &sim_ops, NULL);
        is_subscribed[i] = 0;
        hears_marks[i] = draw(5) > 0;
    }
    for (int i = 0; i < EVENTS; i++) {
        int who = (int)draw(DAEMONS);
        unsigned what = draw(100);
        if (what < 2)
            is_subscribed[who] ? (void)(is_subscribed[who] = 0) : subscribe(who);
        else if (what < 20)
            event_mark();
        else if (what < 22 + number % 70)
            event_message();
        check();
    }
    for (int i = 0; i < DAEMONS; i++)
        marks_free(&daemons[i]);
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void test_agree(void)
{
    for (unsigned i = 1; i <= 100; i++)
        schedule(i);
    is_int(wrong, 0, "in 100 schedules no offset names two positions, and all know who should");
    ok(agreed > 10000 && alone > 1000, "agreed %d times, alone %d times", agreed, alone);
}

/* The same messages at another node are other positions. */
static void test_nodes(void)
{
    uint8_t mark[OFFSETS_MARK] = {7};
    struct marks *one = marks_new(base, &ops, NULL), *other = marks_new(base, &ops, NULL);

    marks_gap(one, SLICE("node a"));
    marks_gap(other, SLICE("node b"));
    for (int i = 0; i < 3; i++) {
        mark[1]++;
        (void)marks_peer(one, slice_of(mark));
        (void)marks_peer(other, slice_of(mark));
    }
    ok(marks_offset(one) != marks_offset(other), "two nodes of a Cluster never say the same");
    marks_gap(other, SLICE("node a"));
    for (int i = 0; i < 3; i++) {
        mark[1]++;
        (void)marks_peer(one, slice_of(mark));
        (void)marks_peer(other, slice_of(mark));
    }
    ok(marks_offset(one) == marks_offset(other), "at one node they do");
    marks_free(&one);
    marks_free(&other);
    event_base_loop(base, EVLOOP_NONBLOCK);
}

int main(void)
{
    base = event_base_new();
    test_messages();
    test_memory();
    test_agree();
    test_nodes();
    test_publishes();
    test_waits();
    test_alone();
    test_late();
    test_refused();
    test_lost();
    event_base_free(base);
    return tap_done();
}
