/* engine_words - what the clients of fuzz_engine.c say: packets, requests and frames, made
 * as the program says. */
#ifndef FUZZ_ENGINE_WORDS_H
#define FUZZ_ENGINE_WORDS_H

#include "engine_world.h"

#define PIECE_MAX 70000

/* A packet, or what is none.  Returns its length. */
static size_t piece(char *dst)
{
    /* clang-format off */
    static const char *const texts[] = {
        "40/axr,{}", "40", NULL, "42/axr,[\"e\",1]", "42/axr,7[\"ack\"]", "41/axr,",
        "451-/axr,[\"b\",{\"_placeholder\":true,\"num\":0}]", "bAQID", "1", "2", "3", "2probe",
        "5", "6", "9", NULL, "42/axr,[\"bye\"]", "40/more,", "4hello", "b4AQID", "42[\"bye\"]", "41",
        "43/axr,7[1]", "461-/axr,7[{\"_placeholder\":true,\"num\":0}]", "462-/axr,7[]", "461-/axr,8[]",
    };
    /* clang-format on */
    unsigned kind = u8() % 32;
    size_t n = 0;

    if (kind == 15) /* bytes of the program */
        return raw(dst, u8() % 64);
    if (kind == 2) { /* a namespace that is not there, and has a long name */
        n = (u8() % 240 + 1) * 256;
        memset(dst, 'x', n);
        memcpy(dst, "40/", 3);
        dst[n - 1] = ',';
        return n;
    }
    if (kind >= sizeof(texts) / sizeof(*texts))
        return 0;
    strcpy(dst, texts[kind]);
    return strlen(dst);
}

static size_t put_escaped(char *dst, const char *src, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += (size_t)sprintf(dst + n, strchr("%+&=\\\n\x1e", src[i]) ? "%%%02X" : "%c",
                             (unsigned char)src[i]);
    return n;
}

/* Some packets as a payload; all are ASCII, or counted wrongly. */
static size_t payload(char *dst, int eio, int jsonp)
{
    static char packet[PIECE_MAX], plain[2 * PIECE_MAX];
    unsigned count = u8() % 4;
    size_t n = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t len = piece(packet);
        if (n + len + 16 > sizeof(plain))
            break;
        if (eio == 3)
            n += (size_t)sprintf(plain + n, "%zu:", len);
        else if (i > 0)
            plain[n++] = '\x1e';
        memcpy(plain + n, packet, len);
        n += len;
    }
    if (!jsonp) {
        memcpy(dst, plain, n);
        return n;
    }
    memcpy(dst, "d=", 2);
    return 2 + put_escaped(dst + 2, plain, n < 20000 ? n : 20000);
}

enum {
    FLAG_CLOSE = 1,
    FLAG_OLD = 2, /* HTTP/1.0 */
    FLAG_EXPECT = 4,
    FLAG_CHUNKED = 8,
    FLAG_JSONP = 16,
    FLAG_BASE64 = 32,
    FLAG_ORIGIN = 64,
    FLAG_CUT = 128,
};

enum { ASK_OPEN4, ASK_OPEN3, ASK_WS4, ASK_WS3, ASK_GET, ASK_POST, ASK_UPGRADE, ASK_REST };

WORLD_FN size_t put_head(char *dst, const char *method, const char *path, const char *query,
                         unsigned flags, const char *more)
{
    return (size_t)sprintf(dst, "%s %s%s%s%s HTTP/1.%d\r\nHost: h\r\n%s%s%s%s%s\r\n", method, path,
                           query, flags & FLAG_JSONP ? "&j=1" : "",
                           flags & FLAG_BASE64 ? "&b64=1" : "", flags & FLAG_OLD ? 0 : 1,
                           flags & FLAG_CLOSE ? "Connection: close\r\n" : "",
                           flags & FLAG_OLD ? "Connection: keep-alive\r\n" : "",
                           flags & FLAG_EXPECT ? "Expect: 100-continue\r\n" : "",
                           flags & FLAG_ORIGIN ? "Origin: https://app.example\r\n" : "", more);
}

static size_t put_post(char *dst, const char *query, unsigned flags, int eio)
{
    static char body[4 * PIECE_MAX];
    char more[64];
    size_t len = payload(body, eio, flags & FLAG_JSONP), n;

    if (flags & FLAG_CHUNKED)
        strcpy(more, "Transfer-Encoding: chunked\r\n");
    else
        sprintf(more, "Content-Length: %zu\r\n", len);
    n = put_head(dst, "POST", "/n/", query, flags, more);
    if (flags & FLAG_CHUNKED && len > 0)
        n += (size_t)sprintf(dst + n, "%zx\r\n", len);
    memcpy(dst + n, body, len);
    n += len;
    if (flags & FLAG_CHUNKED)
        n += (size_t)sprintf(dst + n, len > 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
    return n;
}

/* Other requests than those of a session that goes well. */
static size_t put_other(char *dst, unsigned kind, const char *query, unsigned flags)
{
    static const struct {
        const char *method, *path, *more;
    } kinds[] = {
        {"OPTIONS", "/n/", ""},
        {"HEAD", "/n/", ""},
        {"PUT", "/n/", "Content-Length: 0\r\n"},
        {"GET", "/n/socket.io.js", ""},
        {"GET", "/status", ""},
        {"GET", "/elsewhere", ""},
        {"POST", "/n/", "Content-Length: 3\r\nContent-Type: application/octet-stream\r\n"},
        {"POST", "/n/", "Content-Length: 30000\r\n"},
    };

    kind %= sizeof(kinds) / sizeof(*kinds);
    return put_head(dst, kinds[kind].method, kinds[kind].path, query, flags, kinds[kind].more);
}

/* A query; who: the session, if it is for one. */
WORLD_FN void put_query(char *dst, unsigned kind, const struct player *who)
{
    int ws = kind == ASK_WS4 || kind == ASK_WS3 || kind == ASK_UPGRADE;
    int eio = kind == ASK_OPEN3 || kind == ASK_WS3 ? 3 : 4;

    if (kind >= ASK_GET)
        eio = who != NULL ? who->eio : 4;
    sprintf(dst, "?EIO=%d&transport=%s", eio, ws ? "websocket" : "polling");
    if (kind >= ASK_GET && who != NULL)
        sprintf(dst + strlen(dst), "&sid=%s", who->sid);
}

/* As the sid of a session, but in another process. */
static void elsewhere(char *sid)
{
    if (strlen(sid) == EIO_SID_LEN) /* the byte of the slot's number */
        sid[21] = sid[21] == 'x' ? 'y' : 'x';
}

WORLD_FN void op_request(struct peer *peer, unsigned what)
{
    static const char upgrade[] = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    static char text[5 * PIECE_MAX];
    unsigned kind = what % 16, flags = u8(), index = kind >= ASK_GET ? u8() : 0;
    struct player *who = nplayers > 0 ? &players[index % 64 % nplayers] : NULL, other;
    char query[128];
    size_t n, now;

    if (index & 128 && who != NULL) {
        other = *who;
        elsewhere(other.sid);
        who = &other;
    }
    put_query(query, kind, who);
    if (kind == ASK_WS4 || kind == ASK_WS3 || kind == ASK_UPGRADE)
        n = put_head(text, "GET", "/n/", query, flags, upgrade);
    else if (kind == ASK_POST)
        n = put_post(text, query, flags, who != NULL ? who->eio : 4);
    else if (kind < ASK_REST)
        n = put_head(text, "GET", "/n/", query, flags, "");
    else
        n = put_other(text, kind - ASK_REST, query, flags);
    now = flags & FLAG_CUT ? n * u8() / 256 : n;
    peer_put(peer, text, n, now);
}

static size_t put_frame(char *dst, unsigned first, const char *bytes, size_t len)
{
    size_t n = 0;

    dst[n++] = (char)first;
    if (len < 126) {
        dst[n++] = (char)(0x80 | len);
    } else if (len < 65536) {
        dst[n++] = (char)(0x80 | 126);
        dst[n++] = (char)(len >> 8);
        dst[n++] = (char)len;
    } else {
        dst[n++] = (char)(0x80 | 127);
        memset(dst + n, 0, 5);
        n += 5;
        dst[n++] = (char)(len >> 16);
        dst[n++] = (char)(len >> 8);
        dst[n++] = (char)len;
    }
    memset(dst + n, 0, 4);
    memcpy(dst + n + 4, bytes, len);
    return n + 4 + len;
}

WORLD_FN void op_frame(struct peer *peer, unsigned what)
{
    static char packet[PIECE_MAX], frame[2 * PIECE_MAX];
    size_t len, n = 0, now;

    switch (what % 8) {
    case 0: /* text, in one */
        len = piece(packet);
        n = put_frame(frame, 0x81, packet, len);
        break;
    case 1: /* in two */
        len = piece(packet);
        n = put_frame(frame, 0x01, packet, len / 2);
        n += put_frame(frame + n, 0x80, packet + len / 2, len - len / 2);
        break;
    case 2:
        len = raw(packet, u8() % 32);
        n = put_frame(frame, 0x82, packet, len);
        break;
    case 3:
        n = put_frame(frame, 0x82, "\4abc", 4);
        break;
    case 4:
        n = put_frame(frame, 0x89, "ping", 4);
        break;
    case 5:
        n = put_frame(frame, 0x88, "\x03\xe8", 2 * (u8() % 2));
        break;
    case 6: /* unmasked */
        memcpy(frame, "\x81\x01\x33", n = 3);
        break;
    default: /* claims gigabytes */
        memcpy(frame, "\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0", n = 14);
    }
    now = what & 8 ? n * u8() / 256 : n;
    peer_put(peer, frame, n, now);
}

WORLD_FN void op_raw(struct peer *peer, unsigned how)
{
    char bytes[256];
    size_t n = raw(bytes, how);

    peer_put(peer, bytes, n, n);
}

#endif
