#include "codec/forwarded.h"

#include "base/log.h"
#include "tap.h"

#define PEER "10.0.0.1"

/* 10.0.0.0/8, fd00::/8 */
static struct network trusted[2];
static struct networks proxies = {.at = trusted, .n = 2};

/* Header lines with their line ends -> a request.  Its text ends where a page does. */
static const struct http_request *request(const char *lines, unsigned char **at, size_t *len)
{
    static const struct http_limits limits = {1 << 20, 100};
    static struct http_request req;
    size_t scanned = 0, cap = strlen(lines) + 64;
    char *text = malloc(cap);

    if (text == NULL)
        abort();
    *len = (size_t)snprintf(text, cap, "GET / HTTP/1.0\r\n%s\r\n", lines);
    *at = tap_guard(text, *len);
    free(text);
    if (http_parse(&req, (char *)*at, *len, &limits, &scanned) != (long)*len)
        abort();
    return &req;
}

/* "192.0.2.1:80 https", with how many were walked over where that is not one. */
static const char *read_as(enum forwarded_header header, const char *peer, const char *lines)
{
    static const char *const schemes[] = {"", " http", " https"};
    static char text[160];
    char ip[ADDRESS_TEXT_MAX];
    struct forwarded forwarded;
    struct address address = {0};
    unsigned char *at;
    size_t len;

    if (*peer != '\0' && address_parse_ip(&address, slice_str(peer)) < 0)
        abort();
    forwarded_read(&forwarded, request(lines, &at, &len), header, &proxies, &address);
    tap_guard_free(at, len);
    snprintf(text, sizeof(text), "%d %s%s", forwarded.named, address_text(&forwarded.client, ip),
             schemes[forwarded.is_https + 1]);
    return text;
}

static const char *read_lines(const char *lines)
{
    return read_as(FORWARDED_EITHER, PEER, lines);
}

static const char *on_a_line(const char *lines)
{
    static char name[160];

    return log_escape(name, sizeof(name), lines, strlen(lines));
}

#define XFF   "X-Forwarded-For: "
#define PROTO "X-Forwarded-Proto: "
#define FWD   "Forwarded: "
#define END   "\r\n"

static void test_x(void)
{
    static const char *const rows[][2] = {
        {"", "0 " PEER},
        {XFF "203.0.113.9" END, "1 203.0.113.9"},
        {"x-forwarded-for:203.0.113.9" END, "1 203.0.113.9"},
        {XFF "203.0.113.9:51000" END, "1 203.0.113.9:51000"},
        {XFF "2001:db8::9" END, "1 2001:db8::9"},
        {XFF "[2001:db8::9]" END, "1 2001:db8::9"},
        {XFF "[2001:db8::9]:51000" END, "1 [2001:db8::9]:51000"},
        {XFF "::ffff:203.0.113.9" END, "1 203.0.113.9"},
        {XFF "[::ffff:203.0.113.9]:1" END, "1 203.0.113.9:1"},
        {XFF "203.0.113.9:_p1" END, "1 203.0.113.9"},
        /* what a client makes up is at the left of what is said of it */
        {XFF "198.51.100.1, 203.0.113.9" END, "1 203.0.113.9"},
        {XFF "10.0.0.9, 203.0.113.9" END, "1 203.0.113.9"},
        {XFF "junk, 203.0.113.9" END, "1 203.0.113.9"},
        {XFF "\"198.51.100.1, 203.0.113.9" END, "1 203.0.113.9"},
        /* a chain */
        {XFF "203.0.113.9, 10.0.0.2" END, "2 203.0.113.9"},
        {XFF "203.0.113.9,10.0.0.2:80 ,\t[fd00::2]:80" END, "3 203.0.113.9"},
        {XFF "198.51.100.1, 203.0.113.9, 10.0.0.2" END, "2 203.0.113.9"},
        {XFF "10.0.0.3, 10.0.0.2" END, "2 10.0.0.3"},
        /* several lines are one list */
        {XFF "203.0.113.9" END XFF "10.0.0.2" END, "2 203.0.113.9"},
        {XFF "198.51.100.1" END "A: b" END XFF "203.0.113.9, 10.0.0.3" END XFF "10.0.0.2" END,
         "3 203.0.113.9"},
        {XFF "198.51.100.1" END XFF "203.0.113.9" END, "1 203.0.113.9"},
        {XFF "203.0.113.9" END XFF END XFF " ,, " END, "1 203.0.113.9"},
        {XFF ", 203.0.113.9, ,10.0.0.2,," END, "2 203.0.113.9"},
        {XFF END, "0 " PEER},
        /* nobody knows */
        {XFF "unknown" END, "0 " PEER},
        {XFF "203.0.113.9, unknown" END, "0 " PEER},
        {XFF "203.0.113.9, unknown, 10.0.0.2" END, "1 10.0.0.2"},
        {XFF "203.0.113.9, 10.0.0.2x" END, "0 " PEER},
        {XFF "203.0.113.9 10.0.0.2" END, "0 " PEER},
        {XFF "203.0.113.9;10.0.0.2" END, "0 " PEER},
        {XFF "203.0.113.256" END, "0 " PEER},
        {XFF "203.0.113.9:" END, "0 " PEER},
        {XFF "203.0.113.9:65536" END, "0 " PEER},
        {XFF "203.0.113.9:x" END, "0 " PEER},
        {XFF "203.0.113.9:_" END, "0 " PEER},
        {XFF "[203.0.113.9]" END, "0 " PEER},
        {XFF "[2001:db8::9" END, "0 " PEER},
        {XFF "[]" END, "0 " PEER},
        {XFF "[" END, "0 " PEER},
        {XFF "]" END, "0 " PEER},
        {XFF ":" END, "0 " PEER},
        {XFF "[2001:db8::9]51000" END, "0 " PEER},
        {XFF "[2001:db8::9]:" END, "0 " PEER},
        {XFF "fe80::1%eth0" END, "0 " PEER},
        {XFF "::" END, "0 " PEER},
        {XFF "[::]:80" END, "0 " PEER},
        {XFF "unix:" END, "0 " PEER},
        {XFF "\"203.0.113.9\"" END, "0 " PEER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_str(read_lines(rows[i][0]), rows[i][1], on_a_line(rows[i][0]));
}

static void test_proto(void)
{
    static const char *const rows[][2] = {
        {XFF "203.0.113.9" END PROTO "https" END, "1 203.0.113.9 https"},
        {XFF "203.0.113.9" END PROTO "HTTPS" END, "1 203.0.113.9 https"},
        {XFF "203.0.113.9" END PROTO "wss" END, "1 203.0.113.9 https"},
        {XFF "203.0.113.9" END PROTO "http" END, "1 203.0.113.9 http"},
        {XFF "203.0.113.9" END PROTO "ws" END, "1 203.0.113.9 http"},
        {XFF "203.0.113.9" END PROTO "gopher" END, "1 203.0.113.9"},
        {XFF "203.0.113.9" END PROTO END, "1 203.0.113.9"},
        {PROTO "https" END, "0 " PEER " https"},
        /* each proxy has said something ... */
        {XFF "203.0.113.9, 10.0.0.2" END PROTO "https, http" END, "2 203.0.113.9 https"},
        {XFF "203.0.113.9, 10.0.0.2" END PROTO "http" END PROTO "https" END, "2 203.0.113.9 http"},
        /* ... the first or last one has ... */
        {XFF "203.0.113.9, 10.0.0.2" END PROTO "https" END, "2 203.0.113.9 https"},
        /* ... and so has the client itself */
        {XFF "203.0.113.9" END PROTO "https, http" END, "1 203.0.113.9 http"},
        {XFF "1.1.1.1, 203.0.113.9, 10.0.0.2" END PROTO "https, http, https" END,
         "2 203.0.113.9 http"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_str(read_lines(rows[i][0]), rows[i][1], on_a_line(rows[i][0]));
}

static void test_standard(void)
{
    static const char *const rows[][2] = {
        {FWD "for=203.0.113.9" END, "1 203.0.113.9"},
        {FWD "For=\"203.0.113.9\"" END, "1 203.0.113.9"},
        {FWD "for=\"203.0.113.9:51000\"" END, "1 203.0.113.9:51000"},
        {FWD "for=203.0.113.9:51000" END, "1 203.0.113.9:51000"},
        {FWD "for=\"[2001:db8:cafe::17]:4711\"" END, "1 [2001:db8:cafe::17]:4711"},
        {FWD "for=\"[2001:db8:cafe::17]\"" END, "1 2001:db8:cafe::17"},
        {FWD "for=\"[2001:db8::1]:_gazonk\"" END, "1 2001:db8::1"},
        {FWD "for=203.0.113.9;proto=https;by=10.0.0.1" END, "1 203.0.113.9 https"},
        {FWD "by=10.0.0.1;PROTO=\"http\";FOR=203.0.113.9" END, "1 203.0.113.9 http"},
        {FWD "host=\"a;b,c\\\"=\";for=203.0.113.9" END, "1 203.0.113.9"},
        {FWD ";for=203.0.113.9; ;proto=https ; secret=x" END, "1 203.0.113.9 https"},
        /* what a client makes up */
        {FWD "for=198.51.100.1, for=203.0.113.9" END, "1 203.0.113.9"},
        {FWD "for=\"198.51.100.1, for=203.0.113.9" END, "1 203.0.113.9"},
        {FWD "for=\"\\\", for=203.0.113.9" END, "1 203.0.113.9"},
        {FWD "for=x\", for=203.0.113.9;by=\"10.0.0.1\"" END, "1 203.0.113.9"},
        {FWD "for=\"a" END FWD "for=203.0.113.9" END, "1 203.0.113.9"},
        {FWD "junk" END FWD "for=203.0.113.9" END, "1 203.0.113.9"},
        /* a chain */
        {FWD "for=203.0.113.9;proto=https, for=10.0.0.2;proto=http" END, "2 203.0.113.9 https"},
        {FWD "for=203.0.113.9, for=10.0.0.2;proto=https" END, "2 203.0.113.9"},
        {FWD "for=203.0.113.9,for=\"[fd00::1]:1\",,for=\"10.0.0.2\" ," END, "3 203.0.113.9"},
        {FWD "for=203.0.113.9" END FWD "for=10.0.0.2;host=\"a,b\"" END, "2 203.0.113.9"},
        {FWD "for=198.51.100.1, for=203.0.113.9, for=10.0.0.2" END, "2 203.0.113.9"},
        /* nobody knows */
        {FWD "for=unknown" END, "0 " PEER},
        {FWD "for=\"_hidden\";proto=https" END, "0 " PEER " https"},
        {FWD "for=203.0.113.9, for=_SEVKISEK, for=10.0.0.2;proto=https" END, "1 10.0.0.2"},
        {FWD "for=203.0.113.9, proto=https" END, "0 " PEER " https"},
        {FWD "for=203.0.113.9, by=10.0.0.2" END, "0 " PEER},
        {FWD "for" END, "0 " PEER},
        {FWD "for=" END, "0 " PEER},
        {FWD "for=;proto=https" END, "0 " PEER},
        {FWD "=203.0.113.9" END, "0 " PEER},
        {FWD "for =203.0.113.9" END, "0 " PEER},
        {FWD "for= 203.0.113.9" END, "0 " PEER},
        {FWD "for=203.0.113.9;for=203.0.113.8" END, "0 " PEER},
        {FWD "for=203.0.113.9;proto=http;proto=https" END, "0 " PEER},
        {FWD "for=203.0.113.9 proto=http" END, "0 " PEER},
        {FWD "for=203.0.113.9\"" END, "0 " PEER},
        {FWD "for=\"203.0.113.9" END, "0 " PEER},
        {FWD "for=\"203.0.113.9\\" END, "0 " PEER},
        {FWD "for=\"203.0.113.\\9\"" END, "0 " PEER},
        {FWD "for=\"203.0.113.9\"x" END, "0 " PEER},
        {FWD "for=\"[2001:db8::1\"" END, "0 " PEER},
        {FWD "for=\"::\"" END, "0 " PEER},
        {FWD "203.0.113.9" END, "0 " PEER},
        {FWD "\"" END, "0 " PEER},
        {FWD "\\" END, "0 " PEER},
        {FWD "," END, "0 " PEER},
        {FWD END, "0 " PEER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_str(read_lines(rows[i][0]), rows[i][1], on_a_line(rows[i][0]));
}

static void test_which(void)
{
    static const char both[] = FWD "for=203.0.113.1;proto=https" END XFF "203.0.113.2" END;

    is_str(read_lines(both), "1 203.0.113.2", "X-Forwarded-For where there is one");
    is_str(read_as(FORWARDED_X_FOR, PEER, both), "1 203.0.113.2", "as configured");
    is_str(read_as(FORWARDED_STANDARD, PEER, both), "1 203.0.113.1 https", "the other one");
    is_str(read_as(FORWARDED_X_FOR, PEER, FWD "for=203.0.113.1" END), "0 " PEER,
           "the other one alone is not looked at");
    is_str(read_as(FORWARDED_STANDARD, PEER, XFF "203.0.113.1" END PROTO "https" END), "0 " PEER,
           "nor is this");
    is_str(read_lines(XFF "unknown" END FWD "for=203.0.113.1" END), "0 " PEER,
           "nor where the first says nothing");
}

static void test_unix(void)
{
    proxies.unix_too = 1;
    is_str(read_as(FORWARDED_EITHER, "", XFF "203.0.113.9" END), "1 203.0.113.9",
           "by way of a Unix socket");
    is_str(read_as(FORWARDED_EITHER, "", XFF "unix:" END), "0 unix", "... twice");
    is_str(read_as(FORWARDED_EITHER, "", XFF "203.0.113.9, ::" END), "0 unix",
           ":: does not pass for one");
    proxies.unix_too = 0;
}

static void test_many(void)
{
    char lines[16384];
    size_t len = (size_t)snprintf(lines, sizeof(lines), XFF "203.0.113.9");

    for (int i = 0; i < FORWARDED_HOPS_MAX - 1; i++)
        len += (size_t)snprintf(lines + len, sizeof(lines) - len, ",10.0.0.%d", 9 + i);
    snprintf(lines + len, sizeof(lines) - len, END);
    is_str(read_lines(lines), "32 203.0.113.9", "the longest chain");
    snprintf(lines + len, sizeof(lines) - len, ",10.0.0.8" END);
    is_str(read_lines(lines), "32 10.0.0.9", "one that is longer is followed no further");
    len = (size_t)snprintf(lines, sizeof(lines), FWD "for=\"");
    memset(lines + len, '"', 8000);
    memset(lines + len + 8000, '\\', 7000);
    snprintf(lines + len + 15000, sizeof(lines) - len - 15000, "\"" END);
    is_str(read_lines(lines), "0 " PEER, "nothing but quotes and backslashes");
}

int main(void)
{
    if (network_parse(&trusted[0], SLICE("10.0.0.0/8")) != NETWORK_GOOD ||
        network_parse(&trusted[1], SLICE("fd00::/8")) != NETWORK_GOOD)
        abort();
    test_x();
    test_proto();
    test_standard();
    test_which();
    test_unix();
    test_many();
    return tap_done();
}
