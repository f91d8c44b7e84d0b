#include "master/topics.h"

#include <string.h>

#define NEEDED_MASK ((1U << TOPICS_NEEDED) - 1)

/* What the pattern would take for a wild card is escaped, and no more than that: the
 * patterns of an ACL have to be spelled the same. */
static void glob_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("*?[\\", *text) != NULL)
            (void)buf_putc(out, '\\');
        (void)buf_putc(out, (uint8_t)*text);
    }
}

/* redis sends a message once for each subscription that matches its channel: no
 * channel may match two of these. */
int topics_init(struct topics *topics, const char *key, const char *nsp)
{
    struct buf *pattern = &topics->at[TOPIC_PATTERN], *old = &topics->at[TOPIC_OLD];
    int failed = 0;

    glob_escape(pattern, key);
    (void)buf_putc(pattern, '#');
    glob_escape(pattern, nsp);
    (void)buf_puts(pattern, "#*");
    (void)buf_printf(&topics->at[TOPIC_EMITTER], "%s#emitter", key);
    (void)buf_printf(&topics->at[TOPIC_NSP], "%s#%s", key, nsp);
    glob_escape(old, key);
    (void)buf_puts(old, "#[^/]*");
    if (strcmp(nsp, "/") == 0) {
        (void)buf_putc(old, '#');
        (void)buf_printf(&topics->at[TOPIC_BARE], "%s#", key);
    } else {
        glob_escape(old, nsp);
        (void)buf_puts(old, "#*");
    }
    (void)buf_printf(&topics->at[TOPIC_REQUEST], "%s-request#%s#", key, nsp);
    glob_escape(&topics->at[TOPIC_REQUEST_PATTERN], key);
    (void)buf_puts(&topics->at[TOPIC_REQUEST_PATTERN], "-request#");
    glob_escape(&topics->at[TOPIC_REQUEST_PATTERN], nsp);
    (void)buf_putc(&topics->at[TOPIC_REQUEST_PATTERN], '#');
    (void)buf_printf(&topics->at[TOPIC_PEER], "%s-peer#%s#", key, nsp);
    for (int i = 0; i < TOPICS; i++)
        failed |= topics->at[i].failed;
    return failed ? -1 : 0;
}

void topics_clear(struct topics *topics)
{
    for (int i = 0; i < TOPICS; i++)
        buf_free(&topics->at[i]);
}

struct slice topics_at(const struct topics *topics, enum topic topic)
{
    return (struct slice){(const char *)topics->at[topic].data, topics->at[topic].len};
}

int topics_is_pattern(enum topic topic)
{
    return topic == TOPIC_PATTERN || topic == TOPIC_OLD || topic == TOPIC_REQUEST_PATTERN;
}

void topics_forget(struct topics *topics)
{
    topics->confirmed = 0;
}

int topics_has(const struct topics *topics, enum topic topic)
{
    return (topics->confirmed & 1U << topic) != 0;
}

void topics_drop(struct topics *topics, enum topic topic)
{
    topics->confirmed &= ~(1U << topic);
}

enum topic topics_named(const struct topics *topics, struct slice name, int is_pattern)
{
    for (int i = 0; i < TOPICS; i++)
        if (name.len > 0 && slice_eq(name, topics_at(topics, (enum topic)i)) &&
            topics_is_pattern((enum topic)i) == is_pattern)
            return (enum topic)i;
    return TOPICS;
}

enum topic topics_confirm(struct topics *topics, struct slice name, int is_pattern)
{
    enum topic topic = topics_named(topics, name, is_pattern);

    if (topic < TOPICS)
        topics->confirmed |= 1U << topic;
    return topic;
}

int topics_are_enough(const struct topics *topics)
{
    return (topics->confirmed & NEEDED_MASK) == NEEDED_MASK;
}

unsigned topics_withheld(const struct topics *topics)
{
    unsigned withheld =
        ~topics->confirmed & (1U << TOPIC_OLD | 1U << TOPIC_BARE | 1U << TOPIC_PEER);

    if (!topics_has(topics, TOPIC_REQUEST) && !topics_has(topics, TOPIC_REQUEST_PATTERN))
        withheld |= 1U << TOPIC_REQUEST;
    return withheld;
}

unsigned topics_bit(const struct topics *topics, struct slice channel)
{
    struct slice nsp = topics_at(topics, TOPIC_NSP), start = {channel.ptr, nsp.len};

    if (slice_eq(channel, topics_at(topics, TOPIC_EMITTER)) ||
        (channel.len >= nsp.len && slice_eq(start, nsp) &&
         (channel.len == nsp.len || channel.ptr[nsp.len] == '#')))
        return 0;
    if (slice_eq(channel, topics_at(topics, TOPIC_REQUEST)))
        return 1U << TOPIC_REQUEST;
    if (slice_eq(channel, topics_at(topics, TOPIC_PEER)))
        return 1U << TOPIC_PEER;
    return 1U << (slice_eq(channel, topics_at(topics, TOPIC_BARE)) ? TOPIC_BARE : TOPIC_OLD);
}
