/* What the master says, message by message, over a link that is made up here: what becomes
 * of each, and what is a bad one. */
#include "base/clock.h"
#include "ipc/change.h"
#include "ipc/link.h"
#include "ipc/start.h"
#include "ipc/tickets.h"
#include "log_file.h"
#include "nomem.h"
#include "tap.h"
#include "worker/downlink.h"

#include <event2/event.h>
#include <stdarg.h>

/* --- time, link, settings --- */

static uint64_t now_ms = 1000;

uint64_t clock_ms(void)
{
    return now_ms;
}

uint64_t clock_us(void)
{
    return now_ms * 1000;
}

int64_t clock_wall_ms(void)
{
    return 0;
}

struct link {
    struct link_ops ops;
    struct link_options options;
    void *arg;
    int reading, freed;
};

static struct link the_link;
static int link_fails;

struct link *link_new(struct event_base *base, int read_fd, int write_fd,
                      const struct link_options *options, const struct link_ops *ops, void *arg)
{
    (void)base;
    if (link_fails || read_fd != 3 || write_fd != 4)
        return NULL;
    the_link = (struct link){.ops = *ops, .options = *options, .arg = arg, .reading = 1};
    return &the_link;
}

void link_free(struct link **link)
{
    (*link)->freed = 1;
    *link = NULL;
}

void link_read_enable(struct link *link, int on)
{
    link->reading = on;
}

static struct conf *settings_sent; /* NULL: they are no good */

struct conf *change_get(struct msg *msg)
{
    (void)msg;
    return settings_sent;
}

/* --- what the worker hears --- */

static char heard[1024];
static int refuses;           /* the worker cannot do it */
static uint64_t broadcast_ms; /* that one takes */

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    size_t len = strlen(heard);
    va_list args;

    va_start(args, fmt);
    vsnprintf(heard + len, sizeof(heard) - len, fmt, args);
    va_end(args);
}

static int on_hello(void *arg)
{
    note("hello:%d ", arg == &heard);
    return refuses ? -1 : 0;
}

static void on_broadcast(const struct msg_broadcast *bc, const struct downlink_emit *emit,
                         void *arg)
{
    (void)arg;
    now_ms += broadcast_ms;
    if (emit != NULL)
        note("emit:%u:%u:", emit->id, emit->timeout_ms);
    note("broadcast:%llu:%u:%zu:%zu:%.*s:%zu ", (unsigned long long)bc->received_us, bc->flags,
         bc->rooms.n, bc->except.n, (int)bc->json.len, bc->json.ptr, bc->attachments.n);
}

static int on_admitted(const struct msg_admitted *admitted, void *arg)
{
    (void)arg;
    note("admitted:%llu:%u ", (unsigned long long)admitted->client, admitted->verdict);
    if (admitted->resumed)
        note("from:%llu:%zu ", (unsigned long long)admitted->from, admitted->rooms.n);
    return refuses ? -1 : 0;
}

static void on_offset(uint64_t seq, uint64_t offset, void *arg)
{
    (void)arg;
    note("offset:%llu:%llu ", (unsigned long long)seq, (unsigned long long)offset);
}

static void on_kick(uint64_t client, struct slice uid, enum msg_kick why, void *arg)
{
    (void)arg;
    note("kick:%llu:%.*s%s ", (unsigned long long)client, (int)uid.len, uid.ptr,
         why == MSG_KICK_TAKEN ? ":taken" : "");
}

static int unsettled;

static int on_settled(void *arg)
{
    (void)arg;
    if (unsettled)
        note("settle ");
    return !unsettled;
}

static enum act_result act_result;

static enum act_result on_act(const struct act_request *request, void *arg)
{
    (void)arg;
    now_ms += broadcast_ms;
    note("act:%s:%u:%u:%zu:%zu:%zu:%d ", msg_name(request->type), request->id, request->who.select,
         request->who.rooms.n, request->who.except.n, request->names.n, request->close);
    return act_result;
}

static void on_fetch(const struct fetch_request *request, void *arg)
{
    (void)arg;
    now_ms += broadcast_ms;
    note("fetch:%u:%u:%u:%zu:%zu ", request->id, request->what, request->who.select,
         request->who.rooms.n, request->who.except.n);
}

static void on_drain(uint32_t within_ms, uint32_t first, uint32_t n, void *arg)
{
    (void)arg;
    note("drain:%u:%u:%u ", within_ms, first, n);
}

static void on_settings(struct conf *settings, void *arg)
{
    (void)arg;
    note("settings:%d ", settings == settings_sent);
}

static void on_tickets(const struct tickets *tickets, void *arg)
{
    (void)arg;
    note("tickets:%u ", tickets->n);
}

static void on_count(uint32_t id, void *arg)
{
    (void)arg;
    note("count:%u ", id);
}

static int on_noted(uint32_t id, void *arg)
{
    (void)arg;
    note("noted:%u ", id);
    return refuses ? -1 : 0;
}

static void on_bad(void *arg)
{
    (void)arg;
    note("bad ");
}

static void on_closed(const char *why, void *arg)
{
    (void)arg;
    note("closed:%s ", why);
}

static const struct downlink_ops ops = {
    on_hello, on_broadcast, on_admitted, on_offset, on_kick,  on_settled, on_act,   on_fetch,
    on_drain, on_settings,  on_tickets,  on_count,  on_noted, on_bad,     on_closed};

/* --- what the master says --- */

static struct event_base *base;
static struct downlink *down;
static struct buf out;

/* Fields as msg.h has them: 1, 4, 8: integers; b: bytes; l: a list of that many empty names. */
static void put(unsigned type, const char *fields, va_list args)
{
    struct slices list = {0};
    size_t mark = msg_begin(&out, (enum msg_type)type);
    const char *text;

    for (; *fields != '\0'; fields++) {
        if (*fields == '1') {
            msg_put_u8(&out, (uint8_t)va_arg(args, unsigned));
        } else if (*fields == '4') {
            msg_put_u32(&out, va_arg(args, uint32_t));
        } else if (*fields == '8') {
            msg_put_u64(&out, va_arg(args, uint64_t));
        } else if (*fields == 'b') {
            text = va_arg(args, const char *);
            msg_put_bytes(&out, text, strlen(text));
        } else {
            list.n = 0;
            for (int n = va_arg(args, int); n > 0; n--)
                slices_put(&list, (struct slice){"", 0});
            msg_put_list(&out, &list);
        }
    }
    msg_end(&out, mark);
    free(list.at);
}

/* What becomes of the message in out. */
static int given(void)
{
    struct msg msg;

    heard[0] = '\0';
    if (msg_decode(&msg, out.data, out.len, 65536) != (long)out.len)
        return -2;
    return the_link.ops.message(&the_link, &msg, the_link.arg);
}

static void build(unsigned type, const char *fields, ...)
{
    va_list args;

    va_start(args, fields);
    put(type, fields, args);
    va_end(args);
}

static int say(unsigned type, const char *fields, ...)
{
    va_list args;

    buf_reset(&out);
    va_start(args, fields);
    put(type, fields, args);
    va_end(args);
    return given();
}

/* It is taken, and that is heard of it. */
#define TAKEN(want, name, ...)                                                                     \
    do {                                                                                           \
        is_int(say(__VA_ARGS__), 0, name);                                                         \
        is_str(heard, want, "the worker hears of it");                                             \
    } while (0)

/* It is bad. */
#define BAD(name, ...)                                                                             \
    do {                                                                                           \
        is_int(say(__VA_ARGS__), -1, name);                                                        \
        is_str(heard, "bad ", "and nothing else is heard");                                        \
    } while (0)

static void begin(void)
{
    refuses = 0;
    act_result = ACT_DONE;
    broadcast_ms = 0;
    down = downlink_new(base, 3, 4, &ops, &heard);
}

static void greet(void)
{
    begin();
    if (say(MSG_HELLO, "4448", (uint32_t)MSG_VERSION, 0U, 1U, UINT64_C(1)) != 0)
        abort();
}

static void end(void)
{
    downlink_free(&down);
    is_int(the_link.freed, 1, "the link goes with it");
}

/* --- tests --- */

static void test_hello(void)
{
    static const unsigned others[] = {MSG_BROADCAST, MSG_ADMITTED, MSG_LOG_LEVEL,  MSG_LOG_REOPEN,
                                      MSG_DRAIN,     MSG_SETTINGS, MSG_COUNT,      MSG_NOTED,
                                      MSG_JOIN,      MSG_LEAVE,    MSG_DISCONNECT, MSG_FETCH,
                                      MSG_KICK,      MSG_TICKETS};

    begin();
    ok(downlink_link(down) == &the_link, "it has the link");
    is_int(the_link.options.message_max == START_MESSAGE_CAP, 1, "which takes what may come");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        BAD("before hello", others[i], "");
    is_int(logged("bad message from the master: type=9 (kick); leaving"), 1, "named in the log");
    BAD("another version", MSG_HELLO, "4448", (uint32_t)MSG_VERSION + 1, 0U, 1U, UINT64_C(1));
    is_int(logged("the master speaks version"), 1, "logged");
    BAD("a short one", MSG_HELLO, "444", (uint32_t)MSG_VERSION, 0U, 1U);
    BAD("a long one", MSG_HELLO, "44481", (uint32_t)MSG_VERSION, 0U, 1U, UINT64_C(1), 0U);
    TAKEN("hello:1 ", "hello", MSG_HELLO, "4448", (uint32_t)MSG_VERSION, 0U, 1U, UINT64_C(1));
    BAD("twice", MSG_HELLO, "4448", (uint32_t)MSG_VERSION, 0U, 1U, UINT64_C(1));
    end();

    begin();
    refuses = 1;
    is_int(say(MSG_HELLO, "4448", (uint32_t)MSG_VERSION, 0U, 1U, UINT64_C(1)), -1,
           "a worker that cannot begin");
    is_str(heard, "hello:1 bad ", "is one that leaves");
    end();
}

/* Of a client that recovers nothing. */
#define ADMITTED "8188b818b1l"
#define NOTHING  "", UINT64_C(0), 0U, UINT64_C(0), "", 0U, 0

#define FIFTY_FOUR "123456789012345678901234567890123456789012345678901234"

static void test_messages(void)
{
    greet();
    TAKEN("broadcast:5:1:2:1:[1:3 ", "a broadcast", MSG_BROADCAST, "88884llbl", UINT64_C(1),
          UINT64_C(2), UINT64_C(5), UINT64_C(0), 1U, 2, 1, "[1", 3);
    BAD("one without attachments", MSG_BROADCAST, "88884llb", UINT64_C(1), UINT64_C(2), UINT64_C(5),
        UINT64_C(0), 1U, 2, 1, "[1");

    TAKEN("emit:9:1000:broadcast:5:1:2:1:[1:3 ", "one that is to be acknowledged", MSG_EMIT,
          "4488884llbl", 9U, 1000U, UINT64_C(1), UINT64_C(2), UINT64_C(5), UINT64_C(0), 1U, 2, 1,
          "[1", 3);
    BAD("without attachments", MSG_EMIT, "4488884llb", 9U, 1000U, UINT64_C(1), UINT64_C(2),
        UINT64_C(5), UINT64_C(0), 1U, 2, 1, "[1");
    BAD("without a broadcast", MSG_EMIT, "44", 9U, 1000U);

    TAKEN("admitted:7:0 ", "let in", MSG_ADMITTED, ADMITTED, UINT64_C(7), (unsigned)MSG_ADMIT_OK,
          UINT64_C(1), UINT64_C(2), NOTHING);
    TAKEN("admitted:7:2 ", "the last verdict", MSG_ADMITTED, ADMITTED, UINT64_C(7),
          (unsigned)MSG_ADMIT_NO_MEMORY, UINT64_C(1), UINT64_C(2), NOTHING);
    BAD("and one more", MSG_ADMITTED, ADMITTED, UINT64_C(7), (unsigned)MSG_ADMIT_NO_MEMORY + 1,
        UINT64_C(1), UINT64_C(2), NOTHING);
    refuses = 1;
    is_int(say(MSG_ADMITTED, ADMITTED, UINT64_C(7), (unsigned)MSG_ADMIT_OK, UINT64_C(1),
               UINT64_C(2), NOTHING),
           -1, "an answer that nobody waits for");
    is_str(heard, "admitted:7:0 bad ", "is a bad one");
    refuses = 0;

    TAKEN("admitted:7:0 from:9:0 ", "with its session", MSG_ADMITTED, ADMITTED, UINT64_C(7),
          (unsigned)MSG_ADMIT_OK, UINT64_C(1), UINT64_C(2), FIFTY_FOUR, UINT64_C(0), 1U,
          UINT64_C(9), "", 0U, 0);
    BAD("but no pid", MSG_ADMITTED, ADMITTED, UINT64_C(7), (unsigned)MSG_ADMIT_OK, UINT64_C(1),
        UINT64_C(2), "", UINT64_C(0), 1U, UINT64_C(9), "", 0U, 0);
    TAKEN("offset:4:77 ", "an offset", MSG_OFFSET, "88", UINT64_C(4), UINT64_C(77));

    TAKEN("kick:7:ann ", "a kick", MSG_KICK, "8b1", UINT64_C(7), "ann",
          (unsigned)MSG_KICK_REPLACED);
    TAKEN("kick:7:ann:taken ", "another", MSG_KICK, "8b1", UINT64_C(7), "ann",
          (unsigned)MSG_KICK_TAKEN);
    BAD("for no reason", MSG_KICK, "8b1", UINT64_C(7), "ann", (unsigned)MSG_KICKS);

    TAKEN("act:join:5:0:2:1:3:0 ", "to join", MSG_JOIN, "41lll", 5U, (unsigned)MSG_SELECT_ROOMS, 2,
          1, 3);
    TAKEN("act:leave:5:1:1:0:0:0 ", "to leave", MSG_LEAVE, "41lll", 5U, (unsigned)MSG_SELECT_IDS, 1,
          0, 0);
    TAKEN("act:disconnect:6:0:0:2:0:1 ", "to disconnect", MSG_DISCONNECT, "41ll1", 6U,
          (unsigned)MSG_SELECT_ROOMS, 0, 2, 1U);
    BAD("half", MSG_DISCONNECT, "41ll1", 6U, (unsigned)MSG_SELECT_ROOMS, 0, 2, 2U);
    BAD("whom?", MSG_JOIN, "41lll", 5U, (unsigned)MSG_SELECT_IDS + 1, 2, 1, 3);
    BAD("without names", MSG_LEAVE, "41ll", 5U, (unsigned)MSG_SELECT_ROOMS, 2, 1);
    BAD("with a byte more", MSG_LEAVE, "41lll1", 5U, (unsigned)MSG_SELECT_ROOMS, 2, 1, 0, 0U);

    TAKEN("fetch:8:2:1:3:2 ", "a question", MSG_FETCH, "411ll", 8U, (unsigned)MSG_WHAT_SOCKETS,
          (unsigned)MSG_SELECT_IDS, 3, 2);
    TAKEN("fetch:8:0:0:0:0 ", "another", MSG_FETCH, "411ll", 8U, (unsigned)MSG_WHAT_IDS,
          (unsigned)MSG_SELECT_ROOMS, 0, 0);
    BAD("for what?", MSG_FETCH, "411ll", 8U, (unsigned)MSG_WHATS, (unsigned)MSG_SELECT_IDS, 3, 2);
    BAD("about whom?", MSG_FETCH, "411ll", 8U, (unsigned)MSG_WHAT_IDS, (unsigned)MSG_SELECT_IDS + 1,
        3, 2);
    BAD("with a byte more", MSG_FETCH, "411ll1", 8U, (unsigned)MSG_WHAT_IDS,
        (unsigned)MSG_SELECT_IDS, 3, 2, 0U);

    TAKEN("count:9 ", "count", MSG_COUNT, "4", 9U);
    BAD("for nobody", MSG_COUNT, "4", 0U);

    TAKEN("tickets:1 ", "keys of tickets", MSG_TICKETS, "b",
          "01234567890123456789012345678901234567890123456789012345678901234567890123456789");
    BAD("half a key", MSG_TICKETS, "b", "key");

    TAKEN("noted:9 ", "noted", MSG_NOTED, "4", 9U);
    refuses = 1;
    is_int(say(MSG_NOTED, "4", 8U), -1, "what was not told");
    is_str(heard, "noted:8 bad ", "is a bad one");
    refuses = 0;

    TAKEN("drain:100:0:0 ", "drain", MSG_DRAIN, "444", 100U, 0U, 0U);
    TAKEN("drain:0:0:512 ", "with all lanes to follow", MSG_DRAIN, "444", 0U, 0U,
          (uint32_t)START_LANES);
    TAKEN("drain:0:511:1 ", "or the last", MSG_DRAIN, "444", 0U, (uint32_t)START_LANES - 1, 1U);
    BAD("one behind it", MSG_DRAIN, "444", 0U, (uint32_t)START_LANES, 1U);
    BAD("one too many", MSG_DRAIN, "444", 0U, 1U, (uint32_t)START_LANES);
    BAD("far too many", MSG_DRAIN, "444", 0U, 0U, UINT32_MAX);

    settings_sent = (struct conf *)&out;
    TAKEN("settings:1 ", "settings", MSG_SETTINGS, "");
    settings_sent = NULL;
    BAD("that are no good", MSG_SETTINGS, "");
    BAD("an unknown type", 99, "");
    BAD("one that goes up", MSG_READY, "");
    end();
}

/* Each with a byte more, and with one less. */
static void test_lengths(void)
{
    static const struct {
        unsigned type;
        const char *fields;
    } rows[] = {
        {MSG_OFFSET, "88"}, {MSG_KICK, "8b1"},    {MSG_COUNT, "4"},     {MSG_NOTED, "4"},
        {MSG_DRAIN, "444"}, {MSG_LOG_LEVEL, "1"}, {MSG_LOG_REOPEN, ""},
    };

    greet();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char fields[16];
        size_t n = strlen(rows[i].fields);

        /* zeros: a number, or no bytes */
        snprintf(fields, sizeof(fields), "%s1", rows[i].fields);
        if (rows[i].type == MSG_KICK)
            BAD(msg_name(rows[i].type), rows[i].type, fields, UINT64_C(0), "", 0U, 0U);
        else
            BAD(msg_name(rows[i].type), rows[i].type, fields, UINT64_C(1), UINT64_C(0), UINT64_C(0),
                UINT64_C(0), UINT64_C(0));
        if (n == 0)
            continue;
        fields[n - 1] = '\0';
        if (rows[i].type == MSG_KICK)
            BAD("less", rows[i].type, fields, UINT64_C(0), "");
        else
            BAD("less", rows[i].type, fields, UINT64_C(1), UINT64_C(0), UINT64_C(0), UINT64_C(0));
    }
    end();
}

static void test_log(void)
{
    greet();
    TAKEN("", "errors only", MSG_LOG_LEVEL, "1", (unsigned)LOG_LEVEL_ERROR);
    is_int(log_get_level(), LOG_LEVEL_ERROR, "is the level");
    BAD("one more than debug", MSG_LOG_LEVEL, "1", (unsigned)LOG_LEVEL_DEBUG + 1);
    TAKEN("", "debug", MSG_LOG_LEVEL, "1", (unsigned)LOG_LEVEL_DEBUG);
    is_int(log_get_level(), LOG_LEVEL_DEBUG, "is the level");
    unlink(log_file);
    TAKEN("", "the file again", MSG_LOG_REOPEN, "");
    log_event(DEBUG, "kind", "written");
    is_int(logged("written"), 1, "which has gone");
    end();
}

static int broadcast(void)
{
    return say(MSG_BROADCAST, "88884llbl", UINT64_C(1), UINT64_C(2), UINT64_C(5), UINT64_C(0), 0U,
               0, 0, "[", 0);
}

/* The loop gets its turn in a burst. */
static void test_turns(void)
{
    greet();
    broadcast_ms = 2;
    broadcast();
    broadcast();
    is_int(the_link.reading, 1, "four milliseconds are a turn's");
    broadcast_ms = 1;
    broadcast();
    is_int(the_link.reading, 0, "five end it");
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(the_link.reading, 1, "it goes on after a turn of the loop");
    the_link.ops.batch_end(&the_link, the_link.arg);
    broadcast_ms = 4;
    broadcast();
    is_int(the_link.reading, 1, "which begins anew");
    the_link.ops.batch_end(&the_link, the_link.arg);
    now_ms += 1000;
    broadcast();
    is_int(the_link.reading, 1, "time between batches is not counted");
    broadcast();
    is_int(the_link.reading, 0, "eight");
    downlink_shut(down);
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(the_link.reading, 0, "shut: it does not go on");
    end();
}

/* Nothing comes behind a request that is not done. */
static void test_acting(void)
{
    greet();
    act_result = ACT_BEGUN;
    say(MSG_DISCONNECT, "41ll1", 6U, (unsigned)MSG_SELECT_ROOMS, 0, 0, 1U);
    is_int(the_link.reading, 0, "it has begun: what comes waits");
    the_link.ops.batch_end(&the_link, the_link.arg);
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(the_link.reading, 0, "however many turns it takes");
    downlink_go_on(down);
    is_int(the_link.reading, 1, "it is done: more may come");
    act_result = ACT_DONE;
    broadcast_ms = 3;
    say(MSG_DISCONNECT, "41ll1", 6U, (unsigned)MSG_SELECT_ROOMS, 0, 0, 1U);
    is_int(the_link.reading, 1, "three milliseconds are no turn");
    broadcast();
    is_int(the_link.reading, 0, "with three of another they are");
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(the_link.reading, 1, "which is over");
    the_link.ops.batch_end(&the_link, the_link.arg);
    broadcast_ms = 5;
    say(MSG_FETCH, "411ll", 8U, (unsigned)MSG_WHAT_IDS, (unsigned)MSG_SELECT_ROOMS, 0, 0);
    is_int(the_link.reading, 0, "a question may take a turn, too");
    event_base_loop(base, EVLOOP_NONBLOCK);
    downlink_shut(down);
    downlink_go_on(down);
    is_int(the_link.reading, 0, "shut: it does not go on");
    end();
}

/* Who is still to be let in that was admitted before. */
static void test_settling(void)
{
    greet();
    unsettled = 1;
    is_int(say(MSG_JOIN, "41lll", 5U, (unsigned)MSG_SELECT_ROOMS, 1, 0, 1), 1, "a request waits");
    is_str(heard, "settle ", "those are hurried");
    is_int(the_link.reading, 0, "and nothing is read");
    the_link.reading = 1;
    is_int(say(MSG_LEAVE, "41lll", 5U, (unsigned)MSG_SELECT_ROOMS, 1, 0, 1), 1, "so does another");
    is_int(say(MSG_DISCONNECT, "41ll1", 6U, (unsigned)MSG_SELECT_ROOMS, 0, 0, 1U), 1, "each");
    is_int(say(MSG_EMIT, "4488884llbl", 9U, 1000U, UINT64_C(1), UINT64_C(2), UINT64_C(5),
               UINT64_C(0), 1U, 2, 1, "[1", 3),
           1, "and what is to be acknowledged");
    is_str(heard, "settle ", "which is in no history");
    the_link.reading = 1;
    is_int(broadcast(), 0, "not what is");
    is_int(the_link.reading, 1, "it is read on");
    TAKEN("fetch:8:0:0:0:0 ", "nor a question", MSG_FETCH, "411ll", 8U, (unsigned)MSG_WHAT_IDS,
          (unsigned)MSG_SELECT_ROOMS, 0, 0);
    the_link.reading = 0;
    unsettled = 0;
    downlink_go_on(down);
    is_int(the_link.reading, 1, "they are in: it goes on");
    TAKEN("act:join:5:0:1:0:1:0 ", "with that request", MSG_JOIN, "41lll", 5U,
          (unsigned)MSG_SELECT_ROOMS, 1, 0, 1);
    end();
}

static void test_end(void)
{
    greet();
    heard[0] = '\0';
    the_link.ops.closed(&the_link, "closed by peer", the_link.arg);
    is_str(heard, "closed:closed by peer ", "the master has died");
    downlink_shut(down);
    is_int(the_link.reading, 0, "shut: nothing is read");
    TAKEN("", "nor heard", MSG_COUNT, "4", 9U);
    TAKEN("", "not even what is bad", 99, "");
    end();
}

static void test_no_memory(void)
{
    greet();
    buf_reset(&out);
    build(MSG_BROADCAST, "88884llbl", UINT64_C(1), UINT64_C(2), UINT64_C(5), UINT64_C(0), 0U, 100,
          0, "[", 0);
    nomem = 1;
    is_int(given(), 1, "no memory for a broadcast: it is to come again");
    is_str(heard, "", "nobody hears of it yet");
    is_int(given(), 0, "then it is taken");
    is_str(heard, "broadcast:5:0:100:0:[:0 ", "whole");
    buf_reset(&out);
    build(MSG_JOIN, "41lll", 5U, (unsigned)MSG_SELECT_ROOMS, 2, 1, 100);
    nomem = 1;
    is_int(given(), 1, "no memory for a request: it is to come again");
    is_str(heard, "", "nobody hears of it yet");
    act_result = ACT_NO_MEMORY;
    is_int(given(), 1, "no memory for who is meant: again");
    act_result = ACT_DONE;
    is_int(given(), 0, "then it is taken");
    is_str(heard, "act:join:5:0:2:1:100:0 ", "whole");
    buf_reset(&out);
    build(MSG_EMIT, "4488884llbl", 9U, 1U, UINT64_C(1), UINT64_C(2), UINT64_C(5), UINT64_C(0), 0U,
          1000, 0, "[", 0);
    nomem = 1;
    is_int(given(), 1, "no memory for one that is to be acknowledged");
    is_int(given(), 0, "then it is taken");
    is_str(heard, "emit:9:1:broadcast:5:0:1000:0:[:0 ", "whole");
    buf_reset(&out);
    build(MSG_FETCH, "411ll", 8U, (unsigned)MSG_WHAT_IDS, (unsigned)MSG_SELECT_ROOMS, 50, 0);
    nomem = 1;
    is_int(given(), 1, "no memory for a question: it is to come again");
    is_int(given(), 0, "then it is taken");
    end();
    link_fails = 1;
    ok(downlink_new(base, 3, 4, &ops, &heard) == NULL, "no memory for the link");
    link_fails = 0;
    downlink_free(&down);
    ok(down == NULL, "freed");
}

int main(void)
{
    log_begin_at(LOG_LEVEL_DEBUG);
    base = event_base_new();
    test_hello();
    test_messages();
    test_lengths();
    test_log();
    test_turns();
    test_acting();
    test_settling();
    test_end();
    test_no_memory();
    event_base_free(base);
    buf_free(&out);
    log_end();
    return tap_done();
}
