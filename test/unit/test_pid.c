#include "codec/pid.h"
#include "hex.h"
#include "tap.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define KEY SLICE("socket.io")
#define NSP SLICE("/axr")
#define UID SLICE("user 1")

static struct pid_key keys_at[3];
static const struct pid_keys keys = {keys_at, 3}, none = {NULL, 0};
static const struct pid plain = {.daemon = 0x0102030405060708,
                                 .session = "fifteen bytes..",
                                 .offset = 0x1112131415161718,
                                 .start_ms = 0x212223242526};

static int proven(struct pid *pid, const uint8_t raw[PID_LEN], struct slice uid)
{
    return pid_proven(pid, raw, &keys, KEY, NSP, uid);
}

/* RFC 5869's way, step by step. */
static void test_derive(void)
{
    static const uint8_t salt[32] = {0};
    uint8_t prk[32], want[32], info[] = "axr-notifyd pid\001";
    struct pid_key got, again;
    unsigned len;

    HMAC(EVP_sha256(), salt, sizeof(salt), (const uint8_t *)"secret", 6, prk, &len);
    HMAC(EVP_sha256(), prk, sizeof(prk), info, sizeof(info) - 1, want, &len);
    is_int(pid_key_derive(&got, SLICE("secret")), 0, "a key is derived");
    is_mem(got.at, sizeof(got.at), want, sizeof(want), "as HKDF has it");
    pid_key_derive(&again, SLICE("secreT"));
    ok(memcmp(&got, &again, sizeof(got)) != 0, "another secret, another key");
}

static void test_there_and_back(void)
{
    struct pid got;
    uint8_t raw[PID_LEN];

    is_int(pid_make(raw, &plain, &keys_at[0], KEY, NSP, UID), 0, "made");
    is_int(raw[0], 1, "its version");
    is_mem(raw + 1, 8, "\1\2\3\4\5\6\7\10", 8, "the daemon");
    is_mem(raw + 9, 15, plain.session, 15, "the session");
    is_mem(raw + 32, 6, "\x21\x22\x23\x24\x25\x26", 6, "the start");
    is_int(pid_read(&got, raw), 0, "read");
    ok(got.daemon == plain.daemon && got.start_ms == plain.start_ms && got.offset == 0 &&
           memcmp(got.session, plain.session, SESSION_LEN) == 0,
       "all but the offset, without a key");
    memset(&got, 0, sizeof(got));
    is_int(proven(&got, raw, UID), 1, "proven");
    ok(got.daemon == plain.daemon && got.start_ms == plain.start_ms && got.offset == plain.offset &&
           memcmp(got.session, plain.session, SESSION_LEN) == 0,
       "with a key, all of it");
    for (size_t i = 1; i < 3; i++) {
        pid_make(raw, &plain, &keys_at[i], KEY, NSP, UID);
        is_int(proven(&got, raw, UID), 1, "by one of the further keys");
    }
    is_int(pid_proven(&got, raw, &none, KEY, NSP, UID), 0, "no key proves nothing");
    is_int(pid_proven(&got, raw, &(struct pid_keys){keys_at, 2}, KEY, NSP, UID), 0,
           "nor does a key that has not made it");
    ok(got.offset == 0, "then there is no offset");
}

static void test_as_written(void)
{
    uint8_t raw[PID_LEN], hash[32];
    struct buf in = {0};
    unsigned len;

    pid_make(raw, &plain, &keys_at[0], KEY, NSP, UID);
    buf_puts(&in, "axr pid 1");
    hex_put(&in, "00000009");
    buf_puts(&in, "socket.io");
    hex_put(&in, "00000004");
    buf_puts(&in, "/axr");
    hex_put(&in, "01 0102030405060708");
    buf_put(&in, plain.session, SESSION_LEN);
    hex_put(&in, "1112131415161718 212223242526");
    buf_puts(&in, "user 1");
    HMAC(EVP_sha256(), keys_at[0].at, 32, in.data, in.len, hash, &len);
    is_mem(raw + 38, 16, hash, 16, "the tag is as the header says");
    buf_reset(&in);
    buf_puts(&in, "axr pid mask");
    buf_put(&in, raw + 38, 16);
    HMAC(EVP_sha256(), keys_at[0].at, 32, in.data, in.len, hash, &len);
    for (size_t i = 0; i < 8; i++)
        hash[i] ^= raw[24 + i];
    is_mem(hash, 8, "\x11\x12\x13\x14\x15\x16\x17\x18", 8, "and so is the mask");
    buf_free(&in);
}

static void test_forged(void)
{
    uint8_t raw[PID_LEN];
    struct pid got;
    int taken = 0;

    pid_make(raw, &plain, &keys_at[0], KEY, NSP, UID);
    for (size_t bit = 0; bit < (size_t)PID_LEN * 8; bit++) {
        raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
        taken += proven(&got, raw, UID);
        taken += got.offset != 0;
        raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    is_int(taken, 0, "any bit changed: not proven");
    is_int(proven(&got, raw, SLICE("user 2")), 0, "another user");
    is_int(proven(&got, raw, SLICE("")), 0, "no user");
    is_int(proven(&got, raw, SLICE("user 12")), 0, "a longer one");
    is_int(pid_proven(&got, raw, &keys, SLICE("socket.i"), NSP, UID), 0, "another key");
    is_int(pid_proven(&got, raw, &keys, KEY, SLICE("/ax"), UID), 0, "another namespace");
    is_int(pid_proven(&got, raw, &keys, SLICE("socket.io/"), SLICE("axr"), UID), 0,
           "where the key ends counts");
    raw[0] = 2;
    is_int(pid_read(&got, raw), -1, "another version");
    memset(raw, 0, sizeof(raw));
    is_int(proven(&got, raw, UID), 0, "nothing at all");
}

/* Two sessions of one user that began at the same place, and a third that did not: what they
 * have in common does not tell which. */
static void test_nothing_shown(void)
{
    uint8_t a[PID_LEN], b[PID_LEN], c[PID_LEN];
    struct pid other = plain;

    pid_make(a, &plain, &keys_at[0], KEY, NSP, UID);
    other.session[14]++;
    pid_make(b, &other, &keys_at[0], KEY, NSP, UID);
    other.offset++;
    pid_make(c, &other, &keys_at[0], KEY, NSP, UID);
    ok(memcmp(a + 24, b + 24, 8) != 0, "the same offset looks different in another session");
    ok(memcmp(b + 24, c + 24, 8) != 0 && b[31] != (c[31] ^ 1), "and another one, too");
    ok(memcmp(a + 24, "\x11\x12\x13\x14\x15\x16\x17\x18", 8) != 0, "it is not there as it is");
}

int main(void)
{
    pid_key_derive(&keys_at[0], SLICE("one"));
    pid_key_derive(&keys_at[1], SLICE("two"));
    pid_key_derive(&keys_at[2], SLICE(""));
    test_derive();
    test_there_and_back();
    test_as_written();
    test_forged();
    test_nothing_shown();
    return tap_done();
}
