/* axr-notify: one notification from the shell, published as
 * @socket.io/redis-emitter does; and tokens, made and checked. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/quantity.h"
#include "base/stdfds.h"
#include "base/utf8.h"
#include "base/wiping.h"
#include "codec/emit.h"
#include "codec/json.h"
#include "conf.h"
#include "conf/args.h"
#include "conf/beside.h"
#include "notify/ack.h"
#include "notify/call.h"
#include "notify/input.h"
#include "notify/master.h"
#include "notify/say.h"
#include "notify/tokens.h"
#include "notify/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define SHOWN_MAX  60                  /* characters of a word in a message */
#define INPUT_MAX  ((size_t)512 << 20) /* proto-max-bulk-len of redis, unless it is set */

#define TTL_S_DEFAULT 86400

struct options {
    struct slices rooms, except;
    struct slices words; /* EVENT and the JSON arguments */
    uint32_t flags;
    uint32_t ack_ms;          /* 0: nobody is asked to acknowledge it */
    const char *user, *check; /* a token is made, or checked, in place of all that; or NULL */
    char *token;              /* the copy that check is */
    int64_t ttl_s;
    int sends, lasts; /* an option of that was given: of a message, of a token that is made */
    int json, watch, version, help;
};

enum {
    OPTION_TO = 1,
    OPTION_EXCEPT,
    OPTION_VOLATILE,
    OPTION_ACK,
    OPTION_TOKEN,
    OPTION_TTL,
    OPTION_CHECK,
    OPTION_JSON,
    OPTION_WATCH,
    OPTION_VERSION,
    OPTION_HELP
};

static const struct args_option own[] = {
    {"--to", OPTION_TO, 1},
    {"--except", OPTION_EXCEPT, 1},
    {"--volatile", OPTION_VOLATILE, 0},
    {"--ack", OPTION_ACK, 1},
    {"--token", OPTION_TOKEN, 1},
    {"--ttl", OPTION_TTL, 1},
    {"--check", OPTION_CHECK, 1},
    {"--json", OPTION_JSON, 0},
    {"--watch", OPTION_WATCH, 0},
    {"-V", OPTION_VERSION, 0},
    {"--version", OPTION_VERSION, 0},
    {"-h", OPTION_HELP, 0},
    {"--help", OPTION_HELP, 0},
};

static const char usage[] =
    "usage: axr-notify [-c FILE] [--KEY VALUE]... [--to ROOM]... [--except ROOM]... [--volatile]\n"
    "                  [--ack TIME [--json]] EVENT [JSON]...\n"
    "       axr-notify [-c FILE] [--KEY VALUE]... --watch\n"
    "       axr-notify [-c FILE] [--KEY VALUE]... --token UID [--ttl TIME] [--json]\n"
    "       axr-notify [-c FILE] [--KEY VALUE]... --check TOKEN [--json]\n";

static const char help[] =
    "\n"
    "Sends EVENT with the JSON values as its arguments to all clients, or to those in\n"
    "one of the rooms, and prints how many subscribers redis has handed it to.\n"
    "\n"
    "  --to ROOM      to clients in this room: a user's id, or allusers\n"
    "  --except ROOM  not to clients in this room\n"
    "  --volatile     not to clients that are behind with their output\n"
    "  --ack TIME     asks clients to acknowledge it, and prints how many it reached and how\n"
    "                 many have done so within that time: milliseconds, or as 2s\n"
    "  --json         prints each answer, and the numbers, as JSON\n"
    "  --token UID    prints a token for this user, made with the configured secret\n"
    "  --ttl TIME     how long it is good: seconds, or as 1d, which is the default; 0: for ever\n"
    "  --check TOKEN  says what the daemon would say of this token; - reads it from standard\n"
    "                 input\n"
    "  JSON           a value such as '{\"text\":\"hi\"}' or '\"text\"'; - reads one from\n"
    "                 standard input\n"
    "  --watch        sends nothing: prints what is published in redis, and what is wrong with it\n"
    "  -c FILE        configuration file (" CONF_DEFAULT_FILE ", if it is there)\n"
    "  --KEY VALUE    set a key of the configuration: --socket.io:redis:host r1\n"
    "  -V, --version  print the version\n"
    "  -h, --help     print this\n"
    "\n"
    "See axr-notify(1); the keys are in axr-notifyd.conf(5).\n";

/* ---- command line ---- */

static int add_room(struct slices *rooms, const char *option, const char *room, struct buf *errors)
{
    struct slice name = slice_str(room);

    if (name.len == 0) /* an unset variable of a script; nobody is in such a room */
        buf_printf(errors, "the room after %s is empty\n", option);
    else if (!utf8_valid(name.ptr, name.len))
        buf_printf(errors, "the room after %s is not UTF-8\n", option);
    else if (slices_put(rooms, name) == 0)
        return 0;
    return -1;
}

static const char *in_quotes(const char *value, char dst[SHOWN_MAX + 2])
{
    char word[SHOWN_MAX];

    (void)snprintf(dst, SHOWN_MAX + 2, "\"%s\"",
                   log_escape(word, sizeof(word), value, strlen(value)));
    return dst;
}

static int set_ack(struct options *options, const char *value, struct buf *errors)
{
    char shown[SHOWN_MAX + 2];
    int64_t ms = 0;
    enum quantity_result result = quantity_parse(value, strlen(value), QUANTITY_MS, &ms);

    if ((result != QUANTITY_OK && result != QUANTITY_BARE) || ms == 0 || ms > ACK_MS_MAX) {
        buf_printf(errors,
                   "--ack wants milliseconds, 1 to %d, or a duration as 2s (%s); found %s%s\n",
                   ACK_MS_MAX, quantity_units(QUANTITY_MS), in_quotes(value, shown),
                   quantity_fault(result, QUANTITY_MS));
        return -1;
    }
    options->ack_ms = (uint32_t)ms;
    return 0;
}

static int set_ttl(struct options *options, const char *value, struct buf *errors)
{
    enum quantity_result result = quantity_parse(value, strlen(value), QUANTITY_S, &options->ttl_s);
    char shown[SHOWN_MAX + 2];

    options->lasts = 1;
    if ((result == QUANTITY_OK || result == QUANTITY_BARE) && options->ttl_s <= TTL_S_MAX)
        return 0;
    buf_printf(errors, "--ttl wants seconds, 0 to %lld, or a duration as 1d (%s); found %s%s\n",
               (long long)TTL_S_MAX, quantity_units(QUANTITY_S), in_quotes(value, shown),
               quantity_fault(result, QUANTITY_S));
    return -1;
}

static int visit(int id, const char *value, void *arg, struct buf *errors)
{
    struct options *options = arg;

    options->sends |= id == OPTION_WATCH || id == OPTION_TO || id == OPTION_EXCEPT ||
                      id == OPTION_VOLATILE || id == OPTION_ACK || id == 0;
    switch (id) {
    case OPTION_TOKEN:
        options->user = value;
        return 0;
    case OPTION_TTL:
        return set_ttl(options, value, errors);
    case OPTION_CHECK:
        options->check = value;
        return 0;
    case OPTION_TO:
        return add_room(&options->rooms, "--to", value, errors);
    case OPTION_EXCEPT:
        return add_room(&options->except, "--except", value, errors);
    case OPTION_VOLATILE:
        options->flags |= BROADCAST_VOLATILE;
        return 0;
    case OPTION_ACK:
        return set_ack(options, value, errors);
    case OPTION_JSON:
        options->json = 1;
        return 0;
    case OPTION_WATCH:
        options->watch = 1;
        return 0;
    case OPTION_VERSION:
        options->version = 1;
        return 0;
    case OPTION_HELP:
        options->help = 1;
        return 0;
    default:
        return slices_put(&options->words, slice_str(value));
    }
}

/* 1 if text is one JSON value: no event is called so, one was forgotten. */
static int is_json(struct slice text)
{
    long span = json_span(text.ptr, text.len);

    return span >= 0 && strspn(text.ptr + span, " \t\r\n") == text.len - (size_t)span;
}

static int check_words(const struct options *options, struct buf *errors)
{
    char shown[SHOWN_MAX];
    int inputs = 0;

    for (size_t i = 1; i < options->words.n; i++)
        inputs += slice_eq(options->words.at[i], SLICE("-"));
    if (options->watch) {
        if (options->words.n + options->rooms.n + options->except.n > 0 || options->ack_ms > 0)
            buf_puts(errors, "--watch sends nothing: it goes with no event, room or --ack\n");
    } else if (options->words.n == 0)
        buf_puts(errors, "an event is wanted\n");
    else if (is_json(options->words.at[0]))
        buf_printf(
            errors, "the event is wanted before its arguments, and %s is JSON\n",
            log_escape(shown, sizeof(shown), options->words.at[0].ptr, options->words.at[0].len));
    if (inputs > 1)
        buf_puts(errors, "standard input can be read once only\n");
    if (options->json && options->ack_ms == 0)
        buf_puts(errors, "--json is of use with --ack only\n");
    return errors->len > 0 ? -1 : 0;
}

/* Of tokens: nothing is sent with them. */
static int check_tokens(const struct options *options, struct buf *errors)
{
    const char *name = options->user != NULL ? "--token" : "--check";

    if (options->user != NULL && options->check != NULL)
        buf_puts(errors, "--token and --check are wanted one at a time\n");
    else if (options->sends)
        buf_printf(errors, "%s goes with -c, --KEY, --json%s, and nothing else\n", name,
                   options->user != NULL ? " and --ttl" : "");
    else if (options->check != NULL && options->lasts)
        buf_puts(errors, "--ttl is of use with --token only\n");
    return errors->len > 0 ? -1 : 0;
}

static int check_options(const struct options *options, struct buf *errors)
{
    if (options->user != NULL || options->check != NULL)
        return check_tokens(options, errors);
    if (options->lasts)
        buf_puts(errors, "--ttl is of use with --token only\n");
    return check_words(options, errors);
}

/* Takes a copy of the token, and hides what /proc shows of it. */
static void take_token(struct options *options, int argc, char **argv)
{
    const char *given = options->check;

    if (given == NULL)
        return;
    options->check = options->token = xstrdup(given);
    for (int i = 1; i < argc; i++) {
        size_t len = strlen(argv[i]);

        if (given >= argv[i] && given < argv[i] + len)
            memset(argv[i] + (given - argv[i]), '*', len - (size_t)(given - argv[i]));
    }
}

/* ---- message ---- */

/* What is wrong with the argument, at the first byte that cannot be. */
static int fail_json(size_t number, struct slice text, size_t bad)
{
    const char *hint = "";
    char shown[SHOWN_MAX];

    if (text.len > 0 && (text.ptr[0] == '\0' || strchr("\"[{-0123456789", text.ptr[0]) == NULL))
        hint = " (a string needs quotes: '\"text\"')";
    if (bad >= text.len)
        return say_fail("argument %zu is not JSON: it ends too early, after byte %zu%s", number,
                        bad, hint);
    log_escape(shown, sizeof(shown), text.ptr + bad, text.len - bad);
    return say_fail("argument %zu is not JSON: byte %zu: %s%s", number, bad + 1, shown, hint);
}

/* Appends one argument, which is the whole of text. */
static int put_argument(struct buf *json, size_t number, struct slice text)
{
    size_t bad = 0;
    long span = json_span_at(text.ptr, text.len, &bad);

    if (span < 0)
        return fail_json(number, text, bad);
    bad = (size_t)span;
    while (bad < text.len && strchr(" \t\r\n", text.ptr[bad]) != NULL && text.ptr[bad] != '\0')
        bad++;
    if (bad < text.len)
        return fail_json(number, text, bad);
    buf_putc(json, ',');
    buf_put(json, text.ptr, (size_t)span);
    return 0;
}

/* The array of event and arguments. */
static int put_data(struct buf *json, const struct slices *words)
{
    struct slice event = words->at[0];
    struct buf input = {0};
    int result = 0;

    if (!utf8_valid(event.ptr, event.len))
        return say_fail("the event is not UTF-8");
    if (emit_event_reserved(event))
        return say_fail("\"%s\" is a reserved event name: clients would disconnect", event.ptr);
    buf_putc(json, '[');
    json_put_string(json, event.ptr, event.len);
    for (size_t i = 1; i < words->n && result == 0; i++) {
        struct slice text = words->at[i];

        if (slice_eq(text, SLICE("-"))) {
            result = input_read(&input, INPUT_MAX, "redis takes at once");
            text = (struct slice){(const char *)input.data, input.len};
        }
        if (result == 0)
            result = put_argument(json, i, text);
    }
    buf_putc(json, ']');
    buf_free(&input);
    return result;
}

/* Takes the message as the daemon will, but for its limits, which are its own. */
static int check_message(struct slice channel, struct slice payload, struct slice key,
                         struct slice nsp)
{
    static const struct emit_limits limits = {SIZE_MAX, BROADCAST_ATTACHMENTS_MAX};
    struct broadcast bc = {0};
    enum emit_result result = emit_decode(&bc, channel, payload, key, nsp, &limits);

    broadcast_clear(&bc);
    if (result == EMIT_OK)
        return 0;
    if (result == EMIT_TOO_DEEP)
        return say_fail("an argument nests too deep: at most %d levels", EMIT_DEPTH_MAX - 1);
    if (result == EMIT_TOO_MANY_ROOMS)
        return say_fail("too many rooms: at most %d different ones", EMIT_ROOMS_MAX);
    return say_fail("axr-notifyd would not take it: %s", emit_result_name(result));
}

static struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

/* What is sent. */
struct message {
    struct buf json, channel, payload;
};

static int make_message(struct message *message, const struct conf *conf,
                        const struct options *options)
{
    struct slice key = slice_str(conf->key), nsp = slice_str(conf->nsp);
    int result = put_data(&message->json, &options->words);

    if (result == 0 &&
        (message->json.failed ||
         emit_encode(&message->channel, &message->payload, key, nsp, &options->rooms,
                     &options->except, options->flags, buf_slice(&message->json)) != 0))
        result = say_fail("no memory for the message");
    if (result == 0)
        result =
            check_message(buf_slice(&message->channel), buf_slice(&message->payload), key, nsp);
    return result;
}

/* ---- redis ---- */

static int publish(struct call *redis, struct slice channel, struct slice payload)
{
    const char *argv[] = {"PUBLISH", channel.ptr, payload.ptr};
    const size_t lengths[] = {7, channel.len, payload.len};
    redisReply *reply = call_redis(redis, REDIS_REPLY_INTEGER, 3, argv, lengths);

    if (reply == NULL)
        return EXIT_FAILED;
    printf("%lld subscriber%s\n", reply->integer, reply->integer == 1 ? "" : "s");
    if (reply->integer == 0)
        say_fail("warning: nobody listens: no axr-notifyd is subscribed to \"%.*s\" at this redis",
                 (int)channel.len, channel.ptr);
    freeReplyObject(reply);
    return 0;
}

static int watch(struct conf *conf)
{
    return master_find(&conf->redis) < 0 ? EXIT_FAILED : watch_run(conf);
}

/* ---- main ---- */

/* What was printed has arrived, or the exit status says that it has not. */
static int flushed(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : say_fail("cannot write to standard output");
}

static int send_plain(const struct conf *conf, const struct message *message)
{
    struct call *redis = call_open(&conf->redis);
    int status;

    if (redis == NULL)
        return EXIT_FAILED;
    status = publish(redis, buf_slice(&message->channel), buf_slice(&message->payload));
    call_free(&redis);
    return status;
}

static int send_acked(const struct conf *conf, const struct options *options,
                      const struct message *message)
{
    const struct request_broadcast request = {
        .rooms = &options->rooms,
        .except = &options->except,
        .flags = options->flags,
        .timeout_ms = options->ack_ms,
        .json = buf_slice(&message->json),
    };

    return ack_send(conf, request, options->json);
}

static int send_message(struct conf *conf, const struct options *options)
{
    struct message message = {0};
    int status = make_message(&message, conf, options);

    if (status == 0 && master_find(&conf->redis) < 0)
        status = EXIT_FAILED;
    if (status == 0)
        status =
            options->ack_ms > 0 ? send_acked(conf, options, &message) : send_plain(conf, &message);
    if (flushed() != 0)
        status = EXIT_FAILED;
    buf_free(&message.json);
    buf_free(&message.channel);
    buf_free(&message.payload);
    return status;
}

static int use_tokens(const struct conf *conf, const struct options *options)
{
    int status = options->user != NULL
                     ? tokens_make(conf, options->user, options->ttl_s, options->json)
                     : tokens_check(conf, options->check, options->json);

    return flushed() != 0 ? EXIT_FAILED : status;
}

/* Most often it is the secret that not everybody may read. */
static void say_who_may(const struct buf *errors)
{
    const char *denied = strerror(EACCES);

    if (geteuid() != 0 && errors->data != NULL &&
        memmem(errors->data, errors->len, denied, strlen(denied)) != NULL)
        (void)say_fail("run it as root, or as who is in the group that may read the secret: "
                       "axr-notifyd, where it was installed (adduser NAME axr-notifyd)");
}

/* The daemon may judge tokens by more than we are given. */
static void warn_beside(const struct conf_args *args)
{
    struct buf lines = {0};
    char *line, *rest;

    beside_put(args, "", &lines);
    if (lines.len > 0 && buf_putc(&lines, '\0') == 0)
        for (line = strtok_r((char *)lines.data, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest))
            (void)say_fail("warning: %s", line);
    buf_free(&lines);
}

static int run(const struct conf_args *args, const struct options *options)
{
    int tokens = options->user != NULL || options->check != NULL;
    struct buf errors = {0}, warnings = {0};
    struct conf *conf =
        conf_load(args, tokens ? CONF_FOR_TOKENS : CONF_FOR_NOTIFY, &errors, &warnings);
    int status = EXIT_FAILED;

    if (tokens)
        warn_beside(args);
    /* Warnings are for the daemon, which has had them. */
    say_lines(&errors);
    if (tokens && conf == NULL)
        say_who_may(&errors);
    if (conf != NULL && tokens)
        status = use_tokens(conf, options);
    else if (conf != NULL)
        status = options->watch ? watch(conf) : send_message(conf, options);
    conf_free(&conf);
    buf_free(&errors);
    buf_free(&warnings);
    return status;
}

static void options_clear(struct options *options)
{
    slices_clear(&options->rooms);
    slices_clear(&options->except);
    slices_clear(&options->words);
    if (options->token != NULL)
        explicit_bzero(options->token, strlen(options->token));
    free(options->token);
}

int main(int argc, char **argv)
{
    struct options options = {.ttl_s = TTL_S_DEFAULT};
    struct conf_args args;
    struct buf errors = {0};
    int status = EXIT_USAGE, split;

    if (stdfds_open() < 0)
        return 1;
    if (wiping_install() < 0)
        return say_fail("out of memory");
    (void)signal(SIGPIPE, SIG_IGN); /* a redis that goes away is an error like others */
    split = conf_args_split(&args, argc, argv, environ, own, sizeof(own) / sizeof(own[0]), visit,
                            &options, &errors);
    take_token(&options, argc, argv);
    if (split == 0 && !options.help && !options.version)
        split = check_options(&options, &errors);
    if (split != 0) {
        say_lines(&errors);
        (void)fputs(usage, stderr);
    } else if (options.help) {
        printf("%s%s", usage, help);
        status = flushed();
    } else if (options.version) {
        printf("axr-notify %s\n", AXR_VERSION);
        status = flushed();
    } else {
        status = run(&args, &options);
    }
    conf_args_clear(&args);
    options_clear(&options);
    buf_free(&errors);
    return status;
}
