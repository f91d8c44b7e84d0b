/* TLS to redis and its sentinels: on or off, texts and files from every source, and what is
 * wrong with them. */
#include "conf.h"

#include "certificate_make.h"
#include "scratch.h"
#include "tap.h"

#define DAY       86400L
#define TLS       "socket.io:redis:tls"
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct buf errors, warnings, report;
static struct made authority, other, client, old;

static const char *text(struct buf *buf)
{
    buf_putc(buf, '\0');
    buf->len--;
    return (const char *)buf->data;
}

static int has(struct buf *buf, const char *part)
{
    return strstr(text(buf), part) != NULL;
}

/* redis as the file has it, variables and options, each NULL-terminated or NULL. */
static struct conf *load_for(enum conf_for purpose, const char *redis, const char *const *variables,
                             const char *const *words)
{
    static char copies[16][8192];
    char *env[8] = {NULL}, *options[8];
    struct conf_args args = {.file = "t.conf", .environ = env, .dir = scratch, .options = options};
    struct buf file = {0};
    struct conf *conf;
    size_t n = 0;

    for (size_t i = 0; variables != NULL && variables[i] != NULL; i++, n++)
        env[i] = strcpy(copies[n], variables[i]);
    for (; words != NULL && words[args.noptions] != NULL; n++, args.noptions++)
        options[args.noptions] = strcpy(copies[n], words[args.noptions]);
    buf_reset(&errors);
    buf_reset(&warnings);
    buf_reset(&report);
    buf_printf(&file,
               "{\"auth\":{\"secret\":\"0123456789abcdef0123456789abcdef\"},\n"
               "\"socket.io\":{\"redis\":{%s}}}",
               redis);
    conf = conf_load_text(&args, (char *)file.data, file.len, purpose, &errors, &warnings);
    if (conf != NULL)
        conf_print(conf, &report);
    ok(!has(&errors, "PRIVATE KEY") && !has(&warnings, "PRIVATE KEY") &&
           !has(&report, "PRIVATE KEY"),
       "no key is shown");
    buf_free(&file);
    return conf;
}

static struct conf *load(const char *redis, const char *const *variables, const char *const *words)
{
    return load_for(CONF_FOR_DAEMON, redis, variables, words);
}

static const struct conf_redis_tls *tls_of(const struct conf *conf)
{
    static const struct conf_redis_tls none;

    if (conf == NULL)
        printf("# %s", text(&errors));
    return conf != NULL ? &conf->redis.tls : &none;
}

static void is_on(const char *redis, const char *const *variables, const char *const *words, int on)
{
    struct conf *conf = load(redis, variables, words);

    is_int(tls_of(conf)->on, on, redis);
    is_int(warnings.len, 0, "without a warning");
    ok(conf != NULL && has(&report, on ? TLS " = true" : TLS " = false"), "as it is shown");
    conf_free(&conf);
}

static void refused(const char *redis, const char *const *words, const char *why)
{
    struct conf *conf = load(redis, NULL, words);

    if (!ok(conf == NULL && has(&errors, why), "refused: %s", why))
        printf("# %s", text(&errors));
    conf_free(&conf);
}

static void warned(const char *redis, const char *const *words, const char *why)
{
    struct conf *conf = load(redis, NULL, words);

    if (!ok(conf != NULL && has(&warnings, why), "warned: %s", why))
        printf("# %s%s", text(&errors), text(&warnings));
    conf_free(&conf);
}

/* --- on or off -------------------------------------------------------------------- */

static void test_on(void)
{
    is_on("", NULL, NULL, 0);
    is_on("\"tls\":true", NULL, NULL, 1);
    is_on("\"tls\":{}", NULL, NULL, 1);
    is_on("\"tls\":{\"servername\":\"\"}", NULL, NULL, 1);
    is_on("\"tls\":true", NULL, LIST("--" TLS, "false"), 0);
    is_on("\"tls\":{\"servername\":\"a\"}", LIST("socket.io__redis__tls=false"), NULL, 0);
    is_on("\"tls\":false", NULL, LIST("--" TLS ":servername", "a"), 1);
    is_on("\"tls\":false", LIST("AXR_NOTIFYD__SOCKET_IO__REDIS__TLS__CAFILE=ca"), NULL, 1);
    is_on("", NULL, LIST("--" TLS "=false", "--" TLS ":servername=a"), 0);
    is_on("", NULL, LIST("--" TLS, "{\"caFile\":\"ca\"}"), 1);
    is_on("", NULL, LIST("--socket.io.redis.tls.caFile", "ca"), 1);
}

static void test_url(void)
{
    is_on("\"url\":\"rediss://a\"", NULL, NULL, 1);
    is_on("\"url\":\"RedisS://a\"", NULL, NULL, 1);
    is_on("\"url\":\"redis://a\"", NULL, NULL, 0);
    is_on("\"url\":\"redis://a\",\"tls\":true", NULL, NULL, 1);
    is_on("\"tls\":true", NULL, LIST("--socket.io:redis:url", "redis://a"), 1);
    is_on("\"tls\":false", NULL, LIST("--socket.io:redis:url", "rediss://a"), 1);
    is_on("\"url\":\"rediss://a\"", NULL, LIST("--" TLS, "false"), 0);
    is_on("\"url\":\"rediss://a\",\"tls\":{\"servername\":\"b\"}", NULL, NULL, 1);
    refused("\"url\":\"rediss://a\",\"tls\":false", NULL,
            "t.conf:2: " TLS ": found false, and rediss: in socket.io:redis:url");
    refused("\"url\":\"rediss://a?ssl_cert_reqs=none\"", NULL,
            "nothing but ?db=NUMBER after the ?; what TLS needs is in " TLS);
}

/* Only what listens by TCP speaks TLS. */
static void test_unix(void)
{
    warned("\"path\":\"/r\",\"tls\":{\"caFile\":\"none\"}", NULL,
           "t.conf:2: " TLS ": has no effect: over a Unix socket");
    is_on("\"path\":\"/r\"", NULL, NULL, 0);
    is_on("\"path\":\"/r\",\"tls\":true", NULL, LIST("--socket.io:redis:host", "a"), 1);
}

/* --- texts and files -------------------------------------------------------------- */

/* PEM as JSON has it. */
static const char *quoted(const char *pem)
{
    static char dst[4][8192];
    static unsigned turn;
    char *out = dst[turn++ % 4], *at = out;

    for (; *pem; pem++) {
        *at++ = *pem == '\n' ? '\\' : *pem;
        if (*pem == '\n')
            *at++ = 'n';
    }
    *at = '\0';
    return out;
}

static void is_taken(struct conf *conf, const char *ca, const char *cert, const char *key,
                     const char *name)
{
    const struct conf_redis_tls *tls = tls_of(conf);
    int is_same = conf != NULL && (ca == NULL || (tls->ca != NULL && strcmp(tls->ca, ca) == 0)) &&
                  (cert == NULL || (tls->cert != NULL && strcmp(tls->cert, cert) == 0)) &&
                  (key == NULL || (tls->key != NULL && strcmp(tls->key, key) == 0));

    ok(is_same && warnings.len == 0, "%s", name);
    if (warnings.len > 0)
        printf("# %s", text(&warnings));
    conf_free(&conf);
}

static void test_files(void)
{
    char file[16384], variable[8192], ca[8192];

    is_taken(
        load("\"tls\":{\"caFile\":\"ca\",\"certFile\":\"cert\",\"keyFile\":\"key\"}", NULL, NULL),
        authority.cert, client.cert, client.pem_key, "files");
    ok(has(&report, TLS ":ca = PEM  (file t.conf:2, " TLS ":caFile)") &&
           has(&report, TLS ":key = ********  (file t.conf:2, " TLS ":keyFile)"),
       "are shown by their names");
    (void)snprintf(file, sizeof(file), "\"tls\":{\"ca\":\"%s\",\"cert\":\"%s\",\"key\":\"%s\"}",
                   quoted(authority.cert), quoted(client.cert), quoted(client.pem_key));
    strcpy(ca, authority.cert);
    ca[strlen(ca) - 1] = '\0';
    is_taken(load(file, NULL, NULL), ca, NULL, NULL, "texts");
    ok(has(&report, TLS ":cert = PEM  (file t.conf:2)"), "are not shown");
    is_taken(load(file, NULL, LIST("--" TLS ":caFile", "other")), other.cert, NULL, NULL,
             "a file that counts more than a text");
    (void)snprintf(variable, sizeof(variable), "socket.io__redis__tls__ca=%s", authority.cert);
    is_taken(load("\"tls\":{\"caFile\":\"other\"}", LIST(variable), NULL), ca, NULL, NULL,
             "a text that counts more than a file");
    is_taken(load("",
                  LIST("AXR_NOTIFYD__SOCKET_IO__REDIS__TLS__CERTFILE=cert",
                       "socket.io__redis__tls__keyFile=key"),
                  NULL),
             NULL, client.cert, client.pem_key, "files that the environment names");
    is_taken(load("", NULL, LIST("--" TLS ":certFile", "cert", "--" TLS ":keyFile", "key")), NULL,
             client.cert, client.pem_key, "and the command line");
    (void)snprintf(file, sizeof(file), "\"tls\":{\"caFile\":\"ca\",\"ca\":\"%s\"}",
                   quoted(authority.cert));
    refused(file, NULL, TLS ":caFile: found " TLS ":ca as well, wanted one of them");
}

static void test_bad_files(void)
{
    refused("\"tls\":{\"caFile\":\"none\"}", NULL, TLS ":caFile: cannot read");
    refused("\"tls\":{\"caFile\":\"nul\"}", NULL, "nul: found a NUL, wanted PEM");
    refused("\"tls\":{\"caFile\":\"empty\"}", NULL, "empty: found no certificate, wanted PEM");
    refused("\"tls\":{\"caFile\":\"key\"}", NULL, "key: found no certificate, wanted PEM");
    refused("\"tls\":{\"caFile\":\"broken\"}", NULL, "t.conf:2: " TLS ":caFile: /");
    refused("\"tls\":{\"ca\":\"x\"}", NULL, TLS ":ca: found no certificate, wanted PEM");
    refused("\"tls\":{\"certFile\":\"cert\"}", NULL,
            TLS ":certFile: found a certificate without its key, wanted " TLS ":keyFile");
    refused("\"tls\":{\"keyFile\":\"key\"}", NULL,
            TLS ":keyFile: found a key without its certificate, wanted " TLS ":certFile");
    refused("\"tls\":{\"certFile\":\"cert\",\"keyFile\":\"otherkey\"}", NULL,
            "otherkey: it does not fit the certificate");
    refused("\"tls\":{\"certFile\":\"cert\",\"keyFile\":\"cert\"}", NULL,
            "cert: found no private key, wanted PEM");
    refused("\"tls\":{\"certFile\":\"cert\",\"keyFile\":\"locked\"}", NULL,
            "locked: found a key with a password, wanted one without");
    refused("\"tls\":{\"servername\":\"a b\"}", NULL, TLS ":servername: found no host name");
    refused("\"tls\":{\"caFille\":\"ca\"}", NULL,
            TLS ":caFille: unknown key; did you mean \"" TLS ":caFile\"?");
    refused("\"tls\":{\"rejectUnauthorized\":0}", NULL,
            TLS ":rejectUnauthorized: found 0, wanted true or false");
    refused("\"sentinels\":[\"a\"],\"sentinelTLS\":{\"caFile\":\"none\"}", NULL,
            "socket.io:redis:sentinelTLS:caFile: cannot read");
}

static void test_remarks(void)
{
    warned("\"tls\":{\"rejectUnauthorized\":false}", NULL,
           "t.conf:2: " TLS ":rejectUnauthorized: whoever is on the way can read");
    warned("\"tls\":{\"certFile\":\"cert\",\"keyFile\":\"shared\"}", NULL,
           "shared may be read by everyone");
    warned("\"tls\":{\"caFile\":\"old\"}", NULL, "old: the certificate of old has expired on 20");
    warned("\"tls\":{\"certFile\":\"old\",\"keyFile\":\"oldkey\"}", NULL,
           "old: the certificate of old has expired on 20");
    is_taken(load("\"tls\":{\"caFile\":\"both\"}", NULL, NULL), NULL, NULL, NULL,
             "of two who are trusted one is old");
}

static void test_sentinels(void)
{
    struct conf *conf = load("\"sentinels\":[\"a\"],\"path\":\"/r\",\"tls\":true,\"sentinelTLS\":"
                             "{\"caFile\":\"ca\",\"servername\":\"s\",\"rejectUnauthorized\":true}",
                             NULL, NULL);
    const struct conf_redis_tls *tls = conf != NULL ? &conf->redis.sentinel_tls : NULL;

    ok(tls != NULL && tls->on && tls->verify && strcmp(tls->ca, authority.cert) == 0 &&
           strcmp(tls->servername, "s") == 0,
       "the same for sentinels");
    ok(tls != NULL && conf->redis.tls.on, "with which a path means nothing");
    conf_free(&conf);
}

/* --- a key that may not be read --------------------------------------------------- */

#define OURS "\"tls\":{\"caFile\":\"ca\",\"certFile\":\"cert\",\"keyFile\":\"key\"}"

/* As whoever may not read it; or NULL, where that is nobody. */
static struct conf *load_as(enum conf_for purpose, const char *redis)
{
    int is_root = geteuid() == 0;
    struct conf *conf;

    if (chmod(scratch, 0755) < 0 || chmod(scratch_path("ca"), 0644) < 0 ||
        chmod(scratch_path("cert"), 0644) < 0 || chmod(scratch_path("key"), 0) < 0 ||
        (is_root && seteuid(65534) < 0))
        abort();
    conf = load_for(purpose, redis, NULL, NULL);
    if ((is_root && seteuid(0) < 0) || chmod(scratch_path("key"), 0600) < 0)
        abort();
    return conf;
}

static int keeps(const char *now, const char *wanted, const char *key)
{
    struct conf *one = load(now, NULL, NULL), *next = load_as(CONF_FOR_RELOAD, wanted);
    int rc =
        one != NULL && next != NULL ? conf_keep_certificates(one, next, &errors, &warnings) : -2;

    if (rc == 0 && (next->redis.tls.key == NULL || strcmp(next->redis.tls.key, key) != 0 ||
                    next->redis.tls.unread))
        rc = -3;
    conf_free(&one);
    conf_free(&next);
    return rc;
}

static void test_unread(void)
{
    struct conf *conf;

    is_int(keeps(OURS, OURS, client.pem_key), 0, "the key in force stays");
    ok(has(&warnings, TLS ": cannot read /") && has(&warnings, "stays until a restart"),
       "which is said");
    is_int(keeps("\"tls\":true", OURS, client.pem_key), -1, "where there is none it is missed");
    ok(has(&errors, TLS ": cannot read /"), "which is said");
    is_int(keeps("\"tls\":{\"certFile\":\"old\",\"keyFile\":\"oldkey\"}", OURS, client.pem_key), -1,
           "and one of another file is not it");
    conf = load_as(CONF_FOR_DAEMON, OURS);
    ok(conf == NULL && has(&errors, TLS ":keyFile: cannot read"), "a start does not go on");
    conf = load_as(CONF_FOR_REHEARSAL, OURS);
    buf_reset(&warnings);
    if (conf != NULL)
        conf_unread_put(conf, &warnings);
    ok(has(&warnings, TLS ": /") && has(&warnings, "with a restart only"), "a rehearsal says so");
    conf_free(&conf);
}

/* --- begin and end ---------------------------------------------------------------- */

static void locked_write(const char *name, EVP_PKEY *key)
{
    BIO *bio = BIO_new_file(scratch_path(name), "w");
    unsigned char password[] = "sesame";

    if (bio == NULL ||
        PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), password, 6, NULL, NULL) != 1)
        abort();
    BIO_free(bio);
}

static void make_files(void)
{
    char both[8192];

    scratch_make("test_conf_tls_client");
    authority = make((struct make){.name = "authority", .is_authority = 1});
    other = make((struct make){.name = "other", .is_authority = 1});
    client = make((struct make){.name = "client", .issuer = &authority});
    old = make((struct make){.name = "old", .from_s = -3 * DAY, .to_s = -DAY});
    (void)snprintf(both, sizeof(both), "%s%s", old.cert, other.cert);
    scratch_text("ca", authority.cert);
    scratch_text("other", other.cert);
    scratch_text("cert", client.cert);
    scratch_text("key", client.pem_key);
    scratch_text("otherkey", other.pem_key);
    scratch_write("shared", client.pem_key, strlen(client.pem_key), 0644);
    scratch_text("old", old.cert);
    scratch_text("oldkey", old.pem_key);
    scratch_text("both", both);
    scratch_text("empty", "");
    scratch_write("nul", "a\0b", 3, 0600);
    scratch_text("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    locked_write("locked", client.key);
}

static void remove_files(void)
{
    static const char *const names[] = {"ca",     "other",  "cert",   "key",  "otherkey",
                                        "shared", "old",    "oldkey", "both", "empty",
                                        "nul",    "broken", "locked"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(scratch_path(names[i]));
    rmdir(scratch);
    made_free(&authority);
    made_free(&other);
    made_free(&client);
    made_free(&old);
}

int main(void)
{
    make_files();
    test_on();
    test_url();
    test_unix();
    test_files();
    test_bad_files();
    test_remarks();
    test_sentinels();
    test_unread();
    remove_files();
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
    return tap_done();
}
