#include "codec/ws.h"

#include "tap.h"

#include <stdlib.h>

static struct http_request req;

static enum ws_upgrade judge(const char *line, const char *headers, char *accept)
{
    static const struct http_limits limits = {4096, 100};
    static char text[1024];
    size_t scanned = 0;
    int n = snprintf(text, sizeof(text), "%s\r\nHost: a\r\n%s\r\n", line, headers);

    if (http_parse(&req, text, (size_t)n, &limits, &scanned) != n)
        abort();
    return ws_upgrade(&req, accept);
}

#define GET     "GET / HTTP/1.1"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void test_upgrade(void)
{
    static const struct {
        const char *name, *line, *headers;
        enum ws_upgrade want;
    } cases[] = {
        {"the request of RFC 6455", GET, UPGRADE VERSION KEY, WS_UPGRADE_YES},
        {"several Connection values", GET,
         "Connection: keep-alive\r\nConnection: x, upgrade\r\nUpgrade: WebSocket\r\n" VERSION KEY,
         WS_UPGRADE_YES},
        {"several Upgrade values", GET,
         "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n" VERSION KEY, WS_UPGRADE_YES},
        {"spare bits in the key", GET,
         UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAA/==\r\n", WS_UPGRADE_YES},
        {"no Upgrade", GET, "Connection: Upgrade\r\n" VERSION KEY, WS_UPGRADE_NO},
        {"no Connection", GET, "Upgrade: websocket\r\n" VERSION KEY, WS_UPGRADE_NO},
        {"h2c", GET, "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n", WS_UPGRADE_NO},
        {"nothing", GET, "", WS_UPGRADE_NO},
        {"POST", "POST / HTTP/1.1", UPGRADE VERSION KEY, WS_UPGRADE_BAD},
        {"method in lower case", "get / HTTP/1.1", UPGRADE VERSION KEY, WS_UPGRADE_BAD},
        {"HTTP/1.0", "GET / HTTP/1.0", UPGRADE VERSION KEY, WS_UPGRADE_BAD},
        {"version 8", GET, UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY, WS_UPGRADE_VERSION},
        {"version 130", GET, UPGRADE "Sec-WebSocket-Version: 130\r\n" KEY, WS_UPGRADE_VERSION},
        {"two versions", GET, UPGRADE VERSION "sec-websocket-version: 8\r\n" KEY,
         WS_UPGRADE_VERSION},
        {"no version", GET, UPGRADE KEY, WS_UPGRADE_VERSION},
        {"no key", GET, UPGRADE VERSION, WS_UPGRADE_BAD},
        {"two keys", GET, UPGRADE VERSION KEY KEY, WS_UPGRADE_BAD},
        {"one key after a request with two", GET, UPGRADE VERSION KEY, WS_UPGRADE_YES},
        {"the first and last of each kind of digit", GET,
         UPGRADE VERSION "Sec-WebSocket-Key: AZaz09+/AZaz09+/AZazAA==\r\n", WS_UPGRADE_YES},
        {"empty key", GET, UPGRADE VERSION "Sec-WebSocket-Key:\r\n", WS_UPGRADE_BAD},
        {"key of 15 bytes", GET, UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n",
         WS_UPGRADE_BAD},
        {"key of 17 bytes", GET, UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n",
         WS_UPGRADE_BAD},
        {"key without padding", GET,
         UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA\r\n", WS_UPGRADE_BAD},
        {"key that is not base64", GET,
         UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAA AAAAAAAAAAA==\r\n", WS_UPGRADE_BAD},
        {"key as base64url", GET, UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAA-AAAAAAAAAAA==\r\n",
         WS_UPGRADE_BAD},
    };
    char accept[WS_ACCEPT_LEN + 1];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        is_int(judge(cases[i].line, cases[i].headers, accept), cases[i].want, cases[i].name);
    judge(GET, UPGRADE VERSION KEY, accept);
    is_str(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "accept key of RFC 6455, section 1.3");
}

static void test_header(void)
{
    static const struct {
        size_t len;
        enum ws_opcode opcode;
        const char *want;
        size_t want_len;
    } cases[] = {
        {0, WS_TEXT, "\x81\x00", 2},
        {125, WS_BINARY, "\x82\x7d", 2},
        {126, WS_TEXT, "\x81\x7e\x00\x7e", 4},
        {65535, WS_TEXT, "\x81\x7e\xff\xff", 4},
        {65536, WS_BINARY, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10},
        {0x0123456789, WS_TEXT, "\x81\x7f\x00\x00\x00\x01\x23\x45\x67\x89", 10},
        {2, WS_CLOSE, "\x88\x02", 2},
        {0, WS_PONG, "\x8a\x00", 2},
    };
    uint8_t dst[WS_HEADER_MAX];
    char name[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = ws_header_encode(dst, cases[i].opcode, cases[i].len);

        snprintf(name, sizeof(name), "header of %zu bytes, opcode %d", cases[i].len,
                 (int)cases[i].opcode);
        is_mem(dst, n, cases[i].want, cases[i].want_len, name);
    }
}

static void test_protocol(void)
{
    for (size_t len = WS_PROTOCOL_MAX; len <= WS_PROTOCOL_MAX + 1; len++) {
        char headers[512], name[WS_PROTOCOL_MAX + 2];
        char accept[WS_ACCEPT_LEN + 1];
        struct slice got;

        memset(name, 'p', len);
        name[len] = '\0';
        (void)snprintf(headers, sizeof(headers),
                       UPGRADE VERSION KEY "Sec-WebSocket-Protocol: %s, other\r\n", name);
        judge(GET, headers, accept);
        got = ws_protocol(&req);
        is_mem(got.ptr, got.len, name, len > WS_PROTOCOL_MAX ? 0 : len,
               len > WS_PROTOCOL_MAX ? "a byte more is none" : "a protocol of the greatest length");
    }
}

int main(void)
{
    test_upgrade();
    test_header();
    test_protocol();
    return tap_done();
}
