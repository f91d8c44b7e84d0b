#include "codec/eio.h"

#include "tap.h"

static struct buf scratch;

static int decode(struct eio_packet *packet, enum eio_version version, int binary,
                  const char *bytes, size_t len)
{
    unsigned char *guarded = tap_guard(bytes, len);
    static char kept[256];
    int result =
        eio_decode(packet, version, binary, (struct slice){(char *)guarded, len}, &scratch);

    /* Copied, so that it can be looked at when the input is gone. */
    if (result == 0 && packet->data.len > 0) {
        memcpy(kept, packet->data.ptr, packet->data.len);
        packet->data.ptr = kept;
    }
    tap_guard_free(guarded, len);
    return result;
}

static const struct {
    const char *name;
    enum eio_version version;
    int binary;
    const char *bytes;
    size_t len;
    int type; /* -1: malformed */
    int want_binary;
    const char *data;
    size_t data_len;
} cases[] = {
#define CASE(name, version, binary, bytes, type, want_binary, data)                                \
    {                                                                                              \
        name, version, binary, bytes, sizeof(bytes) - 1, type, want_binary, data, sizeof(data) - 1 \
    }
    CASE("open", EIO4, 0, "0{}", EIO_OPEN, 0, "{}"),
    CASE("close", EIO4, 0, "1", EIO_CLOSE, 0, ""),
    CASE("ping", EIO3, 0, "2", EIO_PING, 0, ""),
    CASE("probe", EIO4, 0, "2probe", EIO_PING, 0, "probe"),
    CASE("pong", EIO4, 0, "3", EIO_PONG, 0, ""),
    CASE("message", EIO4, 0, "42[\"a\"]", EIO_MESSAGE, 0, "2[\"a\"]"),
    CASE("message without data", EIO3, 0, "4", EIO_MESSAGE, 0, ""),
    CASE("message with NUL", EIO3, 0, "4\0a", EIO_MESSAGE, 0, "\0a"),
    CASE("upgrade", EIO4, 0, "5", EIO_UPGRADE, 0, ""),
    CASE("noop", EIO4, 0, "6", EIO_NOOP, 0, ""),
    CASE("type 7", EIO4, 0, "7", -1, 0, ""),
    CASE("type /", EIO4, 0, "/", -1, 0, ""),
    CASE("type above ASCII", EIO4, 0, "\xb4", -1, 0, ""),
    CASE("number as text", EIO3, 0, "\x04", -1, 0, ""),
    CASE("empty text", EIO4, 0, "", -1, 0, ""),
    CASE("binary, version 4", EIO4, 1, "\x01\x02\x03", EIO_MESSAGE, 1, "\x01\x02\x03"),
    CASE("empty binary, version 4", EIO4, 1, "", EIO_MESSAGE, 1, ""),
    CASE("binary, version 3", EIO3, 1, "\x04\x01\x02\x03", EIO_MESSAGE, 1, "\x01\x02\x03"),
    CASE("empty binary, version 3", EIO3, 1, "\x04", EIO_MESSAGE, 1, ""),
    CASE("no type, version 3", EIO3, 1, "", -1, 0, ""),
    CASE("ping as binary, version 3", EIO3, 1, "\x02", -1, 0, ""),
    CASE("digit as binary, version 3", EIO3, 1, "4", -1, 0, ""),
    CASE("base64, version 4", EIO4, 0, "bAQID", EIO_MESSAGE, 1, "\x01\x02\x03"),
    CASE("padded base64, version 4", EIO4, 0, "bAQI=", EIO_MESSAGE, 1, "\x01\x02"),
    CASE("empty base64, version 4", EIO4, 0, "b", EIO_MESSAGE, 1, ""),
    CASE("base64, version 3", EIO3, 0, "b4AQID", EIO_MESSAGE, 1, "\x01\x02\x03"),
    CASE("empty base64, version 3", EIO3, 0, "b4", EIO_MESSAGE, 1, ""),
    CASE("base64 without type, version 3", EIO3, 0, "b", -1, 0, ""),
    CASE("base64 ping, version 3", EIO3, 0, "b2AQID", -1, 0, ""),
    CASE("cut base64", EIO4, 0, "bAQIDA", -1, 0, ""),
    CASE("no base64", EIO4, 0, "bAQ!D", -1, 0, ""),
    CASE("space in base64", EIO4, 0, "bAQ D", -1, 0, ""),
#undef CASE
};

static void test_decode(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct eio_packet p = {0};
        int result = decode(&p, cases[i].version, cases[i].binary, cases[i].bytes, cases[i].len);

        if (cases[i].type < 0) {
            is_int(result, -1, cases[i].name);
            continue;
        }
        ok(result == 0 && (int)p.type == cases[i].type && p.binary == cases[i].want_binary,
           "%s: type", cases[i].name);
        is_mem(p.data.ptr, p.data.len, cases[i].data, cases[i].data_len, cases[i].name);
    }
}

/* Each prefix against the guard page, in all four ways it can be read. */
static void test_prefixes(void)
{
    static const char *const texts[] = {"bAQIDBAUGBw==", "b4AQIDBAUGBw==", "42[\"a\"]", "\x04\x01"};
    unsigned accepted = 0, tried = 0;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t n = 0; n <= strlen(texts[i]); n++) {
            for (int how = 0; how < 4; how++, tried++) {
                struct eio_packet p;

                accepted += decode(&p, how & 1 ? EIO3 : EIO4, how & 2, texts[i], n) == 0;
            }
        }
    }
    ok(accepted > 0 && accepted < tried, "prefixes: %u of %u are packets", accepted, tried);
}

/* Binary as text, at every length of padding, in exactly the room that was announced;
 * what is appended is the same, and it is read back. */
static void test_base64(void)
{
    static const char *const want[][2] = {
        {"b4", "b"}, {"b4AQ==", "bAQ=="}, {"b4AQI=", "bAQI="}, {"b4AQL/", "bAQL/"}};
    static const char bytes[] = "\x01\x02\xff";

    for (size_t n = 0; n < 4; n++) {
        for (int v = EIO3; v <= EIO4; v++) {
            size_t len = eio_base64_len((enum eio_version)v, n);
            uint8_t *dst = tap_guard(NULL, len);
            struct eio_packet packet;
            struct buf out = {0};

            ok(eio_base64_write(dst, (enum eio_version)v, bytes, n) == dst + len,
               "version %d, %zu bytes: ends where it was said", v, n);
            is_mem(dst, len, want[n][v - EIO3], strlen(want[n][v - EIO3]), "the text");
            buf_puts(&out, ">");
            is_int(eio_put_base64(&out, (enum eio_version)v, (struct slice){bytes, n}), 0, "put");
            is_mem(out.data + 1, out.len - 1, dst, len, "the same, appended");
            ok(decode(&packet, (enum eio_version)v, 0, (char *)dst, len) == 0 && packet.binary &&
                   packet.type == EIO_MESSAGE && packet.data.len == n &&
                   (n == 0 || memcmp(packet.data.ptr, bytes, n) == 0),
               "and read back");
            (void)buf_reserve(&out, SIZE_MAX);
            is_int(eio_put_base64(&out, (enum eio_version)v, (struct slice){bytes, n}), -1,
                   "not without memory");
            buf_free(&out);
            tap_guard_free(dst, len);
        }
    }
}

static void test_open(void)
{
    struct eio_open open = {"L0kbi2DXo25Qiq6vAAAA", 1, 25000, 20000, 1000000};
    struct buf out = {0};
    static const char polling[] =
        "0{\"sid\":\"L0kbi2DXo25Qiq6vAAAA\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
        "\"pingTimeout\":20000,\"maxPayload\":1000000}";
    static const char websocket[] =
        "0{\"sid\":\"L0kbi2DXo25Qiq6vAAAA\",\"upgrades\":[],\"pingInterval\":25000,"
        "\"pingTimeout\":20000,\"maxPayload\":1000000}";

    is_int(eio_put_open(&out, &open), 0, "open packet");
    is_mem(out.data, out.len, polling, sizeof(polling) - 1, "open packet, upgradable");
    buf_reset(&out);
    open.upgrade_websocket = 0;
    eio_put_open(&out, &open);
    is_mem(out.data, out.len, websocket, sizeof(websocket) - 1, "open packet on websocket");
    buf_free(&out);
}

int main(void)
{
    test_decode();
    test_prefixes();
    test_base64();
    test_open();
    is_str(eio_error_message(EIO_UNKNOWN_TRANSPORT), "Transport unknown", "message of code 0");
    is_str(eio_error_message(EIO_UNKNOWN_SID), "Session ID unknown", "message of code 1");
    is_str(eio_error_message(EIO_BAD_HANDSHAKE_METHOD), "Bad handshake method",
           "message of code 2");
    is_str(eio_error_message(EIO_BAD_REQUEST), "Bad request", "message of code 3");
    is_str(eio_error_message(EIO_FORBIDDEN), "Forbidden", "message of code 4");
    is_str(eio_error_message(EIO_UNSUPPORTED_VERSION), "Unsupported protocol version",
           "message of code 5");
    buf_free(&scratch);
    return tap_done();
}
