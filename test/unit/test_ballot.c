/* Which of the places that sentinels name is the best. */
#include "codec/ballot.h"

#include "tap.h"

#include <stdio.h>

static char shown[400];

static const char *show(const struct vote *votes, size_t n)
{
    struct candidate list[BALLOT_MAX];
    size_t found = ballot_count(votes, n, list), len = 0;

    shown[0] = '\0';
    for (size_t i = 0; i < found; i++)
        len += (size_t)snprintf(shown + len, sizeof(shown) - len, "%s%s:%d %lld/%llu x%u",
                                i > 0 ? ", " : "", list[i].host, list[i].port,
                                (long long)list[i].epoch, (unsigned long long)list[i].news,
                                list[i].votes);
    return shown;
}

#define SHOW(...)                                                                                  \
    show((const struct vote[]){__VA_ARGS__},                                                       \
         sizeof((const struct vote[]){__VA_ARGS__}) / sizeof(struct vote))

static void test_count(void)
{
    is_str(SHOW({NULL, 0, 0, 0}), "", "none names one");
    is_str(SHOW({"a", 1, 3, 0}), "a:1 3/0 x1", "one does");
    is_str(SHOW({"a", 1, 3, 0}, {NULL, 1, 9, 9}, {"a", 1, 3, 2}), "a:1 3/2 x2",
           "two name the same");
    is_str(SHOW({"a", 1, 3, 0}, {"A", 1, 4, 0}), "a:1 4/0 x2", "in any case of letters");
    is_str(SHOW({"a", 1, 3, 0}, {"a", 2, 4, 0}), "a:2 4/0 x1, a:1 3/0 x1",
           "the newer configuration is better");
    is_str(SHOW({"old", 1, 3, 0}, {"old", 1, 3, 0}, {"new", 1, 4, 1}), "new:1 4/1 x1, old:1 3/0 x2",
           "though fewer name it");
    is_str(SHOW({"old", 1, -1, 0}, {"old", 1, -1, 0}, {"new", 1, -1, 1}),
           "new:1 -1/1 x1, old:1 -1/0 x2", "where epochs are not known, the later news are");
    is_str(SHOW({"old", 1, -1, 5}, {"new", 1, 0, 0}), "new:1 0/0 x1, old:1 -1/5 x1",
           "any epoch is more than none");
    is_str(SHOW({"a", 1, 3, 0}, {"b", 1, 3, 0}, {"b", 1, 3, 0}), "b:1 3/0 x2, a:1 3/0 x1",
           "else what more of them name");
    is_str(SHOW({"a", 1, 3, 0}, {"b", 1, 3, 0}), "a:1 3/0 x1, b:1 3/0 x1", "else the first");
    is_str(SHOW({"c", 1, 1, 0}, {"b", 1, 2, 0}, {"a", 1, 3, 0}),
           "a:1 3/0 x1, b:1 2/0 x1, c:1 1/0 x1", "all of them, in order");
}

static void test_many(void)
{
    struct vote votes[BALLOT_MAX + 4];
    struct candidate list[BALLOT_MAX];

    for (int i = 0; i < BALLOT_MAX + 4; i++)
        votes[i] = (struct vote){"h", i, i, 0};
    is_int(ballot_count(votes, BALLOT_MAX + 4, list), BALLOT_MAX, "no more than there may be");
    is_int(list[0].port, BALLOT_MAX - 1, "the best of these is first");
}

static void test_rules(void)
{
    struct candidate one = {"h", 1, 2, 3, 2};

    ok(ballot_is_newer(&one, 2, 9) && ballot_is_newer(&one, 3, 1) && ballot_is_newer(&one, -1, 9),
       "newer by epoch, or by news");
    ok(!ballot_is_newer(&one, 3, 2) && !ballot_is_newer(&one, 4, 0), "and not");
    ok(ballot_is_majority(&one, 3) && ballot_is_majority(&one, 2) && !ballot_is_majority(&one, 4) &&
           !ballot_is_majority(&one, 5),
       "more than half");
    ok(ballot_is_at(&one, "H", 1) && !ballot_is_at(&one, "h", 2) && !ballot_is_at(&one, "i", 1) &&
           !ballot_is_at(&one, NULL, 1),
       "a place");
}

static void test_port(void)
{
    char host[BALLOT_HOST_MAX + 1];

    memset(host, 'h', sizeof(host));
    host[BALLOT_HOST_MAX - 1] = '\0';
    is_int(ballot_port("a-1_b.example", 13, "6379"), 6379, "a name");
    is_int(ballot_port("fe80::1%eth0", 12, "65535"), 65535, "an address");
    is_int(ballot_port(host, BALLOT_HOST_MAX - 1, "1"), 1, "a long one");
    host[BALLOT_HOST_MAX - 1] = 'h';
    host[BALLOT_HOST_MAX] = '\0';
    is_int(ballot_port(host, BALLOT_HOST_MAX, "1"), -1, "one that is too long");
    is_int(ballot_port("", 0, "1"), -1, "none");
    is_int(ballot_port("a\0b", 3, "1"), -1, "a NUL in it");
    is_int(ballot_port("\x1b[31m", 5, "1"), -1, "what a terminal would act on");
    is_int(ballot_port("a b", 3, "1"), -1, "a space");
    is_int(ballot_port("a", 1, "0"), -1, "port 0");
    is_int(ballot_port("a", 1, "65536"), -1, "port 65536");
    is_int(ballot_port("a", 1, "99999999999999999999999"), -1, "a port without end");
    is_int(ballot_port("a", 1, "\x1b"), -1, "no port");
}

int main(void)
{
    test_count();
    test_many();
    test_rules();
    test_port();
    return tap_done();
}
