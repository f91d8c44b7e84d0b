#include "master/relay.h"

#include "base/log.h"
#include "ipc/start.h"

#include "tap.h"

#include <unistd.h>

static const char nsp[] = "/axr", key[] = "k";

/* --- what goes to the workers ----------------------------------------------------- */

static struct {
    struct relay *relay;
    unsigned slots[16]; /* who got a message, in order */
    size_t n;
    uint64_t seq;
    char json[64];
    unsigned kill;   /* this worker turns out to be dead when it is sent to */
    char kicks[128]; /* "0:7 ann, 2:8 ann": who was told to leave */
} sent;

static void on_kick(unsigned slot, struct msg *msg)
{
    size_t at = strlen(sent.kicks);
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);
    is_int(msg_get_u8(msg), MSG_KICK_REPLACED, "a kick has its reason");
    is_int(msg_close(msg), 0, "and is whole");
    snprintf(sent.kicks + at, sizeof sent.kicks - at, "%s%u:%u %.*s", at ? ", " : "", slot,
             (unsigned)client, (int)uid.len, uid.ptr);
}

static void on_send(unsigned slot, const void *message, size_t len, void *arg)
{
    struct msg msg;
    struct msg_broadcast bc = {0};
    (void)arg;
    if (slot == sent.kill)
        relay_worker_down(sent.relay, slot);
    if (msg_decode(&msg, message, len, 1 << 20) == (long)len && msg.type == MSG_KICK) {
        on_kick(slot, &msg);
        return;
    }
    ok(msg_decode(&msg, message, len, 1 << 20) == (long)len && msg.type == MSG_BROADCAST &&
           msg_get_broadcast(&msg, &bc) == 0,
       "one whole broadcast to worker %u", slot);
    is_int(bc.epoch == relay_epoch(sent.relay), 1, "of this run");
    is_int(bc.received_us, 4711, "with the time of its receipt");
    sent.seq = bc.seq;
    snprintf(sent.json, sizeof sent.json, "%.*s", (int)bc.json.len, bc.json.ptr);
    sent.slots[sent.n++ % 16] = slot;
    msg_broadcast_clear(&bc);
}

static const struct relay_ops ops = {on_send};

/* "2 3": the workers that got the last message, in order. */
static const char *got(void)
{
    static char text[64];
    size_t at = 0;
    text[0] = '\0';
    for (unsigned slot = 0; slot < 16; slot++)
        for (size_t i = 0; i < sent.n; i++)
            if (sent.slots[i] == slot)
                at += (size_t)snprintf(text + at, sizeof text - at, "%s%u", at ? " " : "", slot);
    return text;
}

static void publish(const char *const *rooms, const char *json)
{
    struct buf channel = {0}, payload = {0};
    struct slices to = {0}, none = {0};
    for (; rooms && *rooms; rooms++)
        if (slices_put(&to, slice_str(*rooms)) < 0)
            exit(1);
    if (emit_encode(&channel, &payload, slice_str(key), slice_str(nsp), &to, &none, 0,
                    slice_str(json)) < 0)
        exit(1);
    sent.n = 0;
    relay_message(sent.relay, (struct slice){(char *)channel.data, channel.len},
                  (struct slice){(char *)payload.data, payload.len}, 4711);
    buf_free(&channel);
    buf_free(&payload);
    free(to.at);
}
#define ROOMS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct conf *conf_make(void)
{
    static struct conf conf;
    static char conf_nsp[] = "/axr", conf_key[] = "k";
    memset(&conf, 0, sizeof conf);
    conf.nsp = conf_nsp;
    conf.key = conf_key;
    conf.message_bytes = 4096;
    conf.attachments = 10;
    conf.workers = 3;
    return &conf;
}

static void begin(const struct conf *conf)
{
    memset(&sent, 0, sizeof sent);
    sent.kill = 99;
    sent.relay = relay_new(conf, &ops, NULL);
    if (!sent.relay)
        exit(1);
    for (unsigned slot = 0; slot < 3; slot++)
        relay_worker_up(sent.relay, slot);
}

/* --- tests ------------------------------------------------------------------------- */

static void test_routes(void)
{
    begin(conf_make());
    is_int(relay_admit(sent.relay, 1, 1, SLICE("ann")), MSG_ADMIT_OK, "ann is let in");
    is_int(relay_admit(sent.relay, 2, 2, SLICE("bob")), MSG_ADMIT_OK, "bob too");
    is_int((long)relay_seq(sent.relay), 0, "nothing was relayed before");
    publish(ROOMS("ann"), "[\"msg\",1]");
    is_str(got(), "1", "to ann: her worker");
    is_str(sent.json, "[\"msg\",1", "the array without its bracket");
    is_int((long)sent.seq, 1, "numbered from 1");
    publish(ROOMS("ann", "bob"), "[\"msg\",2]");
    is_str(got(), "1 2", "to both: both workers");
    is_int((long)sent.seq, 2, "one number for both");
    publish(ROOMS("eve"), "[\"msg\",3]");
    is_str(got(), "", "to somebody who is not here: none");
    publish(NULL, "[\"msg\",4]");
    is_str(got(), "0 1 2", "to all: all workers");
    is_int((long)sent.seq, 4, "what nobody got has its number too");
    is_int((long)relay_seq(sent.relay), 4, "which an admission would be told");
    relay_left(sent.relay, 1, 1, SLICE("ann"));
    publish(ROOMS("ann"), "[\"msg\",5]");
    is_str(got(), "", "ann has left");
    is_int((long)relay_stats(sent.relay)->relayed, 3, "three were relayed");
    is_int((long)relay_stats(sent.relay)->nobody, 2, "two found nobody");
    relay_free(&sent.relay);
}

static void test_dying(void)
{
    begin(conf_make());
    relay_admit(sent.relay, 0, 3, SLICE("ann"));
    sent.kill = 0;
    publish(NULL, "[\"msg\"]");
    is_str(got(), "0 1 2", "a worker that fails while it is sent to: the others get theirs");
    sent.kill = 99;
    publish(NULL, "[\"msg\"]");
    is_str(got(), "1 2", "then it gets no more");
    publish(ROOMS("ann"), "[\"msg\"]");
    is_str(got(), "", "and who was on it is not here");
    relay_free(&sent.relay);
}

static void test_user_limit(void)
{
    struct conf *conf = conf_make();
    conf->connections_per_user = 2;
    begin(conf);
    is_int(relay_admit(sent.relay, 0, 4, SLICE("ann")), MSG_ADMIT_OK, "first");
    is_int(relay_admit(sent.relay, 1, 5, SLICE("ann")), MSG_ADMIT_OK, "second, elsewhere");
    is_int(relay_admit(sent.relay, 2, 6, SLICE("ann")), MSG_ADMIT_USER_LIMIT, "third: refused");
    is_int(relay_admit(sent.relay, 2, 7, SLICE("bob")), MSG_ADMIT_OK, "another user is let in");
    relay_left(sent.relay, 0, 4, SLICE("ann"));
    is_int(relay_admit(sent.relay, 2, 8, SLICE("ann")), MSG_ADMIT_OK, "one left: room for one");
    relay_worker_down(sent.relay, 2);
    is_int(relay_admit(sent.relay, 1, 9, SLICE("ann")), MSG_ADMIT_OK, "so does a dead worker");
    is_int((long)relay_stats(sent.relay)->admissions[MSG_ADMIT_USER_LIMIT], 1,
           "refusals are counted");
    relay_free(&sent.relay);
}

static struct conf *conf_replace(uint32_t limit)
{
    struct conf *conf = conf_make();
    conf->connections_per_user = limit;
    conf->replace_connections = 1;
    return conf;
}

static long ann(void)
{
    return (long)relay_user_connections(sent.relay, SLICE("ann"));
}

static void test_replace(void)
{
    struct conf *conf = conf_replace(2);
    begin(conf);
    relay_admit(sent.relay, 0, 1, SLICE("ann"));
    relay_admit(sent.relay, 1, 2, SLICE("ann"));
    relay_admit(sent.relay, 1, 3, SLICE("bob"));
    is_str(sent.kicks, "", "within the limit nobody has to leave");
    is_int(relay_admit(sent.relay, 2, 4, SLICE("ann")), MSG_ADMIT_OK, "a third is let in");
    is_str(sent.kicks, "0:1 ann", "and the first has to leave");
    is_int(ann(), 2, "who counts no more");
    is_int(relay_admit(sent.relay, 2, 5, SLICE("ann")), MSG_ADMIT_OK, "a fourth");
    is_str(sent.kicks, "0:1 ann, 1:2 ann", "then the second, whether the first has left or not");
    relay_left(sent.relay, 2, 4, SLICE("ann"));
    is_int(ann(), 1, "one that leaves by itself");
    relay_left(sent.relay, 1, 2, SLICE("ann"));
    relay_left(sent.relay, 0, 1, SLICE("ann"));
    is_int(ann(), 1, "those that were told to leave do");
    sent.kicks[0] = '\0';
    relay_admit(sent.relay, 0, 6, SLICE("ann"));
    is_str(sent.kicks, "", "there is a place");
    is_int((long)relay_stats(sent.relay)->replaced, 2, "kicks are counted");
    is_int((long)relay_stats(sent.relay)->admissions[MSG_ADMIT_USER_LIMIT], 0, "none was refused");
    relay_free(&sent.relay);
}

/* A limit that becomes lower holds from the user's next connection on. */
static void test_replace_many(void)
{
    struct conf *conf = conf_replace(0);
    begin(conf);
    for (uint64_t client = 1; client <= 5; client++)
        relay_admit(sent.relay, (unsigned)client % 3, client, SLICE("ann"));
    is_str(sent.kicks, "", "without a limit nobody has to leave");
    conf->connections_per_user = 3;
    relay_admit(sent.relay, 0, 6, SLICE("ann"));
    is_str(sent.kicks, "1:1 ann, 2:2 ann, 0:3 ann", "as many leave as there are too many");
    is_int(ann(), 3, "three stay");
    conf->replace_connections = 0;
    is_int(relay_admit(sent.relay, 0, 7, SLICE("ann")), MSG_ADMIT_USER_LIMIT,
           "the other policy refuses from then on");
    relay_free(&sent.relay);
}

static void test_replace_dying(void)
{
    begin(conf_replace(2));
    relay_admit(sent.relay, 0, 1, SLICE("ann"));
    relay_admit(sent.relay, 0, 2, SLICE("ann"));
    sent.kill = 0;
    relay_admit(sent.relay, 1, 3, SLICE("ann"));
    is_int(ann(), 1, "a worker that fails while it is told: nobody of it is left");
    sent.kill = 99;
    relay_admit(sent.relay, 1, 4, SLICE("ann"));
    is_str(sent.kicks, "0:1 ann", "its places are free");
    sent.kill = 1;
    relay_admit(sent.relay, 1, 5, SLICE("ann"));
    is_int(ann(), 0, "the worker that asks fails itself: nobody is in");
    relay_free(&sent.relay);
}

static int lines_with(const char *file, const char *text)
{
    char line[1024];
    int n = 0;
    FILE *in = fopen(file, "r");
    while (in && fgets(line, sizeof line, in))
        n += strstr(line, text) != NULL;
    if (in)
        fclose(in);
    return n;
}

static void test_drops(void)
{
    char file[] = "/tmp/test_relay.XXXXXX";
    close(mkstemp(file));
    begin(conf_make());
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        exit(1);
    for (int i = 0; i < 100; i++)
        relay_message(sent.relay, SLICE("k#/axr#\n\x1b"), SLICE("\xc1 garbage"), 1);
    publish(NULL, "[\"disconnect\"]");
    char big[8192] = "[\"msg\",\"";
    memset(big + 8, 'x', 5000);
    memcpy(big + 5008, "\"]", 3);
    publish(NULL, big);
    /* [uid, {type: 2, data: ["x"], nsp: "/other"}, {}] */
    relay_message(sent.relay, SLICE("k#/other#"),
                  SLICE("\x93\xa1u\x83\xa4type\x02\xa4"
                        "data\x91\xa1x\xa3nsp\xa6/other\x80"),
                  1);
    relay_drop(sent.relay, EMIT_TOO_LARGE, (struct slice){0});
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    const struct relay_stats *stats = relay_stats(sent.relay);
    is_int((long)sent.n, 0, "nothing is relayed");
    is_int((long)relay_seq(sent.relay), 0, "nor numbered");
    is_int((long)stats->dropped[EMIT_MALFORMED], 100, "garbage is counted");
    is_int((long)stats->dropped[EMIT_RESERVED_EVENT], 1, "so is a reserved event");
    is_int((long)stats->dropped[EMIT_TOO_LARGE], 2, "a large one, and one given up by redis.c");
    is_int((long)stats->dropped[EMIT_OTHER_NAMESPACE], 1, "and what is for others");
    is_int((long)stats->faulty, 103, "which is no fault");
    is_int(lines_with(file, "cause=malformed"), 1, "one line a cause");
    is_int(lines_with(file, "channel=k#/axr#\\x0a\\x1b"), 1, "with its channel, escaped");
    is_int(lines_with(file, "cause="), 3, "none for others' messages");
    publish(NULL, "[\"msg\",\"still here\"]");
    is_str(got(), "0 1 2", "a good one after all that");
    unlink(file);
    relay_free(&sent.relay);
}

static void test_size(void)
{
    struct conf *conf = conf_make();
    begin(conf);
    /* Thousands of rooms of one byte: small for redis, four times that on a pipe. */
    size_t n = 200000;
    const char **rooms = calloc(n + 1, sizeof *rooms);
    for (size_t i = 0; i < n; i++)
        rooms[i] = "a";
    conf->message_bytes = 1 << 20;
    relay_free(&sent.relay);
    begin(conf);
    relay_admit(sent.relay, 0, 10, SLICE("a"));
    publish(rooms, "[\"msg\"]");
    is_int((long)sent.n <= 1, 1, "many rooms: sent once or refused");
    if (sent.n == 0)
        is_int((long)relay_stats(sent.relay)->dropped[EMIT_TOO_LARGE], 1, "refused as too large");
    free(rooms);
    relay_free(&sent.relay);
    ok(sent.relay == NULL, "relay_free clears the pointer");
}

int main(void)
{
    test_routes();
    test_dying();
    test_user_limit();
    test_replace();
    test_replace_many();
    test_replace_dying();
    test_drops();
    test_size();
    return tap_done();
}
