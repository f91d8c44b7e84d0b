#include "codec/sid.h"
#include "tap.h"

#include <string.h>

static const uint8_t random_bytes[SID_RANDOM] = "0123456789abcde";

/* What a home is after it went through an id. */
static int home_of(int sio, struct sid_home in, struct sid_home *out)
{
    char text[SID_LEN + 1];

    if (sio)
        return sio_sid_decode((struct slice){text, sio_sid_encode(text, 0x1122334455667788, &in)},
                              out);
    sid_encode(text, random_bytes, &in);
    return sid_decode(slice_str(text), out);
}

static void test_bytes(void)
{
    static const uint8_t raw[SIO_SID_BYTES] = {1, 2, 3, 4, 5, 0x86, 7, 8, 9};
    struct sid_home home = {0};

    sio_sid_home(raw, &home);
    ok(home.index == 0x01020304 && home.process == 0x105 && home.generation == 0x607,
       "a home from bytes");
}

static void test_homes(void)
{
    static const struct sid_home homes[] = {
        {0, 0, 0},   {1, 2, 3},          {255, 1, 0x01020304},    {256, 0, 1},
        {300, 7, 9}, {511, 0x7fff, 255}, {0, 0x7fff, 0xffffffff},
    };

    for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
        for (int sio = 0; sio < 2; sio++) {
            struct sid_home got = {0};

            is_int(home_of(sio, homes[i], &got), 0, sio ? "a Socket.IO id" : "a session id");
            ok(got.process == homes[i].process && got.generation == homes[i].generation &&
                   got.index == homes[i].index,
               "says where it lives");
        }
    }
}

/* A generation's high bits do not reach into the process's. */
static void test_generations(void)
{
    struct sid_home got = {0};

    home_of(0, (struct sid_home){5, 0x7fffff, 1}, &got);
    ok(got.process == 5 && got.generation == 0x7fffff, "23 bits of it");
    home_of(0, (struct sid_home){5, 0x800001, 1}, &got);
    ok(got.process == 5 && got.generation == 1, "and no more");
    home_of(1, (struct sid_home){5, 0x8001, 1}, &got);
    ok(got.process == 5 && got.generation == 1, "of a Socket.IO id 15");
}

static void test_text(void)
{
    char one[SID_LEN + 1], other[SID_LEN + 1];
    uint8_t random[SID_RANDOM];
    struct sid_home home = {1, 2, 3};

    memcpy(random, random_bytes, sizeof(random));
    is_int((long)sid_encode(one, random, &home), SID_LEN, "its length");
    is_int((long)strlen(one), SID_LEN, "terminated");
    for (size_t i = 0; i < sizeof(random); i++) {
        random[i] ^= 0x80;
        sid_encode(other, random, &home);
        ok(strcmp(one, other) != 0, "each random byte is in it");
        random[i] ^= 0x80;
    }
    ok(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == SID_LEN,
       "of what a URL takes as it is");
}

static void test_malformed(void)
{
    static const char *const bad[] = {"",
                                      "short",
                                      "0123456789012345678901234567890",
                                      "012345678901234567890123456789012",
                                      "0123456789012345678901234567890!",
                                      "0123456789012345678 "};
    struct sid_home home;
    uint32_t process = 7;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(sid_decode(slice_str(bad[i]), &home), -1, "no session id");
        is_int(sio_sid_decode(slice_str(bad[i]), &home), -1, "no Socket.IO id");
        is_int(sid_process(slice_str(bad[i]), &process), -1, "neither");
        is_int((long)process, 7, "and nothing is said");
    }
}

static void test_process(void)
{
    char text[SID_LEN + 1];
    struct sid_home home = {300, 2, 3};
    uint32_t process = 0;
    size_t n = sio_sid_encode(text, 1, &home);

    is_int(sid_process((struct slice){text, n}, &process), 0, "a Socket.IO id");
    is_int((long)process, 300, "its process");
    process = 0;
    sid_encode(text, random_bytes, &home);
    is_int(sid_process(slice_str(text), &process), 0, "a session id");
    is_int((long)process, 300, "its process");
}

int main(void)
{
    test_homes();
    test_bytes();
    test_generations();
    test_text();
    test_malformed();
    test_process();
    return tap_done();
}
