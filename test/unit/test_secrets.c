/* No secret is in memory that is given back: pieces of a long one are looked for in every
 * block that the library frees.  Linked with --wrap for free() and realloc() (Makefile). */
#include "base/base64.h"
#include "codec/jwks.h"
#include "codec/jwt.h"
#include "codec/token.h"
#include "conf.h"
#include "ipc/change.h"
#include "ipc/link.h"
#include "jwt_sign.h"
#include "scratch.h"
#include "tap.h"
#include "worker/auth.h"

#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- what is given back --- */

#define SECRET_LEN 700
#define PIECE_LEN  24
#define APART      96 /* from one piece to the next */

static char secret[SECRET_LEN + 1];
static char needles[300][PIECE_LEN]; /* pieces of the secret, and of what it is written as */
static size_t nneedles, found, freed;

void __real_free(void *ptr);
void __wrap_free(void *ptr);
void *__wrap_realloc(void *ptr, size_t size);

/* What was asked for, where that is all that may be read, or more. */
static void look(void *ptr)
{
    freed++;
    for (size_t i = 0; i < nneedles; i++)
        if (memmem(ptr, malloc_usable_size(ptr), needles[i], PIECE_LEN) != NULL)
            found++;
}

void __wrap_free(void *ptr)
{
    if (ptr != NULL)
        look(ptr);
    __real_free(ptr);
}

/* It always moves. */
void *__wrap_realloc(void *ptr, size_t size)
{
    void *moved = malloc(size);
    size_t had = ptr != NULL ? malloc_usable_size(ptr) : 0;

    if (moved == NULL)
        return NULL;
    memcpy(moved, ptr != NULL ? ptr : "", had < size ? had : size);
    if (ptr != NULL) {
        look(ptr);
        __real_free(ptr);
    }
    return moved;
}

/* The end, and pieces before it: where memory grows, what was there is a beginning. */
static void watch(const char *text, size_t len)
{
    size_t end = len;

    do {
        if (nneedles == sizeof(needles) / sizeof(needles[0]))
            abort();
        memcpy(needles[nneedles++], text + end - PIECE_LEN, PIECE_LEN);
        end = end > APART ? end - APART : 0;
    } while (end >= APART);
}

static void unwatch(const char *name)
{
    ok(freed > 0, "%s: memory was given back", name);
    is_int(found, 0, "... without the secret");
    found = freed = 0;
}

static void secret_make(void)
{
    uint32_t state = 7;

    for (size_t i = 0; i < SECRET_LEN; i++) {
        state = state * 1664525 + 1013904223;
        secret[i] = (char)('a' + (state >> 24) % 26);
    }
    watch(secret, SECRET_LEN);
}

/* --- buffers --- */

static void test_buf(void)
{
    struct buf buf = {0}, plain = {0};

    buf_put(&plain, secret, SECRET_LEN);
    buf_free(&plain);
    ok(found > 0, "a buffer that is not said to be secret leaves it, and we see that");
    found = 0;

    buf.secret = 1;
    buf_put(&buf, secret, SECRET_LEN);
    for (int i = 0; i < 100; i++)
        buf_puts(&buf, "more and more and more");
    ok(memcmp(buf.data, secret, SECRET_LEN) == 0, "it grows with what is in it");
    buf_consume(&buf, SECRET_LEN);
    is_int(buf.len, 2200, "what is consumed is not in it");
    buf_put(&buf, secret, SECRET_LEN);
    buf_consume(&buf, 100);
    ok(memmem(buf.data + buf.len, buf.cap - buf.len, needles[0], PIECE_LEN) == NULL,
       "what has moved leaves nothing behind");
    buf_reset(&buf);
    ok(memmem(buf.data, buf.cap, needles[0], PIECE_LEN) == NULL, "nor does a reset");
    buf_put(&buf, secret, SECRET_LEN);
    buf_consume(&buf, SECRET_LEN);
    ok(memmem(buf.data, buf.cap, needles[0], PIECE_LEN) == NULL, "nor what is consumed to the end");
    buf_put(&buf, secret, SECRET_LEN);
    buf_free(&buf);
    is_int(buf.secret, 0, "free makes a plain one of it");
    unwatch("a secret buffer");
}

/* --- the configuration --- */

static const char *escaped(void)
{
    static char text[SECRET_LEN * 6 + 1];

    for (size_t i = 0; i < SECRET_LEN; i++)
        (void)snprintf(text + i * 6, 7, "\\u%04x", (unsigned char)secret[i]);
    return text;
}

static const char *k_of_secret(void)
{
    static char text[BASE64URL_LEN(SECRET_LEN) + 1];

    text[base64url_encode(text, secret, SECRET_LEN)] = '\0';
    return text;
}

/* format with value for each $ */
static void fill(struct buf *out, const char *format, struct slice value)
{
    out->secret = 1;
    for (; *format != '\0'; format++)
        if (*format == '$')
            buf_put(out, value.ptr, value.len);
        else
            buf_putc(out, (uint8_t)*format);
}

static struct conf *load(const char *format, const char *value, const char *variable)
{
    char *env[] = {NULL, NULL};
    struct conf_args args = {.environ = env, .dir = scratch};
    struct buf text = {.secret = 1}, whole = {0}, errors = {0}, warnings = {0}, report = {0};
    struct conf *conf;

    if (variable != NULL) {
        fill(&whole, variable, slice_str(value));
        buf_putc(&whole, '\0');
        env[0] = (char *)whole.data;
    }
    buf_puts(&text, "{");
    if (strstr(format, "\"auth\"") == NULL)
        buf_puts(&text, "\"auth\":{\"keys\":[{\"secret\":\"01234567890123456789012345678901\"}]},");
    fill(&text, format, slice_str(value));
    buf_puts(&text, "\"workers\":1}");
    conf = conf_load_text(&args, (char *)text.data, text.len, CONF_FOR_DAEMON, &errors, &warnings);
    if (conf != NULL)
        conf_print(conf, &report);
    buf_free(&text);
    buf_free(&whole);
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
    return conf;
}

static void conf_good(const char *format, const char *value, const char *variable, const char *name)
{
    struct conf *conf = load(format, value, variable);

    ok(conf != NULL, "%s: it is good", name);
    conf_free(&conf);
    unwatch(name);
}

static void conf_bad(const char *format, const char *value, const char *variable, const char *name)
{
    struct conf *conf = load(format, value, variable);

    ok(conf == NULL, "%s: it is refused", name);
    unwatch(name);
}

static void test_conf(void)
{
    watch(escaped(), SECRET_LEN * 6);
    conf_good("\"auth\":{\"secret\":\"$\"},", secret, NULL, "auth:secret");
    conf_good("\"auth\":{\"secret\":\"$\"},", escaped(), NULL, "... with escapes");
    conf_good("\"auth\":{\"secret\":[\"$\"]},", escaped(), NULL, "... in a list");
    conf_good("\"auth\":{\"keys\":[{\"secret\":\"$\"}]},", escaped(), NULL, "auth:keys");
    conf_good("\"socket.io\":{\"redis\":{\"password\":\"$\"}},", escaped(), NULL, "password");
    conf_good("\"socket.io\":{\"redis\":{\"url\":\"redis://:$@h/0\"}},", secret, NULL, "url");
    conf_good("", secret, "AXR_NOTIFYD__AUTH__SECRET=$", "a variable");
    conf_good("", secret, "AXR_NOTIFYD__AUTH__SECRET=$\n", "a variable that ends with a line");
    conf_good("", escaped(), "AXR_NOTIFYD__AUTH={\"secret\":\"$\"}", "a variable of JSON");
    conf_good("", secret, "AXR_NOTIFYD__SOCKET_IO__REDIS__URL=redis://:$@h", "a variable of a URL");
    conf_bad("\"auth\":{\"secret\":\"$", escaped(), NULL, "a text that does not end");
    conf_bad("\"auth\":{\"secret\":\"$\\x\"},", escaped(), NULL, "a bad escape");
    conf_bad("\"auth\":{\"secret\":{\"a\":\"$\"}},", escaped(), NULL, "an object for a text");
    conf_bad("\"auth\":{\"secret\":\"$\"},\"port\":\"many\",", escaped(), NULL,
             "another key is bad");
    conf_bad("\"auth\":{\"keys\":[{\"secret\":\"$\",\"$\":1}]},", secret, NULL, "a key of no name");
    conf_bad("\"socket.io\":{\"redis\":{\"url\":\"redis://:$@h:x\"}},", secret, NULL, "a bad url");
    conf_bad("\"socket.io\":{\"redis\":{\"url\":\"redis://:$%zz@h\"}},", secret, NULL,
             "a bad escape in a url");
    conf_bad("\"$\":1,\"$\":1,", secret, NULL, "a key that is there twice");
    conf_bad("", escaped(), "AXR_NOTIFYD__AUTH={\"secret\":\"$\"", "a variable of bad JSON");
}

/* --- key files --- */

static void on_note(void *arg, int bad, unsigned line, const char *text)
{
    (void)arg;
    (void)bad;
    (void)line;
    (void)text;
}

static void jwks(const char *end, const char *members, int want, const char *name)
{
    struct token_keys *keys = token_keys_new();
    struct buf text = {.secret = 1};

    buf_printf(&text, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s%s\"%s}]}", k_of_secret(), end,
               members);
    is_int(jwks_parse(keys, (char *)text.data, text.len, on_note, NULL), want, name);
    buf_free(&text);
    token_keys_free(&keys);
    unwatch(name);
}

static void test_key_files(void)
{
    struct conf *conf;

    watch(k_of_secret(), strlen(k_of_secret()));
    jwks("", "", 0, "a secret in a JWKS");
    jwks("", ",\"alg\":\"RS256\"", -1, "one with an alg that it cannot do");
    jwks("*", "", -1, "one that is no base64url");
    jwks("", ",\"kid\":7", -1, "one with a bad kid");
    scratch_write("secret", secret, SECRET_LEN, 0600);
    conf = load("\"auth\":{\"secretFile\":\"secret\"},\"socket.io\":{\"redis\":{\"passwordFile\":"
                "\"secret\"}},",
                "", NULL);
    ok(conf != NULL && conf->redis.password != NULL && strcmp(conf->redis.password, secret) == 0,
       "files of a secret and a password");
    conf_free(&conf);
    unwatch("files of a secret and a password");
    conf =
        load("\"socket.io\":{\"connectionStateRecovery\":{\"secretFile\":\"secret\"}},", "", NULL);
    ok(conf != NULL && conf->recovery_secret_len == SECRET_LEN &&
           memcmp(conf->recovery_secret, secret, SECRET_LEN) == 0,
       "a file of the secret of sessions");
    conf_free(&conf);
    unwatch("a file of the secret of sessions");
    conf = load("\"admin\":{\"tokenFile\":\"secret\"},", "", NULL);
    ok(conf != NULL && conf->admin_token != NULL && strcmp(conf->admin_token, secret) == 0,
       "a file of the token of the admin address");
    conf_free(&conf);
    unwatch("a file of the token of the admin address");
}

static void test_keys(void)
{
    struct token_keys *keys = token_keys_new();

    token_keys_add_secret(keys, (struct slice){"k", 1}, secret, SECRET_LEN, 0);
    token_keys_clear(keys);
    is_int(token_keys_count(keys), 0, "a cleared set is empty");
    is_int(token_keys_algs(keys), 0, "and good for nothing");
    unwatch("a cleared set");
    is_int(token_keys_add_secret(keys, (struct slice){0}, secret, SECRET_LEN, 0), KEY_OK,
           "it takes another key");
    token_keys_clear(NULL);
    token_keys_free(&keys);
    unwatch("a set");
}

/* --- from the master to a worker --- */

struct end {
    struct link *link;
    int settings, others, again;
};

static int on_message(struct link *link, struct msg *msg, void *arg)
{
    struct end *end = arg;
    struct conf *conf;

    (void)link;
    if (msg->type != MSG_SETTINGS) {
        end->others++;
        return 0;
    }
    if (end->again > 0) {
        end->again--;
        return 1;
    }
    conf = change_get(msg);
    if (conf == NULL)
        return -1;
    end->settings++;
    conf_free(&conf);
    return 0;
}

static void on_closed(struct link *link, const char *why, void *arg)
{
    (void)link;
    (void)why;
    (void)arg;
}

static const struct link_ops ops = {.message = on_message, .closed = on_closed};
static const struct link_options roomy = {1 << 20, 1 << 20, 1 << 20};

static char *any[] = {(char[]){"*"}, NULL};

/* The settings amid others, cut into pieces of that many bytes. */
static void settings_pass(size_t piece, int again)
{
    struct event_base *base = event_base_new();
    struct token_keys *keys = token_keys_new();
    struct conf conf = {.cors_origins = any, .token.keys = keys};
    struct end end = {.again = again};
    struct buf out = {0};
    int ends[2];
    size_t mark;

    token_keys_add_secret(keys, (struct slice){0}, secret, SECRET_LEN, 0);
    if (pipe2(ends, O_NONBLOCK) < 0)
        abort();
    end.link = link_new(base, ends[0], -1, &roomy, &ops, &end);
    out.secret = 1;
    for (int i = 0; i < 3; i++) {
        mark = msg_begin(&out, MSG_LOG_REOPEN);
        msg_end(&out, mark);
        if (change_put(&out, &conf) < 0)
            abort();
    }
    for (size_t at = 0; at < out.len; at += piece) {
        size_t n = out.len - at < piece ? out.len - at : piece;

        if (write(ends[1], out.data + at, n) != (ssize_t)n)
            abort();
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    while (end.settings < 3 && event_base_loop(base, EVLOOP_ONCE) == 0)
        continue;
    ok(end.settings == 3 && end.others == 3, "settings in pieces of %zu", piece);
    buf_free(&out);
    token_keys_free(&keys);
    link_free(&end.link);
    close(ends[1]);
    event_base_free(base);
    unwatch("... as a worker gets them");
}

/* What waits for a worker that does not read, with others before and behind it. */
static void settings_wait(int wiped)
{
    struct event_base *base = event_base_new();
    struct token_keys *keys = token_keys_new();
    struct conf conf = {.cors_origins = any, .token.keys = keys};
    struct buf out = {0}, filler = {0};
    static uint8_t drain[1 << 16];
    struct link *link;
    int ends[2];
    size_t mark;

    token_keys_add_secret(keys, (struct slice){0}, secret, SECRET_LEN, 0);
    if (pipe2(ends, O_NONBLOCK) < 0)
        abort();
    link = link_new(base, -1, ends[1], &roomy, &ops, NULL);
    (void)fcntl(ends[1], F_SETPIPE_SZ, 4096);
    mark = msg_begin(&filler, MSG_LEFT);
    msg_put_bytes(&filler, drain, 6000);
    msg_end(&filler, mark);
    link_send(link, filler.data, filler.len);
    if (change_put(&out, &conf) < 0)
        abort();
    ok(out.secret, "the message is secret");
    link_send(link, out.data, out.len);
    for (int i = 0; i < 20; i++)
        link_send(link, filler.data, filler.len);
    is_int(link_flush(link), 1, "it waits");
    buf_free(&out);
    token_keys_free(&keys);
    if (wiped)
        link_wipe(link);
    while (link_queued(link) > 0 && !wiped) {
        if (read(ends[0], drain, sizeof(drain)) < 0)
            abort();
        explicit_bzero(drain, sizeof(drain));
        link_flush(link);
    }
    link_send(link, filler.data, filler.len);
    buf_free(&filler);
    link_free(&link);
    close(ends[0]);
    event_base_free(base);
    unwatch(wiped ? "... and a child wipes it" : "... until it is read");
}

static void test_link(void)
{
    const size_t pieces[] = {1, 5, 7, 300, SECRET_LEN, 1100, 100000};

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        settings_pass(pieces[i], 0);
    settings_pass(900, 1); /* no memory for them at first */
    settings_wait(0);
    settings_wait(1);
}

/* --- tokens --- */

/* A token of this secret, or of another. */
/* With its bytes the token could be made again. */
static void watch_signature(struct slice text)
{
    const char *dot = memrchr(text.ptr, '.', text.len);
    size_t len = text.len - (size_t)(dot + 1 - text.ptr);
    uint8_t bytes[64];
    long n = base64url_decode(bytes, dot + 1, len);

    if (n < PIECE_LEN)
        abort();
    watch((char *)bytes, (size_t)n);
}

static struct slice token_make(const char *payload, int forged)
{
    token.secret = 1;
    put_text("{\"alg\":\"HS256\"}", payload, strlen(payload));
    sign_hmac(EVP_sha256(), secret, SECRET_LEN - (size_t)forged);
    nneedles = 1;
    watch((char *)token.data, token.len);
    watch_signature((struct slice){(char *)token.data, token.len});
    return (struct slice){(char *)token.data, token.len};
}

static void judge(const struct token_policy *policy, const char *format, const char *packet,
                  const char *name)
{
    static struct http_request req;
    const struct http_limits limits = {65536, 100};
    struct slice text = token_make("{\"uid\":\"u\"}", strstr(name, "forged") != NULL);
    struct auth_verdict verdict = {.hint = NULL};
    struct auth_tokens *tokens = NULL;
    struct buf head = {0}, connect = {0};
    struct sio_packet sio;
    size_t scanned = 0;

    fill(&head, format, text);
    fill(&connect, packet, text);
    if (http_parse(&req, (char *)head.data, head.len, &limits, &scanned) < 0 ||
        sio_decode(&sio, strchr(packet, '?') != NULL ? EIO3 : EIO4,
                   (struct slice){(char *)connect.data, connect.len}) < 0)
        abort();
    is_int(auth_collect(&tokens, &req, policy, any), 0, name);
    is_int(auth_judge(policy, &sio, tokens, 0, &verdict) == TOKEN_OK,
           strstr(name, "forged") == NULL, "... judged");
    auth_tokens_free(&tokens);
    buf_free(&head);
    buf_free(&connect);
    unwatch(name);
}

static void test_tokens(void)
{
    struct token_keys *keys = token_keys_new();
    struct token_policy policy = {.algs = TOKEN_HS, .token_bytes = 8192, .keys = keys};

    token_keys_add_secret(keys, (struct slice){0}, secret, SECRET_LEN, 0);
    judge(&policy, "GET /?token=$ HTTP/1.0\r\n\r\n", "0/axr,", "a token in the query");
    judge(&policy, "GET /?token=$ HTTP/1.0\r\n\r\n", "0/axr,", "a forged token in the query");
    judge(&policy, "GET / HTTP/1.0\r\nAuthorization: Bearer $\r\n\r\n", "0/axr,",
          "a token in a header");
    judge(&policy, "GET / HTTP/1.0\r\nCookie: jwt=$\r\n\r\n", "0/axr,", "a token in a cookie");
    judge(&policy, "GET / HTTP/1.0\r\n\r\n", "0/axr,{\"token\":\"$\"}", "a token in CONNECT");
    judge(&policy, "GET / HTTP/1.0\r\n\r\n", "0/axr,{\"token\":\"$\"}",
          "a forged token in CONNECT");
    judge(&policy, "GET / HTTP/1.0\r\n\r\n", "0/axr?token=$,", "a token in the query of CONNECT");
    token_keys_free(&keys);
    buf_free(&token);
    unwatch("the key");
}

int main(void)
{
    const char *preload = getenv("LD_PRELOAD");

    if (preload != NULL && strstr(preload, "vgpreload") != NULL) {
        ok(1, "valgrind # SKIP what was never written may not be looked at");
        return tap_done();
    }
    scratch_make("test_secrets");
    secret_make();
    test_buf();
    test_conf();
    test_key_files();
    test_keys();
    test_link();
    test_tokens();
    return tap_done();
}
