/* Certificates in the configuration, and who speaks TLS: read, judged, read again. */
#include "conf.h"

#include "certificate_make.h"
#include "scratch.h"
#include "tap.h"

#include <sys/stat.h>
#include <unistd.h>

#define SECRET "\"auth\":{\"secret\":\"0123456789abcdef0123456789abcdef\"}"
#define TLS    "\"tls\":{\"certFile\":\"one.crt\",\"keyFile\":\"one.key\"}"

static struct buf errors, warnings, report;
static struct made one, two, rsa, stale, early;

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

static struct conf *load_for(enum conf_for purpose, const char *members)
{
    const struct conf_args args = {.file = "t.conf", .dir = scratch};
    struct buf file = {0};
    struct conf *conf;

    buf_reset(&errors);
    buf_reset(&warnings);
    buf_reset(&report);
    buf_printf(&file, "{" SECRET ",\n%s}", members);
    conf = conf_load_text(&args, (char *)file.data, file.len, purpose, &errors, &warnings);
    if (conf != NULL)
        conf_print(conf, &report);
    ok(!has(&errors, "PRIVATE") || has(&errors, "wanted -----BEGIN") || has(&errors, "cut off"),
       "no key is told");
    buf_free(&file);
    return conf;
}

static struct conf *good(const char *members, const char *name)
{
    struct conf *conf = load_for(CONF_FOR_DAEMON, members);

    if (!ok(conf != NULL, "%s", name))
        printf("#   %s", text(&errors));
    return conf;
}

static void refused(const char *members, const char *wanted, const char *name)
{
    struct conf *conf = load_for(CONF_FOR_DAEMON, members);

    if (!ok(conf == NULL && has(&errors, wanted), "%s", name))
        printf("#   got  %s#   want %s\n", conf != NULL ? "a configuration\n" : text(&errors),
               wanted);
    conf_free(&conf);
}

static void file_put(const char *name, const char *bytes, mode_t mode)
{
    scratch_write(name, bytes, strlen(bytes), mode);
}

static void pair_put(const char *name, const struct made *made)
{
    char file[32];

    (void)snprintf(file, sizeof(file), "%s.crt", name);
    file_put(file, made->cert, 0644);
    (void)snprintf(file, sizeof(file), "%s.key", name);
    file_put(file, made->pem_key, 0600);
}

static void is_names(const struct conf_certificate *certificate, const char *want, const char *name)
{
    struct buf out = {0};

    conf_certificate_put_names(certificate, &out);
    is_str(text(&out), want, name);
    buf_free(&out);
}

/* --- certificates ------------------------------------------------------------------------ */

static void test_one(void)
{
    struct conf *conf = good(TLS, "a certificate and its key");

    if (conf == NULL)
        return;
    is_int(warnings.len, 0, "nothing to warn of");
    is_int((long)conf->tls.n, 1, "it is there");
    is_names(&conf->tls.at[0], "one.example, *.one.example", "with its names");
    is_str(conf->tls.at[0].kind, "ECDSA P-256", "its kind");
    is_mem(conf->tls.at[0].cert, conf->tls.at[0].cert_len, one.cert, strlen(one.cert), "its PEM");
    is_mem(conf->tls.at[0].key, conf->tls.at[0].key_len, one.pem_key, strlen(one.pem_key),
           "that of its key");
    is_int(conf->tls.min_version, CONF_TLS_1_2, "TLS 1.2 is the oldest");
    ok(conf->tls.ciphers == NULL && conf->tls.cipher_suites == NULL, "no ciphers are named");
    is_int(conf->listen[0].tls, 1, "the port speaks TLS");
    ok(has(&report, "certificate: one.example, *.one.example; ECDSA P-256, until 20") &&
           has(&report, "Z, 30 days left  (file t.conf:2, tls:certFile \"one.crt\")"),
       "the report has names and time");
    ok(has(&report, "listener: *:3000  TLS\n"), "and who speaks it");
    ok(!has(&report, "PRIVATE"), "but no key");
    conf_tls_wipe(&conf->tls);
    is_int(conf->tls.at[0].key[0], 0, "wiped");
    conf_free(&conf);
}

static void test_several(void)
{
    struct conf *conf = good("\"tls\":{\"certFile\":\"both.pem\",\"certificates\":["
                             "{\"certFile\":\"rsa.crt\",\"keyFile\":\"rsa.key\"},\n"
                             "{\"certFile\":\"one.crt\",\"keyFile\":\"one.key\"}]}",
                             "several");

    if (conf == NULL)
        return;
    is_int((long)conf->tls.n, 3, "are three");
    is_names(&conf->tls.at[0], "two.example", "the first is that of certFile");
    is_mem(conf->tls.at[0].cert, conf->tls.at[0].cert_len, two.cert, strlen(two.cert),
           "of one file, the chain without the key");
    is_str(conf->tls.at[1].kind, "RSA 2048", "the next that of RSA");
    ok(has(&report, "(file t.conf:3, tls:certificates:1 \"one.crt\")"), "with the line of each");
    conf_free(&conf);
    conf = good("\"tls\":{\"certificates\":[{\"certFile\":\"both.pem\"}]}", "without certFile");
    is_int(conf != NULL && conf->tls.n == 1 && conf->listen[0].tls, 1, "they are all");
    conf_free(&conf);
}

static void test_refused(void)
{
    refused("\"tls\":{\"certFile\":\"none.crt\"}", "tls:certFile: ", "no such file");
    ok(has(&errors, "none.crt: cannot read it: No such file"), "is named: %s", text(&errors));
    refused("\"tls\":{\"keyFile\":\"one.key\"}", "t.conf:2: tls:keyFile: wanted tls:certFile",
            "a key alone");
    refused("\"tls\":{\"certFile\":\"one.crt\"}", "one.crt: found no private key in PEM",
            "a certificate alone");
    refused("\"tls\":{\"certFile\":\"one.crt\",\"keyFile\":\"two.key\"}",
            "two.key: the private key does not belong to the certificate", "the key of another");
    refused("\"tls\":{\"certFile\":\"one.key\",\"keyFile\":\"one.key\"}",
            "one.key: found no certificate in PEM", "a key for a certificate");
    refused("\"tls\":{\"certFile\":\".\"}", "Is a directory", "a directory");
    refused("\"tls\":{\"certificates\":[]}", "wanted an array of objects, one at least", "none");
    refused("\"tls\":{\"certificates\":[1]}", "tls:certificates:0: wanted an object", "a number");
    refused("\"tls\":{\"certificates\":[{\"keyFile\":\"one.key\"}]}",
            "tls:certificates:0: found no certFile", "without certFile");
    refused("\"tls\":{\"certificates\":[{\"certFile\":\"one.crt\",\"key\":\"x\"}]}",
            "unknown member, wanted certFile and keyFile", "another member");
    refused("\"tls\":{\"certificates\":[{\"certFile\":1}]}", "certFile: wanted the name of a file",
            "a number for a name");
    refused("\"tls\":{\"certificates\":[{\"certFile\":\"one.crt\",\"keyFile\":\"two.key\"}]}",
            "tls:certificates:0:keyFile: ", "the place of the fault");
    refused("\"tls\":true", "wanted an object", "no section");
    refused("\"tls\":{\"minVersion\":\"TLSv1.1\"}", "wanted \"TLSv1.2\" or \"TLSv1.3\"", "too old");
}

static void test_many(void)
{
    struct buf members = {0};

    buf_puts(&members, "\"tls\":{\"certificates\":[");
    for (int i = 0; i <= CONF_CERTIFICATES_MAX; i++)
        buf_printf(&members, "%s{\"certFile\":\"both.pem\"}", i > 0 ? "," : "");
    buf_puts(&members, "]}");
    buf_putc(&members, '\0');
    refused((char *)members.data, "tls:certificates:64: found more than 64 certificates", "65");
    buf_free(&members);
}

static void test_warned(void)
{
    struct conf *conf = good("\"tls\":{\"certFile\":\"stale.crt\",\"keyFile\":\"stale.key\"}",
                             "an expired one serves");

    ok(has(&warnings, "stale.crt: it has expired: it is valid until 20"), "but: %s",
       text(&warnings));
    ok(has(&report, "Z, expired  ("), "and so says the report");
    conf_free(&conf);
    conf =
        good("\"tls\":{\"certFile\":\"early.crt\",\"keyFile\":\"early.key\"}", "one to come, too");
    ok(has(&warnings, "it is not valid yet, but from 20"), "but: %s", text(&warnings));
    conf_free(&conf);
    file_put("open.key", one.pem_key, 0644);
    conf = good("\"tls\":{\"certFile\":\"one.crt\",\"keyFile\":\"open.key\"}",
                "a key that everyone may read");
    ok(has(&warnings, "open.key: a private key, and the file may be read by everyone"),
       "is warned of: %s", text(&warnings));
    conf_free(&conf);
    conf = good(TLS ",\"listen\":[{\"port\":1,\"tls\":false}]", "no listener speaks it");
    ok(has(&warnings, "tls: not used"), "which is warned of: %s", text(&warnings));
    conf_free(&conf);
}

/* --- ciphers ------------------------------------------------------------------------------ */

static void test_ciphers(void)
{
    struct conf *conf = good(
        "\"tls\":{\"certFile\":\"both.pem\",\"ciphers\":\"ECDHE-RSA-AES128-GCM-SHA256:@STRENGTH\"}",
        "ciphers of RSA with a certificate of ECDSA");

    ok(has(&warnings, "tls:ciphers: there is none for "), "are warned of: %s", text(&warnings));
    conf_free(&conf);
    conf = good("\"tls\":{\"certFile\":\"both.pem\",\"minVersion\":\"TLSv1.3\","
                "\"ciphers\":\"ECDHE-RSA-AES128-GCM-SHA256\"}",
                "but not where they mean nothing");
    is_int((long)warnings.len, 0, "no word of it");
    conf_free(&conf);
    refused("\"tls\":{\"ciphers\":\"ECDHE+AESGCM:FOO\"}", "no cipher by \"FOO\"",
            "an unknown word");
    refused("\"tls\":{\"certFile\":\"both.pem\",\"ciphers\":\"FOO\"}", "no cipher by \"FOO\"",
            "nothing else");
    ok(!has(&warnings, "there is none for "), "which is all that is said of it");
    refused("\"tls\":{\"ciphers\":\"!HIGH:!AESGCM\"}", "one at least", "none is left");
    refused("\"tls\":{\"cipherSuites\":\"TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256\"}",
            "tls:cipherSuites: OpenSSL knows no cipher by \"ECDHE", "those of 1.2 for 1.3");
}

/* --- listeners ---------------------------------------------------------------------------- */

static void check_listen(const char *members, int tls, int proxy, const char *name)
{
    struct conf *conf = good(members, name);

    ok(conf != NULL && conf->listen[0].tls == tls && conf->listen[0].proxy == proxy, "it speaks %s",
       tls ? "TLS" : "as before");
    conf_free(&conf);
}

static void test_listen(void)
{
    struct conf *conf;

    check_listen("\"listen\":[{\"address\":\"127.0.0.1:3443\"}]", 0, 0, "an address");
    check_listen(TLS ",\"listen\":[\"127.0.0.1:3443\"]", 1, 0, "where there are certificates");
    check_listen(TLS ",\"listen\":[{\"address\":3443,\"tls\":true}]", 1, 0, "a port that says so");
    check_listen(TLS ",\"listen\":[{\"address\":3443,\"tls\":false},1]", 0, 0, "one that says no");
    check_listen(TLS ",\"listen\":[\"unix:/s\",1]", 0, 0, "a Unix socket");
    check_listen(TLS ",\"listen\":[{\"address\":\"unix:/s\",\"tls\":true}]", 1, 0,
                 "one that says so");
    check_listen("\"proxies\":\"::1\",\"listen\":[{\"port\":80,\"proxyProtocol\":true}]", 0, 1,
                 "behind a proxy");
    conf = good(TLS
                ",\"proxies\":\"::1\",\"listen\":[{\"address\":\"[::1]:1\",\"proxyProtocol\":true},"
                "{\"host\":\"a\",\"port\":2,\"tls\":false}, \"unix:/s\"]",
                "all of them");
    ok(has(&report, "listener: [::1]:1  TLS behind a PROXY header\nlistener: a:2  plain\n"
                    "listener: unix:/s  plain\n"),
       "are told");
    conf_free(&conf);
    conf = good(TLS ",\"proxies\":\"::1\",\"listen\":[{\"port\":1,\"tls\":false,"
                    "\"proxyProtocol\":true},2]",
                "an address behind an object");
    ok(conf != NULL && conf->listen[1].tls && !conf->listen[1].proxy, "is as any other");
    conf_free(&conf);
    conf = good("\"listen\":[1,{\"port\":2}]", "nothing of it");
    ok(!has(&report, "listener:"), "is not told");
    ok(conf != NULL && !conf->listen[1].proxy, "what one says is not that of the next");
    conf_free(&conf);
    refused("\"listen\":[{\"port\":1,\"tls\":true}]", "wanted a certificate for it in tls:certFile",
            "TLS without a certificate");
    refused("\"listen\":[{\"port\":1,\"tls\":1}]", "tls to be true or false", "a number");
    refused("\"listen\":[{\"port\":1,\"proxyProtocol\":\"yes\"}]",
            "proxyProtocol to be true or false", "a word");
    refused("\"listen\":[{\"port\":1,\"address\":2}]", "wanted address, or host and port", "both");
    refused("\"listen\":[{\"address\":[]}]", "address to be", "no address");
    refused("\"listen\":[{\"address\":\"a\"}]", "wanted \"host:port\"", "no port");
    refused("\"listen\":[1,{\"port\":1,\"proxyProtocol\":true}]", "each address once", "twice");
}

/* --- read again ----------------------------------------------------------------------------- */

static int reread(struct conf *conf, size_t i)
{
    buf_reset(&errors);
    buf_reset(&warnings);
    return conf_reread_certificate(conf, i, &errors, &warnings);
}

static void test_reread(void)
{
    struct conf *conf = good("\"tls\":{\"certFile\":\"a.crt\",\"keyFile\":\"a.key\","
                             "\"certificates\":[{\"certFile\":\"b.crt\",\"keyFile\":\"b.key\"}]}",
                             "two, to be read again");

    if (conf == NULL)
        return;
    is_int(reread(conf, 0), 0, "nothing has changed");
    file_put("a.crt", two.cert, 0644);
    is_int(reread(conf, 0), -1, "the key of the old one");
    ok(has(&errors, "a.key: the private key does not belong"), "is told: %s", text(&errors));
    is_names(&conf->tls.at[0], "one.example, *.one.example", "and nothing has changed");
    file_put("a.key", two.pem_key, 0600);
    is_int(reread(conf, 0), 1, "then it fits");
    is_names(&conf->tls.at[0], "two.example", "and is in force");
    is_mem(conf->tls.at[0].key, conf->tls.at[0].key_len, two.pem_key, strlen(two.pem_key),
           "with its key");
    is_int(reread(conf, 0), 0, "once");
    file_put("a.crt", "", 0644);
    pair_put("b", &rsa);
    is_int(reread(conf, 0), -1, "one is bad");
    is_int(reread(conf, 1), 1, "the other good");
    is_str(conf->tls.at[1].kind, "RSA 2048", "that is in force");
    is_names(&conf->tls.at[0], "two.example", "of the other what there was");
    (void)unlink(scratch_path("a.crt"));
    is_int(reread(conf, 0), CONF_CERTIFICATE_UNREAD, "gone");
    pair_put("a", &stale);
    is_int(reread(conf, 0), -1, "an expired one is not taken for a good one");
    ok(has(&errors, "a.crt: it has expired, and the certificate in force is good"), "%s",
       text(&errors));
    pair_put("a", &early);
    is_int(reread(conf, 0), -1, "nor one to come");
    conf_free(&conf);
    conf = good("\"tls\":{\"certFile\":\"stale.crt\",\"keyFile\":\"stale.key\"}", "an expired one");
    pair_put("stale", &early);
    is_int(reread(conf, 0), 1, "takes any other");
    pair_put("stale", &stale);
    conf_free(&conf);
}

static int keep(const struct conf *now, struct conf *wanted)
{
    buf_reset(&errors);
    buf_reset(&warnings);
    return conf_keep_certificates(now, wanted, &errors, &warnings);
}

#define PAIR "\"tls\":{\"certFile\":\"a.crt\",\"keyFile\":\"a.key\"}"

static void test_keep(void)
{
    struct conf *now, *wanted;

    pair_put("a", &one);
    now = good(PAIR, "in force");
    wanted = load_for(CONF_FOR_RELOAD, PAIR);
    is_int(keep(now, wanted), 0, "the same again");
    conf_free(&wanted);
    pair_put("a", &stale);
    wanted = load_for(CONF_FOR_RELOAD, PAIR);
    ok(wanted != NULL, "an expired one may be read");
    is_int(keep(now, wanted), -1, "but not take the place of a good one");
    ok(has(&errors, "tls: ") && has(&errors, "it has expired, and"), "%s", text(&errors));
    conf_free(&wanted);
    pair_put("b", &stale);
    wanted = load_for(CONF_FOR_RELOAD, "\"tls\":{\"certFile\":\"b.crt\",\"keyFile\":\"b.key\"}");
    is_int(keep(now, wanted), 0, "one of other files may");
    conf_free(&wanted);
    conf_free(&now);
}

/* As nobody: the keys are root's. */
static void forbidden(struct conf *now)
{
    struct conf *wanted;

    refused(PAIR, "t.conf:2: tls: cannot read ", "at the start a key that may not be read");
    ok(has(&errors, "a.key: Permission denied"), "is named: %s", text(&errors));
    wanted = load_for(CONF_FOR_REHEARSAL, PAIR);
    conf_unread_put(wanted, &warnings);
    ok(has(&warnings, "a.crt and its key cannot be read"), "a rehearsal tells: %s",
       text(&warnings));
    conf_free(&wanted);
    wanted = load_for(CONF_FOR_RELOAD, PAIR);
    ok(wanted != NULL && wanted->tls.n == 1 && wanted->tls.at[0].unread && warnings.len == 0,
       "a reload goes on");
    ok(wanted != NULL && wanted->listen[0].tls, "with its listener");
    is_int(keep(now, wanted), 0, "what is in force stays");
    ok(has(&warnings, "the certificate in force stays until a restart"), "%s", text(&warnings));
    is_mem(wanted->tls.at[0].key, wanted->tls.at[0].key_len, one.pem_key, strlen(one.pem_key),
           "as it was");
    is_names(&wanted->tls.at[0], "one.example, *.one.example", "with all that is known of it");
    conf_free(&wanted);
    wanted = load_for(CONF_FOR_RELOAD, "\"tls\":{\"certFile\":\"a.crt\",\"keyFile\":\"b.key\"}");
    is_int(keep(now, wanted), -1, "another pair is refused");
    ok(has(&errors, "cannot read "), "%s", text(&errors));
    conf_free(&wanted);
    is_int(reread(now, 0), CONF_CERTIFICATE_FORBIDDEN, "read again");
    ok(has(&errors, "a.key: Permission denied"), "%s", text(&errors));
}

static void test_forbidden(void)
{
    struct conf *now;

    if (geteuid() != 0) {
        ok(1, "needs root # SKIP");
        return;
    }
    pair_put("a", &one);
    (void)chmod(scratch, 0755);
    now = good(PAIR, "read by root");
    if (seteuid(65534) < 0)
        abort();
    forbidden(now);
    if (seteuid(0) < 0)
        abort();
    conf_free(&now);
}

static void make_all(void)
{
    char both[sizeof(two.cert) + sizeof(two.pem_key)];

    one = make((struct make){
        .name = "1", .names = "DNS:one.example,DNS:*.one.example", .to_s = 30 * 86400 + 3600});
    two = make((struct make){.name = "2", .names = "DNS:two.example"});
    rsa = make((struct make){.name = "3", .names = "DNS:rsa.example", .rsa = 2048});
    stale = make((struct make){.name = "4", .names = "DNS:a", .from_s = -90000, .to_s = -3600});
    early = make((struct make){.name = "5", .names = "DNS:a", .from_s = 3600});
    pair_put("one", &one);
    pair_put("two", &two);
    pair_put("rsa", &rsa);
    pair_put("stale", &stale);
    pair_put("early", &early);
    pair_put("a", &one);
    pair_put("b", &two);
    (void)snprintf(both, sizeof(both), "%s%s", two.cert, two.pem_key);
    file_put("both.pem", both, 0600);
}

static void clear_all(void)
{
    static const char *const names[] = {"one", "two", "rsa", "stale", "early", "a", "b", "open"};
    char file[32];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(file, sizeof(file), "%s.crt", names[i]);
        (void)unlink(scratch_path(file));
        (void)snprintf(file, sizeof(file), "%s.key", names[i]);
        (void)unlink(scratch_path(file));
    }
    (void)unlink(scratch_path("both.pem"));
    (void)rmdir(scratch);
    made_free(&one);
    made_free(&two);
    made_free(&rsa);
    made_free(&stale);
    made_free(&early);
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
}

int main(void)
{
    scratch_make("test_conf_tls");
    make_all();
    test_one();
    test_several();
    test_refused();
    test_many();
    test_warned();
    test_ciphers();
    test_listen();
    test_reread();
    test_keep();
    test_forbidden();
    clear_all();
    return tap_done();
}
