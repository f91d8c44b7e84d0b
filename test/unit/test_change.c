#include "ipc/change.h"

#include "tap.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>

#define MAX_BYTES 65536
#define SEEDS     "test/fuzz/corpus/change" /* tests run in the top directory */

static char one[] = "one", same[] = "one", two[] = "two";
static char *some[] = {one, two, NULL}, *fewer[] = {one, NULL};
static const char *const issuers[] = {one, NULL}, *const others[] = {two, NULL};
static struct conf_listen here = {.host = one, .port = 1}, there = {.host = two, .port = 1};
static struct conf_certificate ours[] = {
    {.cert = one, .key = two, .cert_len = 3, .key_len = 3},
    {.cert = two, .key = one, .cert_len = 3, .key_len = 3},
};

static struct token_keys *first_keys, *other_keys;

static struct token_keys *keys_make(const char *secret, size_t len)
{
    struct token_keys *keys = token_keys_new();

    if (keys == NULL || token_keys_add_secret(keys, (struct slice){0}, secret, len, 0) != KEY_OK)
        abort();
    return keys;
}

static struct conf conf_make(void)
{
    return (struct conf){.workers = 2,
                         .nsp = one,
                         .redis = {.host = one, .password = one},
                         .listen = &here,
                         .nlisten = 1,
                         .cors_origins = some,
                         .token = {.keys = first_keys, .issuers = issuers},
                         .log_level = LOG_LEVEL_INFO};
}

#define ALL (CHANGE_LIVE | CHANGE_MASTER | CHANGE_WORKERS | CHANGE_RESTART)

static void check(const struct conf *wanted, unsigned classes, const char *keys, const char *name)
{
    struct conf now = conf_make();
    struct buf out = {0};
    int n = keys[0] != '\0';

    for (const char *at = keys; (at = strstr(at, ", ")) != NULL; at += 2)
        n++;
    is_int(change_diff(&now, wanted, classes, &out), n, name);
    buf_putc(&out, '\0');
    is_str((char *)out.data, keys, "its keys");
    ok(strstr((char *)out.data, two) == NULL, "and no value");
    buf_free(&out);
}

static void test_diff(void)
{
    struct conf conf = conf_make();

    conf.nsp = same;
    conf.redis.password = same;
    check(&conf, ALL, "", "equal texts are no change");
    conf.workers = 3;
    conf.redis.password = two;
    check(&conf, ALL, "socket.io:redis:password, workers", "a number and a text");
    check(&conf, CHANGE_WORKERS, "workers", "of one class");
    check(&conf, CHANGE_MASTER, "socket.io:redis:password", "of another");
    check(&conf, CHANGE_LIVE | CHANGE_RESTART, "", "of none of the two");
    conf = conf_make();
    conf.redis.password = NULL;
    conf.redis.username = one;
    check(&conf, ALL, "socket.io:redis:username, socket.io:redis:password", "given and not given");
    conf = conf_make();
    conf.cors_origins = fewer;
    check(&conf, CHANGE_LIVE, "cors:origins", "a shorter list");
    conf = conf_make();
    conf.token.keys = other_keys;
    conf.token.issuers = others;
    conf.token.types = others;
    check(&conf, CHANGE_LIVE, "auth (a key), auth:options:issuer, auth:options:types",
          "a key and what tokens must say");
    conf = conf_make();
    conf.token.keys = NULL;
    check(&conf, CHANGE_LIVE, "auth (a key)", "a key that is not there any more");
    conf = conf_make();
    conf.client_text = one;
    conf.client_len = 3;
    check(&conf, CHANGE_WORKERS, "socket.io:clientFile", "another client file");
    conf = conf_make();
    conf.listen = &there;
    check(&conf, CHANGE_WORKERS, "listen (host and port)", "another address");
    conf.nlisten = 0;
    check(&conf, CHANGE_WORKERS, "listen (host and port)", "another number of them");
    there = here;
    there.tls = 1;
    conf = conf_make();
    conf.listen = &there;
    check(&conf, CHANGE_WORKERS, "listen (host and port)", "TLS on one of them");
    there.tls = 0;
    there.proxy = 1;
    check(&conf, CHANGE_WORKERS, "listen (host and port)", "a PROXY header on one of them");
    conf = conf_make();
    conf.tls.at = ours;
    conf.tls.n = 1;
    check(&conf, CHANGE_LIVE, "tls (a certificate)", "a certificate");
    conf = conf_make();
    conf.tls.min_version = CONF_TLS_1_3;
    conf.tls.ciphers = two;
    check(&conf, CHANGE_LIVE, "tls:minVersion, tls:ciphers", "what else tls has");
    conf = conf_make();
    conf.nsp = two;
    check(&conf, CHANGE_RESTART, "socket.io:namespace", "what needs a restart");
}

static void test_certificates(void)
{
    struct conf_certificate theirs[2];
    struct conf_tls a = {.at = ours, .n = 2}, b = {.at = theirs, .n = 2};

    memcpy(theirs, ours, sizeof(theirs));
    theirs[0].cert_file = two;
    theirs[0].cert = same;
    ok(change_same_certificates(&a, &b), "the same under other names");
    theirs[1].key = two;
    ok(!change_same_certificates(&a, &b), "another key");
    theirs[1].key = one;
    theirs[1].cert_len = 2;
    ok(!change_same_certificates(&a, &b), "a shorter chain");
    b.n = 1;
    ok(!change_same_certificates(&a, &b), "one less");
}

static void test_keep(void)
{
    struct conf now = conf_make();
    struct conf *wanted = calloc(1, sizeof(*wanted));

    if (wanted == NULL)
        abort();
    now.group = two;
    wanted->nsp = strdup("/new");
    wanted->user = strdup("new");
    is_int(change_keep(&now, wanted), 0, "what needs a restart is kept");
    is_str(wanted->nsp, one, "as it was");
    is_str(wanted->group, two, "what was");
    ok(wanted->nsp != now.nsp && wanted->user == NULL, "as a copy, and what was not, is not");
    conf_free(&wanted);
}

/* --- MSG_SETTINGS --- */

static struct conf full(void)
{
    struct conf conf = conf_make();

    conf.log_target = LOG_TO_FILE;
    conf.log_file = two;
    conf.log_format = LOG_JSON;
    conf.cors_credentials = 1;
    conf.connect_timeout_ms = 4000000000U;
    conf.connections_max = (size_t)1 << 33;
    conf.strangers_max = (size_t)1 << 31;
    conf.connections_per_address = 1000001;
    conf.send_buffer = 12345;
    conf.head_headers = 77;
    conf.tls = (struct conf_tls){
        .at = ours, .n = 2, .min_version = CONF_TLS_1_3, .ciphers = one, .cipher_suites = two};
    conf.token.keys = other_keys;
    conf.token.types = others;
    conf.token.algs = TOKEN_HS | TOKEN_ES256;
    conf.token.tolerance_s = INT64_C(1) << 31;
    return conf;
}

static struct conf *taken(const struct buf *message)
{
    struct msg msg;
    long n = msg_decode(&msg, message->data, message->len, MAX_BYTES);

    return n == (long)message->len && msg.type == MSG_SETTINGS ? change_get(&msg) : NULL;
}

static void test_settings(void)
{
    struct conf conf = full(), worker = {.nsp = same, .workers = 9, .audiences = some};
    struct buf out = {0}, keys = {0};
    struct conf *got;

    is_int(change_put(&out, &conf), 0, "put");
    ok(memmem(out.data, out.len, "/axr", 4) == NULL, "of live settings only");
    got = taken(&out);
    if (!ok(got != NULL, "taken"))
        return;
    is_int(change_diff(&conf, got, CHANGE_LIVE, &keys), 0, "all as it was");
    ok(token_keys_equal(got->keys, other_keys), "the keys too");
    ok(got->token.keys == got->keys && got->token.issuers == (const char *const *)got->issuers &&
           got->token.types == (const char *const *)got->token_types,
       "the policy's texts have an owner");
    is_int(got->workers, 0, "nothing else");
    change_apply(&worker, got);
    is_int((long)worker.token.rooms_per_client, (long)worker.rooms_per_client,
           "tokens are judged by the same number of rooms");
    is_int(change_diff(&conf, &worker, CHANGE_LIVE, &keys), 0, "applied");
    ok(worker.workers == 9 && worker.nsp == same, "the rest stays");
    conf_free(&got);
    buf_free(&keys);
    buf_free(&out);
}

/* Each prefix, before a page that cannot be read. */
static void test_prefixes(void)
{
    struct conf conf = full(), *got;
    struct buf out = {0};
    int wrong = 0;

    change_put(&out, &conf);
    for (size_t n = 0; n < out.len - 5; n++) {
        uint8_t *at = tap_guard(out.data + 5, n);
        struct msg msg = {.type = MSG_SETTINGS, .at = at, .end = at + n};

        got = change_get(&msg);
        wrong += got != NULL;
        conf_free(&got);
        tap_guard_free(at, n);
    }
    is_int(wrong, 0, "no prefix is taken");
    buf_putc(&out, 0);
    struct msg msg = {.type = MSG_SETTINGS, .at = out.data + 5, .end = out.data + out.len};
    got = change_get(&msg);
    ok(got == NULL, "nor is one with a byte too many");
    conf_free(&got);
    buf_free(&out);
}

static void test_range(void)
{
    static const struct {
        size_t at;
        int value;
        const char *name;
    } wrong[] = {
        {offsetof(struct conf, log_level), 4, "an unknown level"},
        {offsetof(struct conf, log_target), -1, "a target below"},
        {offsetof(struct conf, log_format), 2, "an unknown format"},
        {offsetof(struct conf, cors_credentials), 2, "a switch that is neither"},
        {offsetof(struct conf, token.algs), 1 << 20, "an unknown algorithm"},
        {offsetof(struct conf, head_headers), 1 << 20, "more headers than there is room for"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct conf conf = full(), *got;
        struct buf out = {0};

        memcpy((char *)&conf + wrong[i].at, &wrong[i].value, sizeof(int));
        change_put(&out, &conf);
        got = taken(&out);
        ok(got == NULL, "%s", wrong[i].name);
        conf_free(&got);
        buf_free(&out);
    }
    struct conf conf = full(), *got;
    struct buf out = {0};
    conf.log_file = NULL;
    change_put(&out, &conf);
    got = taken(&out);
    ok(got == NULL, "a log file without a name");
    buf_reset(&out);
    conf = full();
    conf.token.keys = NULL;
    change_put(&out, &conf);
    got = taken(&out);
    ok(got != NULL && got->keys == NULL, "no key is none");
    conf_free(&got);
    buf_free(&out);
}

/* Those of the fuzz target: were they of another form, it would get no further than the
 * first field that is.  bad-X is one that is not taken. */
static void test_seeds(void)
{
    uint8_t bytes[4096];
    struct dirent *entry;
    DIR *dir = opendir(SEEDS);
    int good = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX];
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), SEEDS "/%s", entry->d_name);
        if ((file = fopen(path, "rb")) == NULL)
            abort();
        size_t n = fread(bytes, 1, sizeof(bytes), file);
        struct msg msg = {.type = MSG_SETTINGS, .at = bytes, .end = bytes + n};
        struct conf *got = change_get(&msg);
        int wanted = strncmp(entry->d_name, "bad-", 4) != 0;
        ok((got != NULL) == wanted, "%s (test/fuzz/change_seeds.py writes it)", entry->d_name);
        good += got != NULL;
        conf_free(&got);
        fclose(file);
    }
    ok(good > 0, "there are seeds that are taken");
    if (dir != NULL)
        closedir(dir);
}

int main(void)
{
    first_keys = keys_make("a secret that is long enough to be one", 38);
    other_keys = keys_make("a\0secret with a NUL that is long enough", 39);
    test_diff();
    test_certificates();
    test_keep();
    test_settings();
    test_prefixes();
    test_range();
    test_seeds();
    token_keys_free(&first_keys);
    token_keys_free(&other_keys);
    return tap_done();
}
