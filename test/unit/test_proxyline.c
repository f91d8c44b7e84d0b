#include "codec/proxyline.h"

#include "base/log.h"
#include "hex.h"
#include "tap.h"

#define V2 "0d0a0d0a000d0a515549540a "

/* What comes of it, as text: "used=N v1 192.0.2.1:80", "local", "tls", "more", "absent"... */
static const char *outcome(const struct proxyline *line, long used)
{
    static const char *const faults[] = {
        [PROXYLINE_ABSENT] = "absent",
        [PROXYLINE_MALFORMED] = "malformed",
        [PROXYLINE_TOO_LONG] = "too long",
    };
    static char text[160];
    char ip[ADDRESS_TEXT_MAX];

    if (used < 0)
        return faults[-used];
    if (used == 0)
        return "more";
    snprintf(text, sizeof(text), "%ld v%d %s%s", used, line->version,
             line->local ? "local" : address_text(&line->from, ip), line->secure ? " tls" : "");
    return text;
}

/* Whole, at the end of a page; and each prefix of it: what is good needs all of it, and what
 * is bad is bad from some byte on. */
static const char *decode(const void *bytes, size_t len)
{
    static char text[160];
    struct proxyline line;
    unsigned char *at = tap_guard(bytes, len);
    long used = proxyline_decode(&line, at, len), part = 0;
    int wrong = 0;

    snprintf(text, sizeof(text), "%s", outcome(&line, used));
    tap_guard_free(at, len);
    for (size_t n = 0; n < len; n++) {
        struct proxyline of_part;
        int was_over = part != 0;

        at = tap_guard(bytes, n);
        part = proxyline_decode(&of_part, at, n);
        tap_guard_free(at, n);
        if (used > 0 && n >= (size_t)used)
            wrong += part != used;
        else if (used >= 0)
            wrong += part != 0;
        else
            wrong += was_over ? part != used : part != 0 && part != used;
    }
    if (wrong > 0)
        snprintf(text, sizeof(text), "%d prefixes differ", wrong);
    return text;
}

static const char *text(const char *line)
{
    return decode(line, strlen(line));
}

static const char *hex(const char *digits)
{
    struct buf bytes = {0};
    const char *result;

    hex_put(&bytes, digits);
    result = decode(bytes.data, bytes.len);
    buf_free(&bytes);
    return result;
}

static const char *on_a_line(const char *bytes)
{
    static char name[160];

    return log_escape(name, sizeof(name), bytes, strlen(bytes));
}

static void test_text(void)
{
    static const char *const rows[][2] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "45 v1 192.0.2.1:56324"},
        {"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n",
         "45 v1 192.0.2.1:56324"},
        {"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n\r\n", "45 v1 192.0.2.1:56324"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
         "56 v1 255.255.255.255:65535"},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "32 v1 0.0.0.0"},
        {"PROXY TCP6 2001:db8::1 2001:db8::2 4124 443\r\n", "45 v1 [2001:db8::1]:4124"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "104 v1 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "37 v1 192.0.2.1:1"},
        {"PROXY UNKNOWN\r\n", "15 v1 local"},
        {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\nx", "59 v1 local"},
        {"PROXY UNKNOWN \r\n", "16 v1 local"},

        {"", "more"},
        {"P", "more"},
        {"PROXY", "more"},
        {"PROXY ", "more"},
        {"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r", "more"},
        {"POST / HTTP/1.1\r\n", "absent"},
        {"GET / HTTP/1.1\r\n", "absent"},
        {"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "absent"},
        {"PROXY\tTCP4 1.2.3.4 1.2.3.4 1 1\r\n", "absent"},
        {" PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "absent"},
        {"\r\nPROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "absent"},

        {"PROXY \r\n", "malformed"},
        {"PROXY TCP4\r\n", "malformed"},
        {"PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n", "malformed"},
        {"PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4  1 1\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 999999\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.256 1 1\r\n", "malformed"},
        {"PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n", "malformed"},
        {"PROXY TCP4 ::1 ::1 1 1\r\n", "malformed"},
        {"PROXY TCP4 ::ffff:1.2.3.4 1.2.3.4 1 1\r\n", "malformed"},
        {"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", "malformed"},
        {"PROXY TCP6 :: ::1 1 1\r\n", "malformed"},
        {"PROXY TCP6 fe80::1%lo ::1 1 1\r\n", "malformed"},
        {"PROXY UNKNOWNS\r\n", "malformed"},
        {"PROXY UNKNOWN\n", "malformed"},
        {"PROXY UNKNOWN\rx", "malformed"},
        {"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", "malformed"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_str(text(rows[i][0]), rows[i][1], on_a_line(rows[i][0]));
    is_str(decode("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n", 34), "malformed", "a NUL");
}

static void test_text_length(void)
{
    char line[200];

    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + 105, "\r\n", 2);
    is_str(decode(line, 107), "107 v1 local", "a line of 107 bytes");
    is_str(decode(line, 200), "107 v1 local", "... with more behind it");
    memcpy(line + 105, "x\r\n", 3);
    is_str(decode(line, 108), "too long", "of 108");
    is_str(decode(line, 105), "more", "105 without an end");
    is_str(decode(line, 106), "too long", "106");
    is_str(decode(line, 107), "too long", "107");
}

static void test_binary(void)
{
    static const char *const rows[][3] = {
        {V2 "21 11 000c c0000201 c6336401 dc04 01bb", "28 v2 192.0.2.1:56324", "TCP over IPv4"},
        {V2 "21 11 000c c0000201 c6336401 dc04 01bb 474554", "28 v2 192.0.2.1:56324",
         "... and what is said"},
        {V2 "21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 "
            "101c 01bb",
         "52 v2 [2001:db8::1]:4124", "TCP over IPv6"},
        {V2 "21 21 0024 00000000000000000000ffffc0000201 20010db8000000000000000000000002 "
            "101c 01bb",
         "52 v2 192.0.2.1:4124", "IPv4 mapped"},
        {V2 "20 00 0000", "16 v2 local", "LOCAL"},
        {V2 "20 11 000c c0000201 c6336401 dc04 01bb", "28 v2 local", "LOCAL with addresses"},
        {V2 "20 ff 0003 ffffff", "19 v2 local", "LOCAL with junk that is skipped"},
        {V2 "21 00 0000", "16 v2 local", "a family that is not known"},
        {V2 "21 10 000c c0000201 c6336401 dc04 01bb", "28 v2 local", "... a transport"},
        {V2 "21 11 000f c0000201 c6336401 dc04 01bb 040000", "31 v2 192.0.2.1:56324", "padding"},
        {V2 "21 11 0016 c0000201 c6336401 dc04 01bb 030004 01020304 040000",
         "38 v2 192.0.2.1:56324", "two more"},
        {V2 "21 11 0014 c0000201 c6336401 dc04 01bb 200005 01 00000000",
         "36 v2 192.0.2.1:56324 tls", "TLS"},
        {V2 "21 11 0014 c0000201 c6336401 dc04 01bb 200005 06 00000000", "36 v2 192.0.2.1:56324",
         "of TLS, but none"},
        {V2 "21 11 0020 c0000201 c6336401 dc04 01bb 200011 05 00000000 210007 544c5376312e33 "
            "2200",
         "48 v2 192.0.2.1:56324 tls", "TLS with what is nested"},
        {V2 "21 00 0008 200005 01 00000000", "24 v2 local tls", "TLS, of nobody knows whom"},

        {"0d", "more", "one byte"},
        {"0d0a0d0a000d0a515549540a", "more", "the first twelve"},
        {V2 "21", "more", "thirteen"},
        {V2 "21 11 000c c0000201 c6336401 dc04 01", "more", "all but one"},
        {"0d0a0d0a000d0a515549540b", "absent", "another byte among them"},
        {"16030100", "absent", "a TLS hello"},
        {"00", "absent", "a NUL"},

        {V2 "11 11 000c c0000201 c6336401 dc04 01bb", "malformed", "version 1"},
        {V2 "31", "malformed", "version 3, at once"},
        {V2 "22 11 000c c0000201 c6336401 dc04 01bb", "malformed", "another command"},
        {V2 "21 41 000c c0000201 c6336401 dc04 01bb", "malformed", "another family"},
        {V2 "21 12 000c c0000201 c6336401 dc04 01bb", "malformed", "datagrams"},
        {V2 "21 11 000b c0000201 c6336401 dc04 01", "malformed", "too short for IPv4"},
        {V2 "21 11 0000", "malformed", "no address"},
        {V2 "21 21 000c c0000201 c6336401 dc04 01bb", "malformed", "too short for IPv6"},
        {V2 "21 21 0024 00000000000000000000000000000000 20010db8000000000000000000000002 "
            "101c 01bb",
         "malformed", "from ::"},
        {V2 "21 11 000e c0000201 c6336401 dc04 01bb 0400", "malformed", "half of what follows"},
        {V2 "21 11 000f c0000201 c6336401 dc04 01bb 040001", "malformed", "less than it says"},
        {V2 "21 11 0012 c0000201 c6336401 dc04 01bb 200003 010000", "malformed", "TLS cut"},
        {V2 "21 11 0ff1", "too long", "too much, at once"},
        {V2 "21 11 ffff", "too long", "all that can be said"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_str(hex(rows[i][0]), rows[i][1], rows[i][2]);
}

static void test_binary_length(void)
{
    struct buf bytes = {0};

    hex_put(&bytes, V2 "21 11 0ff0 c0000201 c6336401 dc04 01bb 04 0fe1");
    while (bytes.len < PROXYLINE_MAX)
        buf_putc(&bytes, 0);
    is_str(decode(bytes.data, bytes.len), "4096 v2 192.0.2.1:56324", "as long as may be");
    buf_free(&bytes);
    hex_put(&bytes, V2 "21 31 00d8");
    while (bytes.len < 16 + 216)
        buf_putc(&bytes, 'x');
    is_str(decode(bytes.data, bytes.len), "232 v2 unix", "from a Unix socket");
    bytes.data[15]--;
    is_str(decode(bytes.data, bytes.len), "malformed", "... cut");
    buf_free(&bytes);
}

int main(void)
{
    test_text();
    test_text_length();
    test_binary();
    test_binary_length();
    return tap_done();
}
