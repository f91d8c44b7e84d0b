#include "codec/sio.h"

#include "tap.h"

#define NO_ID (-1)

static const struct {
    enum eio_version version;
    const char *text;
    int type; /* -1: malformed */
    unsigned attachments;
    const char *nsp, *query;
    long long id;
    const char *data;
} cases[] = {
    {EIO4, "0", SIO_CONNECT, 0, "/", "", NO_ID, ""},
    {EIO4, "0{\"token\":\"abc\"}", SIO_CONNECT, 0, "/", "", NO_ID, "{\"token\":\"abc\"}"},
    {EIO4, "0/axr", SIO_CONNECT, 0, "/axr", "", NO_ID, ""},
    {EIO4, "0/axr,", SIO_CONNECT, 0, "/axr", "", NO_ID, ""},
    {EIO4, "0/axr,{\"a\":1}", SIO_CONNECT, 0, "/axr", "", NO_ID, "{\"a\":1}"},
    {EIO4, "0/axr, {\"a\":1} ", SIO_CONNECT, 0, "/axr", "", NO_ID, "{\"a\":1}"},
    {EIO4, "01{}", SIO_CONNECT, 0, "/", "", 1, "{}"},
    {EIO4, "0,{\"a\":1}", -1, 0, "", "", 0, ""},
    {EIO4, "0/axr,[1]", -1, 0, "", "", 0, ""},
    {EIO4, "0/axr,null", -1, 0, "", "", 0, ""},
    {EIO4, "0/axr,\"s\"", -1, 0, "", "", 0, ""},
    {EIO4, "0/axr,{\"a\":1", -1, 0, "", "", 0, ""},
    {EIO4, "0/axr,{}{}", -1, 0, "", "", 0, ""},
    {EIO4, "0/axr,{} x", -1, 0, "", "", 0, ""},
    {EIO4, "0/axr?token=abc,", SIO_CONNECT, 0, "/axr?token=abc", "", NO_ID, ""},
    {EIO3, "0/axr?token=abc,", SIO_CONNECT, 0, "/axr", "token=abc", NO_ID, ""},
    {EIO3, "0/axr?token=abc", SIO_CONNECT, 0, "/axr", "token=abc", NO_ID, ""},
    {EIO3, "0/axr?a?b,", SIO_CONNECT, 0, "/axr", "a?b", NO_ID, ""},
    {EIO3, "0/axr?", SIO_CONNECT, 0, "/axr", "", NO_ID, ""},
    {EIO3, "0/?a=b,", SIO_CONNECT, 0, "/", "a=b", NO_ID, ""},
    {EIO3, "0/axr,{}", SIO_CONNECT, 0, "/axr", "", NO_ID, "{}"},
    {EIO3, "0/axr,[1]", SIO_CONNECT, 0, "/axr", "", NO_ID, "[1]"},
    {EIO3, "0/axr,null", SIO_CONNECT, 0, "/axr", "", NO_ID, "null"},
    {EIO3, "0/axr,\"s\"", -1, 0, "", "", 0, ""},
    {EIO3, "0/axr,true", -1, 0, "", "", 0, ""},

    {EIO4, "1", SIO_DISCONNECT, 0, "/", "", NO_ID, ""},
    {EIO4, "1/axr", SIO_DISCONNECT, 0, "/axr", "", NO_ID, ""},
    {EIO3, "1/axr,", SIO_DISCONNECT, 0, "/axr", "", NO_ID, ""},
    {EIO4, "1/axr,{}", -1, 0, "", "", 0, ""},
    {EIO4, "1null", -1, 0, "", "", 0, ""},

    {EIO4, "2[\"ev\",1]", SIO_EVENT, 0, "/", "", NO_ID, "[\"ev\",1]"},
    {EIO4, "2/axr,[\"ev\"]", SIO_EVENT, 0, "/axr", "", NO_ID, "[\"ev\"]"},
    {EIO4, "2/axr,0[\"ev\"]", SIO_EVENT, 0, "/axr", "", 0, "[\"ev\"]"},
    {EIO4, "212[\"ev\"]", SIO_EVENT, 0, "/", "", 12, "[\"ev\"]"},
    {EIO4, "29223372036854775807[\"ev\"]", SIO_EVENT, 0, "/", "", INT64_MAX, "[\"ev\"]"},
    {EIO4, "2 [ \"ev\" ]\n", SIO_EVENT, 0, "/", "", NO_ID, "[ \"ev\" ]"},
    {EIO4, "2[0]", SIO_EVENT, 0, "/", "", NO_ID, "[0]"},
    {EIO4, "2[-1.5e3]", SIO_EVENT, 0, "/", "", NO_ID, "[-1.5e3]"},
    {EIO4, "2", SIO_EVENT, 0, "/", "", NO_ID, ""},
    {EIO4, "27", SIO_EVENT, 0, "/", "", 7, ""},
    {EIO4, "2/a[\"ev\"]", SIO_EVENT, 0, "/a[\"ev\"]", "", NO_ID, ""},
    {EIO4, "218446744073709551616[\"ev\"]", -1, 0, "", "", 0, ""},
    {EIO4, "2[]", -1, 0, "", "", 0, ""},
    {EIO4, "2[ ]", -1, 0, "", "", 0, ""},
    {EIO4, "2[null]", -1, 0, "", "", 0, ""},
    {EIO4, "2[true]", -1, 0, "", "", 0, ""},
    {EIO4, "2[{}]", -1, 0, "", "", 0, ""},
    {EIO4, "2[[\"a\"]]", -1, 0, "", "", 0, ""},
    {EIO4, "2{}", -1, 0, "", "", 0, ""},
    {EIO4, "2\"ev\"", -1, 0, "", "", 0, ""},
    {EIO4, "2abc[\"ev\"]", -1, 0, "", "", 0, ""},
    {EIO4, "2[\"ev\"", -1, 0, "", "", 0, ""},
    {EIO4, "2[\"ev\",]", -1, 0, "", "", 0, ""},
    {EIO4, "2-1[\"ev\"]", -1, 0, "", "", 0, ""},
    {EIO4, "2\n", -1, 0, "", "", 0, ""},

    {EIO4, "3/axr,0[]", SIO_ACK, 0, "/axr", "", 0, "[]"},
    {EIO4, "35[null]", SIO_ACK, 0, "/", "", 5, "[null]"},
    {EIO4, "35{}", -1, 0, "", "", 0, ""},

    {EIO4, "4/axr,{}", SIO_CONNECT_ERROR, 0, "/axr", "", NO_ID, "{}"},
    {EIO3, "4\"no\"", SIO_CONNECT_ERROR, 0, "/", "", NO_ID, "\"no\""},
    {EIO4, "4abc", -1, 0, "", "", 0, ""},
    {EIO4, "4[]", -1, 0, "", "", 0, ""},

    {EIO4, "51-[\"x\",{\"_placeholder\":true,\"num\":0}]", SIO_BINARY_EVENT, 1, "/", "", NO_ID,
     "[\"x\",{\"_placeholder\":true,\"num\":0}]"},
    {EIO4, "510-/axr,3[\"x\"]", SIO_BINARY_EVENT, 10, "/axr", "", 3, "[\"x\"]"},
    {EIO4, "61-/axr,0[\"ok\"]", SIO_BINARY_ACK, 1, "/axr", "", 0, "[\"ok\"]"},
    {EIO4, "5", -1, 0, "", "", 0, ""},
    {EIO4, "5-[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "5[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "51", -1, 0, "", "", 0, ""},
    {EIO4, "51[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "50-[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "511-[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "51000000000-[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "54294967297-[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "51e0-[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "5undefined-[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "51-{}", -1, 0, "", "", 0, ""},
    {EIO4, "60-[]", -1, 0, "", "", 0, ""},

    {EIO4, "", -1, 0, "", "", 0, ""},
    {EIO4, "7", -1, 0, "", "", 0, ""},
    {EIO4, "9[\"x\"]", -1, 0, "", "", 0, ""},
    {EIO4, "abc", -1, 0, "", "", 0, ""},
    {EIO4, " 2[\"x\"]", -1, 0, "", "", 0, ""},
};

static void test_decode(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sio_packet p = {0};
        size_t len = strlen(cases[i].text);
        unsigned char *guarded = tap_guard(cases[i].text, len);
        int result = sio_decode(&p, cases[i].version, (struct slice){(char *)guarded, len});

        if (cases[i].type < 0)
            ok(result == -1, "EIO%d '%s' is malformed", cases[i].version, cases[i].text);
        else
            ok(result == 0 && (int)p.type == cases[i].type &&
                   p.attachments == cases[i].attachments &&
                   slice_eq(p.nsp, slice_str(cases[i].nsp)) &&
                   slice_eq(p.query, slice_str(cases[i].query)) &&
                   p.has_id == (cases[i].id != NO_ID) &&
                   (!p.has_id || p.id == (uint64_t)cases[i].id) &&
                   slice_eq(p.data, slice_str(cases[i].data)),
               "EIO%d '%s'", cases[i].version, cases[i].text);
        tap_guard_free(guarded, len);
    }
}

static void test_prefixes(void)
{
    static const char text[] = "52-/axr?a=b,12[\"x\",{\"_placeholder\":true,\"num\":0}]";
    struct sio_packet p;
    unsigned accepted = 0;

    for (size_t n = 0; n < sizeof(text); n++) {
        unsigned char *guarded = tap_guard(text, n);

        accepted += sio_decode(&p, EIO3, (struct slice){(char *)guarded, n}) == 0;
        tap_guard_free(guarded, n);
    }
    /* "52-", each of "/axr?a=b," and "12", and the whole. */
    is_int(accepted, 1 + 9 + 2 + 1, "prefixes of a binary event");
    ok(sio_decode(&p, EIO4, SLICE("218446744073709551615[\"a\"]")) == 0 && p.id == UINT64_MAX,
       "the largest id");
    ok(sio_decode(&p, EIO4, SLICE("218446744073709551616[\"a\"]")) == -1, "and one more");
    ok(sio_decode(&p, EIO4, SLICE("2[\"a\0\"]")) == -1, "NUL in a string");
    ok(sio_decode(&p, EIO4, SLICE("2[\"a\xff\"]")) == -1, "invalid UTF-8 in a string");
}

static void is_put(struct buf *out, int result, const char *want)
{
    ok(result == 0, "put %s", want);
    is_mem(out->data, out->len, want, strlen(want), want);
    buf_reset(out);
}

static void test_encode(void)
{
    struct slice axr = SLICE("/axr"), root = SLICE("/"), sid = SLICE("o0a_-8Qy0123456789AB");
    struct slice none = SLICE(""), pid = SLICE("RkXeGGgqPMyAutiZAAAN"); /* as Node writes it */
    struct buf out = {0};

    is_put(&out, sio_put_connect(&out, EIO4, axr, sid, none),
           "40/axr,{\"sid\":\"o0a_-8Qy0123456789AB\"}");
    is_put(&out, sio_put_connect(&out, EIO4, root, sid, none),
           "40{\"sid\":\"o0a_-8Qy0123456789AB\"}");
    is_put(&out, sio_put_connect(&out, EIO4, root, sid, pid),
           "40{\"sid\":\"o0a_-8Qy0123456789AB\",\"pid\":\"RkXeGGgqPMyAutiZAAAN\"}");
    is_put(&out, sio_put_connect(&out, EIO4, axr, sid, pid),
           "40/axr,{\"sid\":\"o0a_-8Qy0123456789AB\",\"pid\":\"RkXeGGgqPMyAutiZAAAN\"}");
    is_put(&out, sio_put_connect(&out, EIO4, axr, SLICE("G_uOC-Q2_oSLAVMYAAAM"), pid),
           "40/axr,{\"sid\":\"G_uOC-Q2_oSLAVMYAAAM\",\"pid\":\"RkXeGGgqPMyAutiZAAAN\"}");
    is_put(&out, sio_put_connect(&out, EIO3, axr, sid, none), "40/axr,");
    is_put(&out, sio_put_connect(&out, EIO3, root, sid, none), "40");
    is_put(&out, sio_put_ack(&out, axr, 12, SLICE("[1]")), "43/axr,12[1]");
    is_put(&out, sio_put_ack(&out, root, UINT64_MAX, SLICE("[]")), "4318446744073709551615[]");
    is_put(&out, sio_put_connect_error(&out, EIO4, axr, "jwt \"expired\"", "token_expired"),
           "44/axr,{\"message\":\"jwt \\\"expired\\\"\",\"data\":{\"code\":\"token_expired\"}}");
    is_put(&out, sio_put_connect_error(&out, EIO4, SLICE("/random"), "Invalid namespace", NULL),
           "44/random,{\"message\":\"Invalid namespace\"}");
    is_put(&out, sio_put_connect_error(&out, EIO3, axr, "a\\b", "token_expired"),
           "44/axr,\"a\\\\b\"");
    is_put(&out, sio_put_connect_error(&out, EIO3, root, "no", NULL), "44\"no\"");
    is_put(&out, sio_put_disconnect(&out, axr), "41/axr,");
    is_put(&out, sio_put_disconnect(&out, root), "41");
    is_put(&out, sio_put_event_head(&out, axr, 0, NULL), "42/axr,");
    is_put(&out, sio_put_event_head(&out, root, 0, NULL), "42");
    is_put(&out, sio_put_event_head(&out, axr, 12, NULL), "4512-/axr,");
    is_put(&out, sio_put_event_head(&out, root, 1, NULL), "451-");
    is_put(&out, sio_put_event_head(&out, axr, 0, &(uint64_t){17}), "42/axr,17");
    is_put(&out, sio_put_event_head(&out, root, 0, &(uint64_t){0}), "420");
    is_put(&out, sio_put_event_head(&out, axr, 1, &(uint64_t){UINT64_MAX}),
           "451-/axr,18446744073709551615");
    is_put(&out, sio_put_event_head(&out, root, 2, &(uint64_t){3}), "452-3");
    buf_free(&out);
}

static void test_first(void)
{
    static const struct {
        const char *text, *first;
    } rows[] = {
        {"43/axr,1[]", ""},
        {"43/axr,1", ""},
        {"43/axr,1[ \n]", ""},
        {"43/axr,1[1]", "1"},
        {"43/axr,1 [ \"a\" , 2]", "\"a\""},
        {"43/axr,1[[1,[2]],3]", "[1,[2]]"},
        {"43/axr,1[{\"a\":[]}]", "{\"a\":[]}"},
        {"42/axr,[\"e\",{}]", "\"e\""},
        {"40/axr,{\"a\":1}", ""},
    };
    struct sio_packet packet;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice first;

        is_int(sio_decode(&packet, EIO4, slice_str(rows[i].text + 1)), 0, rows[i].text);
        first = sio_first(&packet);
        ok(slice_eq(first, slice_str(rows[i].first)), "its first element: %.*s", (int)first.len,
           first.ptr);
    }
}

int main(void)
{
    test_decode();
    test_prefixes();
    test_first();
    test_encode();
    return tap_done();
}
