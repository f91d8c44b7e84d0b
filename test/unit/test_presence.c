/* Who is told of, and when: the clock, the users' connections and redis are made up here. */
#include "base/clock.h"
#include "log_file.h"
#include "master/presence.h"
#include "tap.h"

#include <errno.h>
#include <stdlib.h>

/* --- memory --- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static int nomem; /* the allocation that fails: 1 is the next; 0: none */

void *__wrap_malloc(size_t size)
{
    if (nomem > 0 && --nomem == 0) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_malloc(size);
}

/* --- time --- */

static uint64_t now_ms = 1000000, wake_ms; /* 0: it has not asked */

uint64_t clock_ms(void)
{
    return now_ms;
}

uint64_t clock_us(void)
{
    return now_ms * 1000;
}

/* --- who is connected --- */

#define USERS 3000

static struct {
    char uid[16];
    size_t n;
} users[USERS];
static size_t nusers, asked;

static size_t *connections(const char *uid, size_t len)
{
    for (size_t i = 0; i < nusers; i++)
        if (strlen(users[i].uid) == len && memcmp(users[i].uid, uid, len) == 0)
            return &users[i].n;
    memcpy(users[nusers].uid, uid, len);
    users[nusers].uid[len] = '\0';
    users[nusers].n = 0;
    return &users[nusers++].n;
}

static size_t on_connections(struct slice uid, void *arg)
{
    (void)arg;
    asked++;
    return *connections(uid.ptr, uid.len);
}

static size_t scans;

/* One of them at a time. */
static uint32_t on_scan(uint32_t cursor, void (*visit)(struct slice uid, void *visit_arg),
                        void *visit_arg, void *arg)
{
    (void)arg;
    scans++;
    if (cursor < nusers && users[cursor].n > 0)
        visit(slice_str(users[cursor].uid), visit_arg);
    return cursor + 1 < nusers ? cursor + 1 : 0;
}

/* --- redis --- */

static int refuses; /* nothing can be published */
static size_t npublished, nwaiting, first;
static struct {
    void (*done)(int ok, void *arg);
    void *arg;
} waiting[2 * USERS];
static char published[4096]; /* "ann+1 " has come with one connection, "ann- " has gone */

static void note(const struct buf *payload)
{
    char text[256], uid[64], online[8];
    unsigned n;
    size_t len = strlen(published);

    snprintf(text, sizeof(text), "%.*s", (int)payload->len, (const char *)payload->data);
    if (sscanf(
            text,
            "{\"uid\":\"own\",\"type\":6,\"data\":[\"presence\",{\"uid\":\"%63[^\"]\",\"online\":"
            "%7[a-z],\"connections\":%u}]}",
            uid, online, &n) != 3 ||
        text[strlen(text) - 1] != '}' || strcmp(online, n > 0 ? "true" : "false") != 0)
        snprintf(published + len, sizeof(published) - len, "?%s ", text);
    else if (n > 0)
        snprintf(published + len, sizeof(published) - len, "%s+%u ", uid, n);
    else
        snprintf(published + len, sizeof(published) - len, "%s- ", uid);
}

static int on_publish(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                      void *arg)
{
    (void)arg;
    if (refuses)
        return -1;
    if (npublished++ < 100)
        note(payload);
    buf_free(payload);
    waiting[nwaiting].done = done;
    waiting[nwaiting++].arg = done_arg;
    return 0;
}

static void on_wake(unsigned ms, void *arg)
{
    (void)arg;
    wake_ms = now_ms + ms;
}

static const struct presence_ops ops = {on_connections, on_scan, on_publish, on_wake};

/* --- one presence --- */

static struct presence *presence;

static void begin(int on)
{
    nusers = npublished = nwaiting = first = 0;
    refuses = 0;
    wake_ms = 0;
    published[0] = '\0';
    presence = presence_new(SLICE("own"), &ops, NULL);
    presence_set(presence, on);
}

/* What it has asked for comes, as often as it asks within ms. */
static void pass(unsigned ms)
{
    uint64_t end_ms = now_ms + ms;

    for (int i = 0; wake_ms != 0 && wake_ms <= end_ms && i < 10000; i++) {
        now_ms = wake_ms > now_ms ? wake_ms : now_ms;
        wake_ms = 0;
        presence_wake(presence);
    }
    now_ms = end_ms;
}

/* The next n that wait for redis are confirmed, or lost. */
static void confirm(size_t n, int ok)
{
    while (n-- > 0 && first < nwaiting) {
        first++;
        waiting[first - 1].done(ok, waiting[first - 1].arg);
    }
}

static void confirmed(void)
{
    confirm(SIZE_MAX, 1);
}

static void come(const char *uid)
{
    ++*connections(uid, strlen(uid));
    presence_changed(presence, slice_str(uid), 0);
}

static void go(const char *uid, int moved)
{
    --*connections(uid, strlen(uid));
    presence_changed(presence, slice_str(uid), moved);
}

/* That has been published since the last time. */
static void told(const char *want, const char *name)
{
    is_str(published, want, name);
    published[0] = '\0';
    npublished = 0;
}

static void end(void)
{
    confirmed();
    presence_free(&presence);
    ok(presence == NULL, "freed");
    presence_free(&presence);
}

/* --- tests --- */

static void test_come_and_go(void)
{
    begin(1);
    come("ann");
    told("", "not in the middle of the admission");
    pass(0);
    told("ann+1 ", "comes");
    is_int((long)presence_stats(presence).told[1], 0, "is counted");
    confirmed();
    is_int((long)presence_stats(presence).told[1], 1, "when redis has confirmed it");
    come("ann");
    pass(5000);
    told("", "a second connection is no event");
    go("ann", 0);
    pass(5000);
    told("", "nor is its end");
    go("ann", 0);
    pass(999);
    told("", "the last one ends: not within a second");
    pass(1);
    told("ann- ", "then it has gone");
    confirmed();
    is_int((long)presence_stats(presence).told[0], 1, "counted");
    come("ann");
    come("bob");
    come("bob");
    pass(0);
    told("ann+1 bob+2 ", "comes again; with two connections at once");
    confirmed();
    go("bob", 0);
    go("ann", 0);
    pass(500);
    go("bob", 0);
    pass(500);
    told("ann- ", "each a second after its own end");
    pass(500);
    told("bob- ", "each");
    confirmed();
    is_int((long)presence_stats(presence).waiting, 0, "nothing is left");
    end();
}

static void test_back(void)
{
    begin(1);
    come("ann");
    pass(0);
    confirmed();
    published[0] = '\0';
    go("ann", 0);
    pass(999);
    come("ann");
    pass(10000);
    told("", "back within a second: no event");
    go("ann", 0);
    pass(999);
    come("ann");
    go("ann", 0);
    pass(999);
    told("", "and gone again: another second");
    pass(1);
    told("ann- ", "is what it has");
    end();

    begin(1);
    come("ann");
    go("ann", 0);
    pass(10000);
    told("", "one who has gone before anything was told was never here");
    is_int((long)presence_stats(presence).waiting, 0, "nothing is kept of it");
    come("ann");
    pass(0);
    go("ann", 0);
    pass(3000);
    told("ann+1 ", "while redis has not confirmed the one the other waits");
    confirmed();
    pass(1000);
    told("ann- ", "and comes then");
    come("ann");
    pass(0);
    told("", "likewise");
    confirmed();
    pass(0);
    told("ann+1 ", "the other way round");
    end();
}

static void test_moved(void)
{
    begin(1);
    come("ann");
    come("bob");
    pass(0);
    confirmed();
    told("ann+1 bob+1 ", "two");
    go("ann", 1);
    go("bob", 0);
    pass(1000);
    told("bob- ", "one who is moved has more time");
    pass(PRESENCE_MOVED_MS - 1001);
    come("ann");
    pass(10000);
    told("", "back within it: no event");
    go("ann", 1);
    pass(PRESENCE_MOVED_MS - 1);
    told("", "not yet");
    pass(1);
    told("ann- ", "gone after it");
    end();
}

static void test_worker_down(void)
{
    begin(1);
    come("ann");
    come("bob");
    come("cid");
    pass(0);
    confirmed();
    told("ann+1 bob+1 cid+1 ", "three");
    go("cid", 0);
    come("dan");
    *connections("ann", 3) = *connections("dan", 3) = 0;
    presence_worker_down(presence);
    pass(1000);
    told("cid- ", "whoever was gone before has a second; who had not been told of is forgotten");
    come("ann");
    *connections("bob", 3) = 0;
    presence_worker_down(presence);
    come("bob");
    presence_worker_down(presence);
    pass(20000);
    told("", "who is back has not gone");
    *connections("bob", 3) = 0;
    presence_worker_down(presence);
    pass(PRESENCE_MOVED_MS);
    told("bob- ", "who is not has");
    end();
}

/* While nothing can be published. */
static void test_down(void)
{
    begin(1);
    come("ann");
    come("bob");
    pass(0);
    confirmed();
    told("ann+1 bob+1 ", "two");
    refuses = 1;
    go("ann", 0);
    come("cid");
    come("dan");
    pass(20000);
    go("dan", 0);
    go("bob", 0);
    pass(20000);
    come("bob");
    is_int((long)presence_stats(presence).waiting, 2, "two wait");
    refuses = 0;
    presence_ready(presence);
    pass(0);
    told("cid+1 ann- ", "what differs from what was told is, when it can be");
    confirmed();
    refuses = 1;
    go("cid", 0);
    pass(2000);
    refuses = 0;
    pass(1000);
    told("cid- ", "or a second later, if nobody says so");
    end();
}

/* redis has not confirmed it. */
static void test_lost(void)
{
    begin(1);
    come("ann");
    pass(0);
    told("ann+1 ", "told");
    confirm(1, 0);
    is_int((long)presence_stats(presence).failed, 1, "and lost");
    is_int(logged("presence: redis has refused"), 1, "which is logged");
    pass(999);
    told("", "not at once again");
    pass(1);
    told("ann+1 ", "but a second later");
    confirm(1, 0);
    go("ann", 0);
    presence_ready(presence);
    pass(999);
    told("", "it may not have come: it has its second to be back");
    pass(1);
    told("ann- ", "it may have come, too: that it has gone is told");
    confirm(1, 0);
    come("ann");
    presence_ready(presence);
    pass(0);
    told("ann+1 ", "and that it is back");
    confirm(1, 0);
    is_int(logged("presence: redis has refused"), 1, "one line a minute");
    presence_ready(presence);
    pass(0);
    told("ann+1 ", "until it is confirmed");
    confirmed();
    pass(10000);
    told("", "then not again");
    is_int((long)presence_stats(presence).told[1], 1, "counted once");
    end();
}

/* redis takes none of many. */
static void test_refused(void)
{
    begin(1);
    come("ann");
    come("bob");
    come("cid");
    pass(0);
    told("ann+1 bob+1 cid+1 ", "three at once");
    confirm(3, 0);
    for (int i = 0; i < 2; i++) {
        pass(999);
        confirm(1, 0);
        told("", "then nothing");
        pass(1);
        told(i == 0 ? "ann+1 " : "bob+1 ", "but one in a second");
        confirm(1, 0);
    }
    pass(1000);
    told("cid+1 ", "one");
    confirm(1, 1);
    pass(0);
    told("ann+1 bob+1 ", "until it takes one");
    end();
}

static void crowd(size_t n)
{
    char uid[16];

    for (size_t i = 0; i < n; i++) {
        snprintf(uid, sizeof(uid), "u%zu", i);
        users[i].n = 1;
        strcpy(users[i].uid, uid);
    }
    nusers = n;
}

static void test_crowd(void)
{
    size_t before;

    begin(0);
    crowd(2500);
    presence_changed(presence, SLICE("u1"), 0);
    pass(10000);
    is_int((long)npublished, 0, "off: nothing is told");
    presence_set(presence, 1);
    scans = 0;
    wake_ms = 0;
    presence_wake(presence);
    is_int((long)scans, 1000, "on: a thousand are looked for in one turn");
    pass(0);
    is_int((long)npublished, 1000, "on: all come, a thousand of them at once");
    is_int((long)scans, 2500, "all have been found");
    pass(20000);
    is_int((long)npublished, 1000, "no more than redis confirms");
    confirm(300, 1);
    is_int((long)npublished, 1000, "not in the middle of its answers");
    pass(0);
    is_int((long)npublished, 1300, "as many more");
    for (int i = 0; i < 3; i++) {
        confirmed();
        pass(0);
    }
    is_int((long)npublished, 2500, "all");
    is_int((long)presence_stats(presence).told[1], 2500, "confirmed");

    for (size_t i = 0; i < 2500; i++)
        users[i].n = 0;
    presence_worker_down(presence);
    before = asked;
    wake_ms = 0;
    presence_wake(presence);
    is_int((long)(asked - before), 1000, "a thousand are looked at in one turn");
    pass(PRESENCE_MOVED_MS);
    is_int((long)npublished, 3500, "they have gone");
    presence_set(presence, 0);
    confirmed();
    pass(20000);
    is_int((long)npublished, 3500, "off: no more is told");
    is_int((long)presence_stats(presence).waiting, 0, "and nothing kept");
    presence_set(presence, 0);
    end();
}

/* On, off and on again, while the first is on its way. */
static void test_off(void)
{
    begin(1);
    come("ann");
    come("bob");
    go("bob", 0);
    pass(0);
    presence_set(presence, 0);
    presence_set(presence, 1);
    pass(0);
    told("ann+1 ann+1 ", "all who are connected come again");
    confirmed();
    go("ann", 0);
    presence_set(presence, 0);
    pass(10000);
    told("", "off: who has gone is not told of");
    presence_set(presence, 1);
    pass(10000);
    told("", "nor later");
    end();

    begin(1);
    come("ann");
    pass(0);
    presence_set(presence, 0);
    presence_free(&presence); /* the feed, which would call back, has gone before */
}

static void test_stop(void)
{
    begin(1);
    crowd(1500);
    presence_set(presence, 0);
    presence_set(presence, 1);
    pass(0);
    confirmed();
    pass(0);
    confirmed();
    is_int((long)npublished, 1500, "a crowd");
    users[0].n = 0;
    presence_changed(presence, SLICE("u0"), 1);
    pass(10);
    is_int((long)npublished, 1500, "one is moved");
    presence_stop(presence);
    pass(0);
    is_int((long)npublished, 1501, "a stop: it is not waited for");
    users[1].n = 0;
    presence_changed(presence, SLICE("u1"), 1);
    pass(0);
    is_int((long)npublished, 1502, "nor is any other");
    for (size_t i = 2; i < 1500; i++)
        users[i].n = 0;
    presence_worker_down(presence);
    presence_wake(presence);
    is_int((long)npublished, 3000, "all at once, at the end");
    end();
}

static void test_memory(void)
{
    begin(1);
    nomem = 1;
    come("ann");
    pass(999);
    told("", "without memory");
    pass(1);
    told("ann+1 ", "it is found a second later");
    confirmed();
    go("ann", 0);
    nomem = 1;
    come("bob");
    nomem = 0;
    go("bob", 0);
    pass(1000);
    told("ann- ", "or not, if it is not there any more");
    end();

    begin(0);
    crowd(5);
    presence_set(presence, 1);
    nomem = 3;
    pass(0);
    nomem = 0;
    is_int((long)npublished, 2, "in the middle of a look");
    pass(1000);
    told("u0+1 u1+1 u2+1 u3+1 u4+1 ", "all are looked for once more");
    end();
    nomem = 0;
}

static void test_names(void)
{
    begin(1);
    come("a\"b");
    pass(0);
    ok(strstr(published, "\"uid\":\"a\\\"b\"") != NULL, "names are escaped");
    end();
}

int main(void)
{
    log_begin_at(LOG_LEVEL_INFO);
    test_come_and_go();
    test_back();
    test_moved();
    test_worker_down();
    test_down();
    test_lost();
    test_refused();
    test_crowd();
    test_off();
    test_stop();
    test_memory();
    test_names();
    log_end();
    return tap_done();
}
