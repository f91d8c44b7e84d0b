/* axr-notify: one notification from the shell, published as
 * @socket.io/redis-emitter does. */
#include "base/buf.h"
#include "base/stdfds.h"
#include "base/utf8.h"
#include "codec/emit.h"
#include "codec/hiredis_count.h"
#include "codec/json.h"
#include "conf.h"
#include "conf/args.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE  2
#define REDIS_SEC   5  /* to connect, and for each answer */
#define SHOWN_MAX   60 /* characters of a word in a message */
#define ANSWER_MAX  65536

struct options {
    struct slices rooms, except;
    struct slices words; /* EVENT and the JSON arguments */
    uint32_t flags;
    int version, help;
};

enum { OPTION_TO = 1, OPTION_EXCEPT, OPTION_VOLATILE, OPTION_VERSION, OPTION_HELP };

static const struct args_option own[] = {
    {"--to", OPTION_TO, 1},
    {"--except", OPTION_EXCEPT, 1},
    {"--volatile", OPTION_VOLATILE, 0},
    {"-V", OPTION_VERSION, 0},
    {"--version", OPTION_VERSION, 0},
    {"-h", OPTION_HELP, 0},
    {"--help", OPTION_HELP, 0},
};

static const char usage[] =
    "usage: axr-notify [-c FILE] [--KEY VALUE]... [--to ROOM]... [--except ROOM]... [--volatile]\n"
    "                  EVENT [JSON]...\n";

static const char help[] =
    "\n"
    "Sends EVENT with the JSON values as its arguments to all clients, or to those in\n"
    "one of the rooms, and prints how many subscribers redis has handed it to.\n"
    "\n"
    "  --to ROOM      to clients in this room: a user's id, or allusers\n"
    "  --except ROOM  not to clients in this room\n"
    "  --volatile     not to clients that are behind with their output\n"
    "  JSON           a value such as '{\"text\":\"hi\"}' or '\"text\"'; - reads one from\n"
    "                 standard input\n"
    "  -c FILE        configuration file (" CONF_DEFAULT_FILE ", if it is there)\n"
    "  --KEY VALUE    set a key of the configuration: --socket.io:redis:host r1\n"
    "  -V, --version  print the version\n"
    "  -h, --help     print this\n"
    "\n"
    "See axr-notify(1); the keys are in axr-notifyd.conf(5).\n";

static int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One line to standard error.  Returns EXIT_FAILED. */
static int fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)fputs("axr-notify: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return EXIT_FAILED;
}

/* Each line of text likewise. */
static void fail_lines(const struct buf *text)
{
    const char *at = (const char *)text->data, *end = at + text->len;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;

        fail("%.*s", (int)(stop - at), at);
        at = stop + 1;
    }
}

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

static int visit(int id, const char *value, void *arg, struct buf *errors)
{
    struct options *options = arg;

    switch (id) {
    case OPTION_TO:
        return add_room(&options->rooms, "--to", value, errors);
    case OPTION_EXCEPT:
        return add_room(&options->except, "--except", value, errors);
    case OPTION_VOLATILE:
        options->flags |= BROADCAST_VOLATILE;
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
    if (options->words.n == 0)
        buf_puts(errors, "an event is wanted\n");
    else if (is_json(options->words.at[0]))
        buf_printf(
            errors, "the event is wanted before its arguments, and %s is JSON\n",
            log_escape(shown, sizeof(shown), options->words.at[0].ptr, options->words.at[0].len));
    if (inputs > 1)
        buf_puts(errors, "standard input can be read once only\n");
    return errors->len > 0 ? -1 : 0;
}

/* ---- message ---- */

/* All of standard input. */
static int read_input(struct buf *text)
{
    ssize_t n;

    do {
        uint8_t *room = buf_reserve(text, 65536);

        if (room == NULL)
            return fail("no memory for standard input");
        n = read(STDIN_FILENO, room, 65536);
        if (n < 0 && errno != EINTR)
            return fail("cannot read standard input: %s", strerror(errno));
        text->len += n > 0 ? (size_t)n : 0;
    } while (n != 0);
    return 0;
}

/* What is wrong with the argument, at the first byte that cannot be. */
static int fail_json(size_t number, struct slice text, size_t bad)
{
    const char *hint = "";
    char shown[SHOWN_MAX];

    if (text.len > 0 && (text.ptr[0] == '\0' || strchr("\"[{-0123456789", text.ptr[0]) == NULL))
        hint = " (a string needs quotes: '\"text\"')";
    if (bad >= text.len)
        return fail("argument %zu is not JSON: it ends too early, after byte %zu%s", number, bad,
                    hint);
    log_escape(shown, sizeof(shown), text.ptr + bad, text.len - bad);
    return fail("argument %zu is not JSON: byte %zu: %s%s", number, bad + 1, shown, hint);
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
        return fail("the event is not UTF-8");
    if (emit_event_reserved(event))
        return fail("\"%s\" is a reserved event name: clients would disconnect", event.ptr);
    buf_putc(json, '[');
    json_put_string(json, event.ptr, event.len);
    for (size_t i = 1; i < words->n && result == 0; i++) {
        struct slice text = words->at[i];

        if (slice_eq(text, SLICE("-"))) {
            result = read_input(&input);
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
        return fail("an argument nests too deep: at most %d levels", EMIT_DEPTH_MAX - 1);
    if (result == EMIT_TOO_MANY_ROOMS)
        return fail("too many rooms: at most %d different ones", EMIT_ROOMS_MAX);
    return fail("axr-notifyd would not take it: %s", emit_result_name(result));
}

static struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

/* Appends channel and payload. */
static int make_message(struct buf *channel, struct buf *payload, const struct conf *conf,
                        const struct options *options)
{
    struct slice key = slice_str(conf->key), nsp = slice_str(conf->nsp);
    struct buf json = {0};
    int result = put_data(&json, &options->words);

    if (result == 0 &&
        (json.failed || emit_encode(channel, payload, key, nsp, &options->rooms, &options->except,
                                    options->flags, buf_slice(&json)) != 0))
        result = fail("no memory for the message");
    if (result == 0)
        result = check_message(buf_slice(channel), buf_slice(payload), key, nsp);
    buf_free(&json);
    return result;
}

/* ---- redis ---- */

/* What went wrong with the connection; hiredis shows a timeout as EAGAIN. */
static const char *error_text(const redisContext *redis)
{
    static char text[64];

    if (redis == NULL)
        return "no memory";
    if (redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT)) {
        (void)snprintf(text, sizeof(text), "no answer within %d s", REDIS_SEC);
        return text;
    }
    return redis->errstr;
}

static redisContext *redis_open(const struct conf_redis *conf)
{
    const struct timeval limit = {REDIS_SEC, 0};
    redisContext *redis = conf->path != NULL
                              ? redisConnectUnixWithTimeout(conf->path, limit)
                              : redisConnectWithTimeout(conf->host, conf->port, limit);

    if (redis != NULL && redis->err == 0 && redisSetTimeout(redis, limit) == REDIS_OK)
        return redis;
    if (conf->path != NULL)
        fail("cannot connect to redis at %s: %s", conf->path, error_text(redis));
    else
        fail("cannot connect to redis at %s:%d: %s", conf->host, conf->port, error_text(redis));
    redisFree(redis);
    return NULL;
}

/* No answer to us is an array, and what claims to be a large one would take all the
 * memory that there is. */
static void *no_array(const redisReadTask *task, hiredis_count elements)
{
    (void)task;
    (void)elements;
    return NULL;
}

/* Sends a command and waits for its answer.  Returns that, or NULL; then *why is what
 * went wrong. */
static redisReply *redis_ask(redisContext *redis, int argc, const char **argv,
                             const size_t *lengths, const char **why)
{
    redisReplyObjectFunctions functions = *redis->reader->fn, *const defaults = redis->reader->fn;
    void *reply = NULL;
    int result = redisAppendCommandArgv(redis, argc, argv, lengths), sent = 0;

    functions.createArray = no_array;
    redis->reader->fn = &functions;
    while (result == REDIS_OK && !sent)
        result = redisBufferWrite(redis, &sent);
    while (result == REDIS_OK && reply == NULL && redis->reader->len <= ANSWER_MAX) {
        result = redisBufferRead(redis);
        if (result == REDIS_OK)
            result = redisGetReplyFromReader(redis, &reply);
    }
    redis->reader->fn = defaults;
    if (result == REDIS_OK || redis->err == REDIS_ERR_OOM)
        *why = "an answer that is an array or too long";
    else
        *why = error_text(redis);
    return reply;
}

/* Sends a command and takes its answer, which must be of that type.  Returns
 * it, or NULL when that has been reported. */
static redisReply *redis_call(redisContext *redis, int type, int argc, const char **argv,
                              const size_t *lengths)
{
    const char *why;
    redisReply *reply = redis_ask(redis, argc, argv, lengths, &why);

    if (reply != NULL && reply->type == type)
        return reply;
    if (reply == NULL)
        fail("redis: %s: %s", argv[0], why);
    else if (reply->type == REDIS_REPLY_ERROR)
        fail("redis: %s: %s", argv[0], reply->str);
    else
        fail("redis: %s: an answer that makes no sense", argv[0]);
    if (reply != NULL)
        freeReplyObject(reply);
    return NULL;
}

static int redis_auth(redisContext *redis, const struct conf_redis *conf)
{
    const char *argv[] = {"AUTH", conf->username, conf->password};
    redisReply *reply;
    int argc = 3;

    if (conf->password == NULL)
        return 0;
    if (conf->username == NULL) {
        argv[1] = conf->password;
        argc = 2;
    }
    reply = redis_call(redis, REDIS_REPLY_STATUS, argc, argv, NULL);
    if (reply == NULL)
        return EXIT_FAILED;
    freeReplyObject(reply);
    return 0;
}

static int publish(redisContext *redis, struct slice channel, struct slice payload)
{
    const char *argv[] = {"PUBLISH", channel.ptr, payload.ptr};
    const size_t lengths[] = {7, channel.len, payload.len};
    redisReply *reply = redis_call(redis, REDIS_REPLY_INTEGER, 3, argv, lengths);

    if (reply == NULL)
        return EXIT_FAILED;
    printf("%lld subscriber%s\n", reply->integer, reply->integer == 1 ? "" : "s");
    if (reply->integer == 0)
        fail("warning: nobody listens: no axr-notifyd is subscribed to \"%.*s\" at this redis",
             (int)channel.len, channel.ptr);
    freeReplyObject(reply);
    return 0;
}

/* ---- main ---- */

/* What was printed has arrived, or the exit status says that it has not. */
static int flushed(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : fail("cannot write to standard output");
}

static int send_message(const struct conf *conf, const struct options *options)
{
    struct buf channel = {0}, payload = {0};
    redisContext *redis = NULL;
    int status = make_message(&channel, &payload, conf, options);

    if (status != 0)
        goto out;
    status = EXIT_FAILED;
    redis = redis_open(&conf->redis);
    if (redis == NULL || redis_auth(redis, &conf->redis) != 0)
        goto out;
    status = publish(redis, buf_slice(&channel), buf_slice(&payload));
    if (status == 0)
        status = flushed();
out:
    if (redis != NULL)
        redisFree(redis);
    buf_free(&channel);
    buf_free(&payload);
    return status;
}

static int run(const struct conf_args *args, const struct options *options)
{
    struct buf errors = {0}, warnings = {0};
    struct conf *conf = conf_load(args, CONF_FOR_NOTIFY, &errors, &warnings);
    int status = EXIT_FAILED;

    /* Warnings are for the daemon, which has had them. */
    fail_lines(&errors);
    if (conf != NULL)
        status = send_message(conf, options);
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
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct conf_args args;
    struct buf errors = {0};
    int status = EXIT_USAGE, split;

    if (stdfds_open() < 0)
        return 1;
    (void)signal(SIGPIPE, SIG_IGN); /* a redis that goes away is an error like others */
    split = conf_args_split(&args, argc, argv, environ, own, sizeof(own) / sizeof(own[0]), visit,
                            &options, &errors);
    if (split == 0 && !options.help && !options.version)
        split = check_words(&options, &errors);
    if (split != 0) {
        fail_lines(&errors);
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
