/* Who is believed to say whose connections and requests it passes on. */
#include "base/address.h"
#include "codec/forwarded.h"
#include "conf.h"

#include "tap.h"

static struct buf errors, warnings, report;

static const char *text(struct buf *buf)
{
    buf_putc(buf, '\0');
    buf->len--;
    return (const char *)buf->data;
}

/* keys: of the file, without the braces. */
static struct conf *load(const char *keys)
{
    static const char secret[] =
        "\"auth\":{\"secret\":\"0123456789abcdef0123456789abcdef\"},\"workers\":1";
    struct conf_args args = {.file = "t.conf"};
    struct buf file = {0};
    struct conf *conf;

    buf_reset(&errors);
    buf_reset(&warnings);
    buf_reset(&report);
    buf_printf(&file, "{%s%s%s}", secret, *keys != '\0' ? "," : "", keys);
    conf = conf_load_text(&args, (char *)file.data, file.len, CONF_FOR_DAEMON, &errors, &warnings);
    if (conf != NULL)
        conf_print(conf, &report);
    buf_free(&file);
    return conf;
}

static void refused(const char *keys, const char *why)
{
    struct conf *conf = load(keys);

    if (!ok(conf == NULL && strstr(text(&errors), why) != NULL, "%s", why))
        printf("#   got  %s\n", conf != NULL ? "a configuration" : text(&errors));
    conf_free(&conf);
}

static int trusts(const struct conf *conf, const char *ip)
{
    struct address address = {0};

    if (*ip != '\0' && address_parse_ip(&address, slice_str(ip)) < 0)
        abort();
    return networks_have(&conf->proxies.from, &address);
}

static void test_none(void)
{
    struct conf *conf = load("");

    ok(conf != NULL && !trusts(conf, "127.0.0.1") && !trusts(conf, "::1") && !trusts(conf, ""),
       "nobody is believed");
    ok(conf != NULL && conf->proxies.header == FORWARDED_EITHER, "neither header is named");
    ok(strstr(text(&report), "\nproxies = nobody  (default)\n") != NULL, "and so it is shown");
    ok(strstr(text(&report), "\nproxyHeader = X-Forwarded-For, else Forwarded  (default)\n") !=
           NULL,
       "the header too");
    conf_free(&conf);
    conf = load("\"proxies\":[],\"proxyHeader\":\"Forwarded\"");
    ok(conf != NULL && !trusts(conf, "127.0.0.1"), "an empty list");
    ok(strstr(text(&warnings), "proxyHeader: not used, for proxies names nobody") != NULL,
       "a header alone is warned of");
    conf_free(&conf);
}

static void test_some(void)
{
    struct conf *conf = load("\"proxies\":[\"10.0.0.0/8\",\"2001:db8::/32\",\"192.0.2.1\"]");

    ok(conf != NULL && trusts(conf, "10.9.8.7") && trusts(conf, "2001:db8::9") &&
           trusts(conf, "192.0.2.1"),
       "each of them is believed");
    ok(conf != NULL && !trusts(conf, "192.0.2.2") && !trusts(conf, "::1") && !trusts(conf, ""),
       "nobody else is");
    is_str(text(&warnings), "", "without a warning");
    conf_free(&conf);
    conf = load("\"proxies\":\"unix\",\"proxyHeader\":\"X-Forwarded-For\"");
    ok(conf != NULL && trusts(conf, "") && !trusts(conf, "127.0.0.1"), "who comes over a socket");
    ok(conf != NULL && conf->proxies.header == FORWARDED_X_FOR, "one header");
    is_str(text(&warnings), "", "without a warning");
    conf_free(&conf);
    conf = load("\"proxies\":[\"::1\",\"unix\",\"unix\"],\"proxyHeader\":\"Forwarded\"");
    ok(conf != NULL && trusts(conf, "") && trusts(conf, "::1"), "twice is once");
    ok(conf != NULL && conf->proxies.header == FORWARDED_STANDARD, "the other header");
    conf_free(&conf);
}

static void test_all(void)
{
    static const char *const networks[] = {"0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"};

    for (size_t i = 0; i < 3; i++) {
        char keys[64];
        struct conf *conf;

        snprintf(keys, sizeof(keys), "\"proxies\":[\"%s\"]", networks[i]);
        conf = load(keys);
        ok(conf != NULL && strstr(text(&warnings), ": whoever connects is believed") != NULL,
           "%s is warned of", networks[i]);
        conf_free(&conf);
    }
}

static void test_many(void)
{
    struct buf keys = {0};
    struct conf *conf;

    buf_puts(&keys, "\"proxies\":[\"10.0.0.0\"");
    for (int i = 1; i < 1024; i++)
        buf_printf(&keys, ",\"10.0.%d.%d\"", i / 256, i % 256);
    buf_puts(&keys, "]");
    conf = load(text(&keys));
    ok(conf != NULL && trusts(conf, "10.0.3.255") && !trusts(conf, "10.0.4.0"), "1024 of them");
    conf_free(&conf);
    keys.len--;
    buf_puts(&keys, ",\"10.0.4.0\"]");
    refused(text(&keys), "proxies: found 1025 elements, wanted 1024 at most");
    buf_free(&keys);
}

/* Where a PROXY header comes first there has to be somebody who may send it. */
static void test_listeners(void)
{
    static const char tcp[] = "\"listen\":[80,\n{\"address\":\"[::1]:81\",\"proxyProtocol\":true}]",
                      path[] = "\"listen\":[{\"address\":\"unix:/a\",\"proxyProtocol\":true}]";
    char keys[256];
    struct conf *conf;

    refused(tcp, "listen: found proxyProtocol, wanted the addresses of those who connect there");
    snprintf(keys, sizeof(keys), "%s,\"proxies\":\"unix\"", tcp);
    refused(keys, "listen: found proxyProtocol, wanted the addresses of those who connect there");
    snprintf(keys, sizeof(keys), "%s,\"proxies\":\"::1\"", tcp);
    conf = load(keys);
    ok(conf != NULL && !conf->listen[0].proxy && conf->listen[1].proxy, "with its proxies");
    conf_free(&conf);
    snprintf(keys, sizeof(keys), "%s,\"proxies\":\"::1\"", path);
    refused(keys, "listen: found proxyProtocol on a Unix socket, wanted \"unix\" in proxies");
    snprintf(keys, sizeof(keys), "%s,\"proxies\":\"unix\"", path);
    conf = load(keys);
    ok(conf != NULL && conf->listen[0].proxy, "over a Unix socket");
    conf_free(&conf);
}

int main(void)
{
    test_listeners();
    test_none();
    test_some();
    test_all();
    test_many();
    refused("\"proxies\":[\"10.0.0.0/8\",\n7]",
            "t.conf:2: proxies: found 7, wanted a string that is not empty");
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
    return tap_done();
}
