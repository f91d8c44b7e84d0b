#include "master/marker.h"

#include "base/base64.h"
#include "base/rand.h"
#include "master/redis.h"

#define NAME_BYTES 15

/* What an emitter would publish, but for the namespace, which has no slash. */
static const char payload[] = "\x93\xab"
                              "axr-notifyd"
                              "\x83\xa4type\x02\xa4"
                              "data\x91\xa6marker\xa3nsp\xa6marker\x80";

/* Whether it could be published is seen by what comes. */
static void on_message(struct slice channel, struct slice text, void *arg)
{
    (void)channel, (void)text, (void)arg;
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_state(int is_published, void *arg)
{
    (void)is_published, (void)arg;
}

static const struct redis_ops ops = {
    .message = on_message, .too_large = on_nothing, .state = on_state, .synced = on_nothing};

static struct slice channel_of(const struct marker *marker)
{
    return (struct slice){(const char *)marker->channel.data, marker->channel.len};
}

void marker_publish(struct marker *marker, struct event_base *base, const struct conf *conf)
{
    uint8_t bytes[NAME_BYTES];
    char name[BASE64URL_LEN(NAME_BYTES)];
    int len;

    rand_bytes(bytes, sizeof(bytes));
    len = (int)base64url_encode(name, bytes, sizeof(bytes));
    if (buf_printf(&marker->channel, "%s#%s#%.*s#", conf->key, conf->nsp, len, name) < 0)
        buf_reset(&marker->channel);
    else
        marker->redis = redis_publish(base, conf, channel_of(marker), SLICE(payload), &ops, marker);
}

int marker_is_set(const struct marker *marker)
{
    return marker->channel.len > 0;
}

int marker_is(const struct marker *marker, struct slice channel)
{
    return marker->channel.len > 0 && slice_eq(channel, channel_of(marker));
}

void marker_end(struct marker *marker)
{
    redis_free(&marker->redis);
}

void marker_clear(struct marker *marker)
{
    marker_end(marker);
    buf_free(&marker->channel);
}
