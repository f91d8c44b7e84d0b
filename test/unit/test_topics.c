#include "master/topics.h"

#include "tap.h"

#define WITHHELD (1 << TOPIC_OLD | 1 << TOPIC_BARE | 1 << TOPIC_PEER)

static struct topics topics;

static void begin(const char *key, const char *nsp)
{
    memset(&topics, 0, sizeof(topics));
    if (topics_init(&topics, key, nsp) < 0)
        abort();
}

static void is_topic(enum topic topic, const char *want)
{
    struct slice at = topics_at(&topics, topic);

    is_mem(at.ptr, at.len, want, strlen(want), "the topic");
}

/* Returns 1 if that is enough. */
static int confirm(const char *name, int is_pattern)
{
    enum topic topic = topics_confirm(&topics, slice_str(name), is_pattern);

    if (topic != topics_named(&topics, slice_str(name), is_pattern))
        ok(0, "it says which one %s is", name);
    return topics_are_enough(&topics);
}

static void test_names(void)
{
    begin("k", "/axr");
    is_topic(TOPIC_PATTERN, "k#/axr#*");
    is_topic(TOPIC_EMITTER, "k#emitter");
    is_topic(TOPIC_NSP, "k#/axr");
    is_topic(TOPIC_OLD, "k#[^/]*/axr#*");
    is_topic(TOPIC_BARE, "");
    is_topic(TOPIC_REQUEST, "k-request#/axr#");
    is_topic(TOPIC_REQUEST_PATTERN, "k-request#/axr#");
    is_topic(TOPIC_PEER, "k-peer#/axr#");
    topics_clear(&topics);
    begin("k", "/");
    is_topic(TOPIC_PATTERN, "k#/#*");
    is_topic(TOPIC_OLD, "k#[^/]*#");
    is_topic(TOPIC_BARE, "k#");
    topics_clear(&topics);
    /* No more than what would be a wild card, and in no channel. */
    begin("a*b?c[d]e\\f", "/^-x]");
    is_topic(TOPIC_PATTERN, "a\\*b\\?c\\[d]e\\\\f#/^-x]#*");
    is_topic(TOPIC_EMITTER, "a*b?c[d]e\\f#emitter");
    is_topic(TOPIC_NSP, "a*b?c[d]e\\f#/^-x]");
    is_topic(TOPIC_REQUEST, "a*b?c[d]e\\f-request#/^-x]#");
    is_topic(TOPIC_REQUEST_PATTERN, "a\\*b\\?c\\[d]e\\\\f-request#/^-x]#");
    is_topic(TOPIC_PEER, "a*b?c[d]e\\f-peer#/^-x]#");
    ok(!topics_is_pattern(TOPIC_PEER), "a channel, for what it is");
    topics_clear(&topics);
}

static void test_confirmations(void)
{
    begin("k", "/axr");
    is_int(topics_withheld(&topics), WITHHELD | 1 << TOPIC_REQUEST, "nothing is confirmed");
    ok(!confirm("k-request#/axr#", 1) && topics_has(&topics, TOPIC_REQUEST_PATTERN) &&
           !topics_has(&topics, TOPIC_REQUEST),
       "the pattern of requests");
    is_int(topics_withheld(&topics), WITHHELD, "is enough to hear them");
    ok(!confirm("k-request#/axr#", 0) && topics_has(&topics, TOPIC_REQUEST), "so is the channel");
    topics_drop(&topics, TOPIC_REQUEST_PATTERN);
    is_int(topics_withheld(&topics), WITHHELD, "one of both");
    ok(topics_named(&topics, SLICE("k#emitter"), 0) == TOPIC_EMITTER &&
           topics_named(&topics, SLICE("k#emitter"), 1) == TOPICS &&
           topics_named(&topics, SLICE(""), 0) == TOPICS,
       "each has a name");
    ok(!confirm("k#/axr#*", 1) && !confirm("k#emitter", 0), "two of three");
    ok(!confirm("k#/axr", 1), "a pattern is no channel");
    ok(!confirm("k#other", 0) && !confirm("", 0), "nor is another, nor none");
    ok(confirm("k#/axr", 0), "all that are needed");
    is_int(topics_withheld(&topics), WITHHELD, "others may be missing");
    ok(confirm("k#[^/]*/axr#*", 1), "one of them is there");
    is_int(topics_withheld(&topics), 1 << TOPIC_BARE | 1 << TOPIC_PEER, "and not withheld");
    ok(confirm("k-peer#/axr#", 0), "so is the channel of daemons");
    is_int(topics_withheld(&topics), 1 << TOPIC_BARE, "nor is that");
    topics_forget(&topics);
    ok(!confirm("k#/axr", 0), "another connection begins anew");
    topics_clear(&topics);
}

static void test_bits(void)
{
    static const struct {
        const char *channel;
        unsigned bit;
    } cases[] = {
        {"k#/axr#", 0},
        {"k#/axr#room#", 0},
        {"k#/axr", 0},
        {"k#emitter", 0},
        {"k#room/axr#", 1U << TOPIC_OLD},
        {"k#/axr2#", 1U << TOPIC_OLD},
        {"k#/ax", 1U << TOPIC_OLD},
        {"k-request#/axr#", 1U << TOPIC_REQUEST},
        {"k-peer#/axr#", 1U << TOPIC_PEER},
    };
    int wrong = 0;

    begin("k", "/axr");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        wrong += topics_bit(&topics, slice_str(cases[i].channel)) != cases[i].bit;
    is_int(wrong, 0, "by which topic a message is heard");
    topics_clear(&topics);
    begin("k", "/");
    is_int(topics_bit(&topics, SLICE("k#")), 1U << TOPIC_BARE, "without a namespace");
    is_int(topics_bit(&topics, SLICE("k#room#")), 1U << TOPIC_OLD, "with a room before it");
    is_int(topics_bit(&topics, SLICE("k#/#room#")), 0, "as others write it");
    topics_clear(&topics);
}

int main(void)
{
    test_names();
    test_confirmations();
    test_bits();
    return tap_done();
}
