#include "codec/emit.h"
#include "notify/published.h"

#include "tap.h"

#include <string.h>

static struct buf line, channel, payload;
static struct emit_limits limits = {1000, 1};

static const char *text(void)
{
    buf_putc(&line, '\0');
    return (const char *)line.data;
}

/* What is said of payload there. */
static const char *said(const char *where)
{
    buf_reset(&line);
    published_line(&line, slice_str(where), (struct slice){(const char *)payload.data, payload.len},
                   SLICE("k"), SLICE("/axr"), &limits);
    return text();
}

static void make(const char *nsp, struct slice *rooms, size_t nrooms, const char *json)
{
    struct slices to = {rooms, nrooms, nrooms}, none = {0};

    buf_reset(&channel);
    buf_reset(&payload);
    if (emit_encode(&channel, &payload, SLICE("k"), slice_str(nsp), &to, &none, 0,
                    slice_str(json)) != 0)
        is_int(1, 0, "the message is made");
    buf_putc(&channel, '\0');
}

static void test_good(void)
{
    struct slice rooms[20] = {SLICE("ann"), SLICE("b b")};
    char names[20][8];

    make("/axr", rooms, 0, "[\"msg\",{\"secret\":1}]");
    is_str(said("k#/axr#"), "event=msg rooms=* channel=k#/axr#\n", "to everybody");
    make("/axr", rooms, 2, "[\"a b\\n\",1]");
    is_str(said("k#/axr#"), "event=a\\x20b\\x5cn rooms=ann,b\\x20b channel=k#/axr#\n",
           "to two rooms, with odd names");
    for (int i = 0; i < 20; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "r%d", i);
        rooms[i] = slice_str(names[i]);
    }
    make("/axr", rooms, 20, "[7]");
    is_str(said("k#/axr#"),
           "event=7 rooms=r0,r1,r2,r3,r4,r5,r6,r7,r8,r9,r10,r11,r12,r13,r14,r15,...(20) "
           "channel=k#/axr#\n",
           "to many");
}

static void test_wrong(void)
{
    struct slice ann = SLICE("ann");

    make("/", &ann, 1, "[\"msg\"]");
    is_str(said("k#/#ann#"),
           "event=msg rooms=ann channel=k#/#ann# "
           "wrong=\"namespace /, and /axr is served: emitter.of()\"\n",
           "another namespace");
    make("/axr", &ann, 1, "[\"msg\"]");
    is_str(said("other#/axr#ann#"),
           "event=msg rooms=ann channel=other#/axr#ann# "
           "wrong=\"the key is not k: socket.io:key, or the emitter's option key\"\n",
           "another key");
    is_str(said("k-request#/axr#"), "request channel=k-request#/axr#\n", "a request");
    is_str(said("k-request#/#"),
           "request channel=k-request#/# wrong=\"namespace /, and /axr is served: emitter.of()\"\n",
           "one of another namespace");
    is_str(said("o-request#/axr#"),
           "request channel=o-request#/axr# wrong=\"the key is not k: socket.io:key, or the "
           "emitter's option key\"\n",
           "or key");
    make("/axr", &ann, 1, "[\"msg\",\"0123456789\"]");
    limits.message_bytes = payload.len - 1;
    is_str(said("k#/axr#ann#"),
           "event=msg rooms=ann channel=k#/axr#ann# "
           "wrong=\"it is too large: limits:messageBytes\"\n",
           "too large");
    limits.message_bytes = 1000;
    is_str(said("k#/axr#ann#"), "event=msg rooms=ann channel=k#/axr#ann#\n", "and not");
    is_str(said("k-response#/axr#"), "", "answers are nobody's business");
    is_str(said("k-peer#/axr#"), "", "nor is what daemons say to each other");
}

static void put(const char *bytes, size_t len)
{
    buf_reset(&payload);
    buf_put(&payload, bytes, len);
}

static void test_bad(void)
{
    static const char number[] = "\x93\xa1u\x83\xa4type\x02\xa4"
                                 "data\x91\xa1x\xa3nsp\xa4/axr\x81\xa5rooms\x91\x2a",
                      unset[] = "\x93\xa1u\x83\xa4type\x02\xa4"
                                "data\x91\xa1x\xa3nsp\xa4/axr\x81\xa5rooms\x91\xc0";

    put(number, sizeof(number) - 1);
    is_str(said("k#/axr#42#"),
           "event=x rooms=42 channel=k#/axr#42# "
           "wrong=\"a room is a number, and those of users are text: String(id)\"\n",
           "a number for a room");
    put(unset, sizeof(unset) - 1);
    is_str(said("k#/axr#undefined#"),
           "message channel=k#/axr#undefined# "
           "wrong=\"its rooms have no name, as that of a variable that is not set\"\n",
           "no room");
    put("hi", 2);
    is_str(said("k#/axr#"), "message channel=k#/axr# wrong=\"malformed\"\n", "no message");
    is_str(said("chat#1"), "", "on another program's channel: nothing");
    is_str(said("#"), "", "a channel that is nothing else");
    is_str(said("k#"), "message channel=k# wrong=\"malformed\"\n", "the key alone");
    is_str(said("k#\n/axr#"), "message channel=k#\\x0a/axr# wrong=\"malformed\"\n", "it is a line");
    for (size_t n = 0; n < sizeof(number) - 1; n++) {
        put(number, n);
        if (strcmp(said("k#/axr#42#"), "message channel=k#/axr#42# wrong=\"malformed\"\n") != 0)
            is_int((long)n, -1, "each prefix is malformed");
    }
}

int main(void)
{
    test_good();
    test_wrong();
    test_bad();
    buf_free(&line);
    buf_free(&channel);
    buf_free(&payload);
    return tap_done();
}
