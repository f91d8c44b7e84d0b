/* Who has most, against a model that looks at all of them; what is counted, and for how long;
 * the limit. */
#include "net/sources.h"

#include "ipc/census.h"
#include "nomem_slab.h"
#include "tap.h"

#define ADDRESSES 40 /* number 0 is none */
#define STRANGERS 400
#define STEPS     40000

struct one {
    struct stranger stranger;
    enum stranger_kind kind;
    unsigned from;
    uint64_t age; /* 0: it is not there */
};

static struct sources sources;
static struct one all[STRANGERS];
static uint64_t changed[ADDRESSES][SOURCE_RANKS]; /* when its number was another */
static uint64_t now;

static uint32_t dice(uint32_t below)
{
    static uint32_t state = 0x1234567;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

static struct address v4(uint32_t n)
{
    struct address address = {.ip = {[10] = 0xff, [11] = 0xff}, .port = (uint16_t)n};

    address.ip[12] = 10;
    address.ip[14] = (uint8_t)(n >> 8);
    address.ip[15] = (uint8_t)n;
    return address;
}

static struct address v6(uint8_t network, uint8_t host)
{
    struct address address = {.ip = {0x20, 0x01, 0x0d, 0xb8, [7] = network, [15] = host}};

    return address;
}

static struct source *take(uint32_t n)
{
    struct address address = v4(n), none = {{0}, 0};

    return source_take(&sources, n > 0 ? &address : &none);
}

static void begin(void)
{
    if (sources_init(&sources, NULL, 0) < 0)
        abort();
}

/* --- who has most --- */

static int counts(enum stranger_kind kind, enum source_rank rank)
{
    return kind == STRANGER_WEBSOCKET ||
           (kind == STRANGER_SOCKET ? rank != SOURCE_SESSIONS : rank != SOURCE_CONNS);
}

static uint32_t number(unsigned from, enum source_rank rank)
{
    uint32_t n = 0;

    for (int i = 0; i < STRANGERS; i++)
        n += all[i].age != 0 && all[i].from == from && counts(all[i].kind, rank);
    return n;
}

/* Which address; -1: none. */
static int model(enum source_rank rank)
{
    uint32_t n[ADDRESSES], others = 0, most = 0;
    int first = -1;

    for (unsigned i = 0; i < ADDRESSES; i++) {
        n[i] = number(i, rank);
        others += i > 0 ? n[i] : 0;
    }
    for (unsigned i = 1; i < ADDRESSES; i++)
        most = n[i] > most ? n[i] : most;
    if (n[0] > others || (n[0] > 0 && most < 2))
        return 0;
    for (int i = 1; i < ADDRESSES; i++)
        if (n[i] > 0 && (first < 0 || n[i] > n[first] ||
                         (n[i] == n[first] && changed[i][rank] < changed[first][rank])))
            first = i;
    return first;
}

static int same_first(enum source_rank rank)
{
    const struct source *got = sources_first(&sources, rank);
    int want = model(rank);

    if (got == NULL || want <= 0)
        return want < 0 ? got == NULL : got == &sources.unknown;
    return got->id[3] == want && source_strangers(got, rank) == number((unsigned)want, rank);
}

static int same_oldest(const struct source *source, unsigned from, enum stranger_kind kind)
{
    const struct one *oldest = NULL;

    for (int i = 0; i < STRANGERS; i++)
        if (all[i].age != 0 && all[i].from == from && all[i].kind == kind &&
            (oldest == NULL || all[i].age < oldest->age))
            oldest = &all[i];
    return source->crowd->oldest[kind] == (oldest != NULL ? &oldest->stranger : NULL);
}

static void toggle(struct one *one)
{
    struct source *source = one->stranger.source;

    if (one->age == 0) {
        /* Some have many more than others. */
        one->from = dice(3) > 0 ? dice(6) : dice(ADDRESSES);
        one->kind = (enum stranger_kind)dice(STRANGER_KINDS);
        source = one->stranger.source = take(one->from);
        one->age = now;
        source_add(&sources, one->kind, &one->stranger);
    } else {
        source_remove(&sources, one->kind, &one->stranger);
        one->age = 0;
        one->stranger.source = NULL;
        source_drop(&sources, source);
    }
    for (enum source_rank rank = 0; rank < SOURCE_RANKS; rank++)
        if (counts(one->kind, rank))
            changed[one->from][rank] = now;
}

static void test_first(void)
{
    unsigned wrong = 0, unordered = 0;

    begin();
    ok(sources_first(&sources, SOURCE_PLACES) == NULL, "nobody");
    for (now = 1; now <= STEPS; now++) {
        struct one *one = &all[dice(STRANGERS)];

        toggle(one);
        if (dice(20) > 0)
            continue;
        for (enum source_rank rank = 0; rank < SOURCE_RANKS; rank++)
            wrong += !same_first(rank);
        if (one->stranger.source != NULL)
            unordered += !same_oldest(one->stranger.source, one->from, one->kind);
    }
    is_int(wrong, 0, "who has most is who has most");
    is_int(unordered, 0, "and the oldest is the oldest");
    for (int i = 0; i < STRANGERS; i++)
        if (all[i].age != 0)
            toggle(&all[i]);
    is_int(sources.table.count, 0, "with the last stranger goes his address");
    ok(sources_first(&sources, SOURCE_PLACES) == NULL, "nobody again");
    sources_clear(&sources);
}

/* More than there were rows for, and without memory for more. */
static void test_rows(void)
{
    static struct stranger many[1000];
    struct source *source, *other;

    for (int capped = 0; capped < 2; capped++) {
        begin();
        for (int rank = 0; rank < SOURCE_RANKS; rank++)
            sources.rankings[rank].is_capped = capped;
        source = take(1);
        other = take(2);
        for (int i = 0; i < 1000; i++) {
            many[i].source = i < 900 ? source : other;
            source_add(&sources, STRANGER_POLLING, &many[i]);
        }
        ok(sources_first(&sources, SOURCE_SESSIONS) == source, "900 of one, 100 of another");
        for (int i = 0; i < 850; i++)
            source_remove(&sources, STRANGER_POLLING, &many[i]);
        ok(sources_first(&sources, SOURCE_SESSIONS) == other, "50 are left of it");
        for (int i = 850; i < 1000; i++)
            source_remove(&sources, STRANGER_POLLING, &many[i]);
        ok(sources_first(&sources, SOURCE_PLACES) == NULL, "and nobody");
        source_drop(&sources, source);
        source_drop(&sources, other);
        sources_clear(&sources);
    }
}

/* --- which addresses are one --- */

static int is_same(struct address a, struct address b)
{
    struct source *one = source_take(&sources, &a), *two = source_take(&sources, &b);
    int same = one == two;

    source_drop(&sources, one);
    source_drop(&sources, two);
    return same;
}

static void test_addresses(void)
{
    struct address none = {{0}, 0}, one = {{[15] = 1}, 9};
    struct source *source;
    char text[WORST_TEXT_MAX];

    begin();
    ok(!is_same(v4(1), v4(2)), "two of IPv4");
    ok(is_same(v4(1), (struct address){.ip = {[10] = 0xff, 0xff, 10, 0, 0, 1}}),
       "the port does not matter");
    ok(is_same(v6(1, 1), v6(1, 2)), "two of one /64");
    ok(!is_same(v6(1, 1), v6(2, 1)), "two of different ones");
    source = source_take(&sources, &none);
    ok(source == &sources.unknown, "none has none");
    is_str(source_text(source, text), "unknown", "which is said");
    source_drop(&sources, source);
    source = source_take(&sources, &one);
    ok(source != &sources.unknown, "::1 is somebody");
    is_str(source_text(source, text), "::/64", "of the first /64");
    source_drop(&sources, source);
    source = take(258);
    is_str(source_text(source, text), "10.0.1.2", "IPv4 as such");
    source_drop(&sources, source);
    source = source_take(&sources, &(struct address){.ip = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 7}});
    is_str(source_text(source, text), "2001:db8:0:7::/64", "IPv6 with its network");
    source_drop(&sources, source);
    is_int(sources.table.count, 0, "of whom nothing is counted nothing is left");
    sources_clear(&sources);
}

/* --- what is counted --- */

static void test_counts(void)
{
    struct source *source;

    begin();
    source = take(1);
    source_count(&sources, source, SOURCE_HANDSHAKES);
    source_count(&sources, source, SOURCE_HANDSHAKES);
    source_count(&sources, source, SOURCE_REFUSED);
    is_int(source_counted(source, SOURCE_HANDSHAKES), 2, "handshakes");
    is_int(source_counted(source, SOURCE_REFUSED), 1, "refused");
    is_int(source_counted(source, SOURCE_TLS), 0, "nothing else");
    source_drop(&sources, source);
    is_int(sources.nidle, 1, "it stays for what is counted");
    ok(take(1) == source, "and is found again");
    is_int(sources.nidle, 1, "with its crowd, in which there is nobody");
    source->crowd->period--;
    is_int(source_counted(source, SOURCE_HANDSHAKES), 2, "in the next period they still count");
    source_count(&sources, source, SOURCE_HANDSHAKES);
    is_int(source_counted(source, SOURCE_HANDSHAKES), 3, "with those of that");
    source->crowd->period--;
    is_int(source_counted(source, SOURCE_HANDSHAKES), 1, "in the one after it they do not");
    source->crowd->period -= 5;
    is_int(source_counted(source, SOURCE_HANDSHAKES), 0, "and later nothing does");
    source_drop(&sources, source);
    is_int(sources.table.count, 0, "so that nothing is left");
    sources_clear(&sources);
}

static void test_idle(void)
{
    struct source *source;

    begin();
    for (uint32_t i = 1; i <= CROWDS_KEPT + 100; i++) {
        source = take(i);
        source_count(&sources, source, SOURCE_HANDSHAKES);
        source_drop(&sources, source);
    }
    is_int(sources.nidle, CROWDS_KEPT, "of those without anybody so many are kept");
    is_int(sources.table.count, CROWDS_KEPT, "and no more");
    source = take(101);
    is_int(source_counted(source, SOURCE_HANDSHAKES), 1, "the latest");
    source_drop(&sources, source);
    source = take(100);
    is_int(source_counted(source, SOURCE_HANDSHAKES), 0, "not the first");
    source_drop(&sources, source);
    for (struct ranked *one = sources.idle.first; one != NULL; one = one->behind)
        ((struct crowd *)(void *)((char *)one - offsetof(struct crowd, ranked)))->period -= 2;
    for (uint32_t i = 1; i <= 10; i++) {
        source = take(60000 + i);
        source_count(&sources, source, SOURCE_HANDSHAKES);
        source_drop(&sources, source);
    }
    is_int(sources.nidle, CROWDS_KEPT - 10, "for each that comes some go that are forgotten");
    sources_clear(&sources);
}

static void refuse(uint32_t n, int times)
{
    struct source *source = take(n);

    while (times-- > 0)
        source_count(&sources, source, SOURCE_REFUSED);
    source_drop(&sources, source);
}

static void test_worst(void)
{
    struct worst worst[WORST_MAX];
    static struct stranger strangers[40];
    struct source *held[40];
    char text[WORST_TEXT_MAX];
    size_t n;

    begin();
    is_int(sources_worst(&sources, worst), 0, "nobody");
    refuse(0, 50);
    is_int(sources_worst(&sources, worst), 0, "who has no address is not listed");
    for (uint32_t i = 1; i <= 30; i++)
        refuse(i, (int)i);
    n = sources_worst(&sources, worst);
    is_int(n, SOURCES_WORST, "as many as fit, by their refused tokens");
    is_str(worst_text(&worst[0], text), "10.0.0.30", "the worst first");
    is_int(worst[0].n[WORST_REFUSED], 30, "with the number");
    is_str(worst_text(&worst[15], text), "10.0.0.15", "down to the last of them");
    for (int i = 0; i < 40; i++) {
        held[i] = take(i < 35 ? 200 : (uint32_t)(170 + i));
        strangers[i].source = held[i];
        source_add(&sources, STRANGER_SOCKET, &strangers[i]);
    }
    n = sources_worst(&sources, worst);
    is_int(n, SOURCES_WORST + 6, "and those with strangers");
    is_str(worst_text(&worst[0], text), "10.0.0.200", "who has most of them is worse");
    is_int(worst[0].n[WORST_STRANGERS], 35, "with that number");
    for (int i = 0; i < 40; i++) {
        source_remove(&sources, STRANGER_SOCKET, &strangers[i]);
        source_drop(&sources, held[i]);
    }
    sources_clear(&sources);
}

/* Others come, and what was refused most is still known. */
static void test_worst_stays(void)
{
    struct worst worst[WORST_MAX];

    begin();
    refuse(9999, 3);
    for (uint32_t i = 1; i <= CROWDS_KEPT + 100; i++) {
        struct source *source = take(i);
        source_count(&sources, source, SOURCE_HANDSHAKES);
        source_drop(&sources, source);
    }
    is_int(sources.nidle, CROWDS_KEPT, "many have come since");
    is_int(sources_worst(&sources, worst), 1, "and were not refused");
    is_int(worst[0].n[WORST_REFUSED], 3, "who was, is still known");
    sources_clear(&sources);
}

static void test_nomem(void)
{
    struct stranger one = {0}, two = {0};
    struct source *source;

    begin();
    for (nomem_nth = 1; nomem_nth <= 2; nomem_nth++) {
        int nth = nomem_nth;
        source = take(1);
        ok(nomem_nth == 0 && source == &sources.unknown, "without memory nobody knows him");
        source_drop(&sources, source);
        nomem_nth = nth;
    }
    nomem_nth = 0;
    one.source = source = take(1);
    two.source = source_hold(source);
    nomem_nth = 1;
    source_count(&sources, source, SOURCE_REFUSED);
    is_int(source_counted(source, SOURCE_REFUSED), 0, "or what he did");
    nomem_nth = 1;
    source_add(&sources, STRANGER_SOCKET, &one);
    is_int(nomem_nth, 0, "his strangers are");
    ok(sources_first(&sources, SOURCE_CONNS) == &sources.unknown, "with those of unknown");
    source_add(&sources, STRANGER_POLLING, &two);
    is_int(sources.nobody.strangers[STRANGER_POLLING], 1, "where the next ones come, too");
    source_count(&sources, source, SOURCE_REFUSED);
    source_remove(&sources, STRANGER_SOCKET, &one);
    is_int(sources.nobody.strangers[STRANGER_SOCKET], 0, "one leaves");
    source_remove(&sources, STRANGER_POLLING, &two);
    is_int(source->nstrangers, 0, "all have");
    source_add(&sources, STRANGER_SOCKET, &one);
    ok(sources_first(&sources, SOURCE_CONNS) == source, "and with memory they are his");
    source_remove(&sources, STRANGER_SOCKET, &one);
    source_drop(&sources, source);
    source_drop(&sources, source);
    is_int(sources.table.count, 0, "nothing is left");
    sources_clear(&sources);
}

/* --- the limit --- */

static void test_limit(void)
{
    struct census *census = census_new(2, 100, NULL);
    struct sources other;
    struct address address = v4(7);
    struct source *here, *there;

    if (sources_init(&sources, census, 0) < 0 || sources_init(&other, census, 1) < 0)
        abort();
    here = take(7);
    there = source_take(&other, &address);
    for (int i = 0; i < 3; i++) {
        source_come(&sources, here, SOURCE_CONN);
        source_come(&other, there, SOURCE_SESSION);
    }
    ok(!source_is_full(&sources, here, SOURCE_CONN), "without a limit nobody is beyond it");
    sources_limit(&sources, 4);
    sources_limit(&other, 4);
    ok(!source_is_full(&sources, here, SOURCE_CONN) && !source_is_full(&other, there, SOURCE_CONN),
       "three of four");
    source_come(&other, there, SOURCE_CONN);
    ok(source_is_full(&sources, here, SOURCE_CONN) && source_is_full(&other, there, SOURCE_CONN),
       "four, of both workers");
    ok(!source_is_full(&sources, here, SOURCE_SESSION), "sessions are others");
    source_come(&sources, here, SOURCE_SESSION);
    ok(source_is_full(&sources, here, SOURCE_SESSION), "of which there are as many now");
    source_go(&other, there, SOURCE_SESSION);
    ok(!source_is_full(&sources, here, SOURCE_SESSION), "one has gone");
    census_clear(census, 1);
    sources_limit(&sources, 3);
    ok(source_is_full(&sources, here, SOURCE_CONN), "the limit is another");
    source_go(&sources, here, SOURCE_CONN);
    ok(!source_is_full(&sources, here, SOURCE_CONN), "the other worker has died");
    sources_limit(&other, 0);
    sources_limit(&other, 3);
    ok(source_is_full(&sources, here, SOURCE_CONN), "one that hears of a limit says what it has");
    ok(!source_is_full(&sources, &sources.unknown, SOURCE_CONN),
       "without an address there is none");
    source_drop(&sources, here);
    source_drop(&other, there);
    sources_clear(&sources);
    sources_clear(&other);
    census_free(&census);
}

int main(void)
{
    test_first();
    test_rows();
    test_addresses();
    test_counts();
    test_idle();
    test_worst();
    test_worst_stays();
    test_nomem();
    test_limit();
    return tap_done();
}
