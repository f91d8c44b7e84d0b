/* The marks of several daemons at one redis, which is an array here, in all kinds of schedules;
 * and the timer of one. */
#include "master/marks.h"

#include "base/clock.h"

#include "nomem_nth.h"
#include "tap.h"

#include <event2/event.h>
#include <stdlib.h>

#define WAIT_MS 30000

static struct event_base *base;

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
    published_ms = clock_ms();
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

/* Runs the loop until *count is n; what is published comes back at once if it is heard. */
static int until(const int *count, int n)
{
    int came = npublished;

    for (uint64_t stop = clock_ms() + WAIT_MS; *count < n && clock_ms() < stop;) {
        event_base_loop(base, EVLOOP_ONCE);
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
    uint64_t before;

    begin(0);
    is_heard = 1;
    ok(until(&npublished, 1), "the first mark comes soon");
    before = published_ms;
    ok(until(&nsteps, 1), "it is heard");
    ok(until(&npublished, 2) && published_ms - before >= MARKS_EVERY_MS,
       "the next one a second later");
    ok(until(&nsteps, 2) && marks_shared(marks), "and then it is shared");
    end();
}

/* Others do it. */
static void test_waits(void)
{
    uint8_t mark[OFFSETS_MARK] = {0};

    begin(0);
    for (int i = 0; i < 60; i++) {
        const struct timeval some = {0, 30000};
        mark[0]++;
        (void)marks_peer(marks, slice_of(mark));
        event_base_loopexit(base, &some);
        event_base_dispatch(base);
    }
    ok(npublished == 0 && nsteps == 60, "while others publish it does not: %d, %d steps",
       npublished, nsteps);
    end();
}

/* Where nothing can be published. */
static void test_alone(void)
{
    uint64_t start = clock_ms(), offset;

    begin(-1);
    offset = marks_message(marks, SLICE("c"), SLICE("x"));
    ok(until(&nsteps, 1) && clock_ms() - start >= MARKS_ALONE_MS - 5,
       "after a while it has marks of its own");
    ok(npublished >= 3, "it has tried: %d", npublished);
    ok(stepped != offset && stepped == marks_offset(marks) && stepped == marks_marked(marks),
       "they move it");
    ok(until(&nsteps, 3), "one after the other");
    ok(!marks_shared(marks), "but nobody else knows them");
    publish_rc = 0;
    is_heard = 1;
    npublished = 0;
    ok(until(&npublished, 2), "once it can it publishes");
    event_base_loop(base, EVLOOP_NONBLOCK);
    (void)marks_peer(marks, slice_of(last));
    ok(marks_shared(marks), "and they are shared then");
    end();
}

static void test_refused(void)
{
    int tries;

    begin(0);
    ok(until(&npublished, 1), "one is published");
    marks_refused(marks);
    ok(until(&nsteps, 2), "it is refused: two of its own");
    tries = npublished;
    is_int(tries, 1, "and none that would be refused again");
    is_int(marks_peer(marks, slice_of(last)), 1, "one that others publish is taken");
    marks_refused(marks);
    ok(until(&npublished, tries + 1), "what is refused later is not the one that has come");
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
    test_refused();
    event_base_free(base);
    return tap_done();
}
