#include "codec/pid.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <endian.h>

#define VERSION   1
#define HASH_LEN  32
#define TAG_LEN   16
#define WORD_LEN  8
#define START_LEN 6

#define AT_DAEMON  1
#define AT_SESSION (AT_DAEMON + WORD_LEN)
#define AT_OFFSET  (AT_SESSION + SESSION_LEN)
#define AT_START   (AT_OFFSET + WORD_LEN)
#define AT_TAG     (AT_START + START_LEN)
_Static_assert(AT_TAG + TAG_LEN == PID_LEN, "nothing is left over");
_Static_assert(sizeof(((struct pid_key *)0)->at) == HASH_LEN, "a key is a hash");
_Static_assert(PID_LEN % 3 == 0 && PID_LEN / 3 * 4 == PID_TEXT_LEN, "whole characters");

static void put_be(uint8_t *dst, uint64_t value, size_t len)
{
    value = htobe64(value);
    memcpy(dst, (const uint8_t *)&value + WORD_LEN - len, len);
}

static uint64_t get_be(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    memcpy((uint8_t *)&value + WORD_LEN - len, at, len);
    return be64toh(value);
}

/* --- hashes ------------------------------------------------------------------- */

/* Fetching it takes longer than what it does, so it is fetched once for all hashes of a pid. */
static EVP_MAC_CTX *mac_new(void)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;

    EVP_MAC_free(hmac); /* the context has its own reference */
    return ctx;
}

static int mac_begin(EVP_MAC_CTX *ctx, const uint8_t key[HASH_LEN])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[2] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                            OSSL_PARAM_construct_end()};

    return EVP_MAC_init(ctx, key, HASH_LEN, params) == 1 ? 0 : -1;
}

static int mac_put(EVP_MAC_CTX *ctx, struct slice bytes)
{
    return bytes.len == 0 || EVP_MAC_update(ctx, (const uint8_t *)bytes.ptr, bytes.len) == 1 ? 0
                                                                                             : -1;
}

/* Behind its length, for what follows is of any length, too. */
static int mac_put_field(EVP_MAC_CTX *ctx, struct slice field)
{
    uint8_t len[4];

    put_be(len, field.len, sizeof(len));
    return mac_put(ctx, (struct slice){(const char *)len, sizeof(len)}) < 0 ||
                   mac_put(ctx, field) < 0
               ? -1
               : 0;
}

static int mac_end(EVP_MAC_CTX *ctx, uint8_t hash[HASH_LEN])
{
    size_t len = 0;

    return EVP_MAC_final(ctx, hash, &len, HASH_LEN) == 1 && len == HASH_LEN ? 0 : -1;
}

/* RFC 5869 without a salt, and with as much to come as one hash has. */
int pid_key_derive(struct pid_key *key, struct slice secret)
{
    static const uint8_t no_salt[HASH_LEN];
    EVP_MAC_CTX *ctx = mac_new();
    uint8_t extracted[HASH_LEN];
    int result = -1;

    if (ctx != NULL && mac_begin(ctx, no_salt) == 0 && mac_put(ctx, secret) == 0 &&
        mac_end(ctx, extracted) == 0 && mac_begin(ctx, extracted) == 0 &&
        mac_put(ctx, SLICE("axr-notifyd pid\x01")) == 0)
        result = mac_end(ctx, key->at);
    OPENSSL_cleanse(extracted, sizeof(extracted));
    EVP_MAC_CTX_free(ctx);
    return result;
}

/* --- tag and mask ------------------------------------------------------------- */

/* plain: what is before the tag, with the offset as it is. */
static int hash_tag(EVP_MAC_CTX *ctx, uint8_t hash[HASH_LEN], const uint8_t plain[AT_TAG],
                    const struct pid_key *with, const struct slice owner[3])
{
    if (mac_begin(ctx, with->at) < 0 || mac_put(ctx, SLICE("axr pid 1")) < 0 ||
        mac_put_field(ctx, owner[0]) < 0 || mac_put_field(ctx, owner[1]) < 0 ||
        mac_put(ctx, (struct slice){(const char *)plain, AT_TAG}) < 0 || mac_put(ctx, owner[2]) < 0)
        return -1;
    return mac_end(ctx, hash);
}

/* Masks the offset, or takes the mask off. */
static int mask(EVP_MAC_CTX *ctx, uint8_t at[PID_LEN], const uint8_t tag[TAG_LEN],
                const struct pid_key *with)
{
    uint8_t hash[HASH_LEN];

    if (mac_begin(ctx, with->at) < 0 || mac_put(ctx, SLICE("axr pid mask")) < 0 ||
        mac_put(ctx, (struct slice){(const char *)tag, TAG_LEN}) < 0 || mac_end(ctx, hash) < 0)
        return -1;
    for (size_t i = 0; i < WORD_LEN; i++)
        at[AT_OFFSET + i] ^= hash[i];
    return 0;
}

int pid_make(uint8_t dst[PID_LEN], const struct pid *pid, const struct pid_key *with,
             struct slice key, struct slice nsp, struct slice uid)
{
    const struct slice owner[3] = {key, nsp, uid};
    EVP_MAC_CTX *ctx = mac_new();
    uint8_t hash[HASH_LEN];
    int result = -1;

    dst[0] = VERSION;
    put_be(dst + AT_DAEMON, pid->daemon, WORD_LEN);
    memcpy(dst + AT_SESSION, pid->session, SESSION_LEN);
    put_be(dst + AT_OFFSET, pid->offset, WORD_LEN);
    put_be(dst + AT_START, pid->start_ms, START_LEN);
    if (ctx != NULL && hash_tag(ctx, hash, dst, with, owner) == 0) {
        memcpy(dst + AT_TAG, hash, TAG_LEN);
        result = mask(ctx, dst, dst + AT_TAG, with);
    }
    EVP_MAC_CTX_free(ctx);
    return result;
}

int pid_read(struct pid *pid, const uint8_t raw[PID_LEN])
{
    *pid = (struct pid){.daemon = get_be(raw + AT_DAEMON, WORD_LEN),
                        .start_ms = get_be(raw + AT_START, START_LEN)};
    memcpy(pid->session, raw + AT_SESSION, SESSION_LEN);
    return raw[0] == VERSION ? 0 : -1;
}

/* 1 and the offset, if this key has made it. */
static int is_of(EVP_MAC_CTX *ctx, uint64_t *offset, const uint8_t raw[PID_LEN],
                 const struct pid_key *with, const struct slice owner[3])
{
    uint8_t plain[PID_LEN], hash[HASH_LEN];

    memcpy(plain, raw, PID_LEN);
    if (mask(ctx, plain, raw + AT_TAG, with) < 0 || hash_tag(ctx, hash, plain, with, owner) < 0 ||
        CRYPTO_memcmp(hash, raw + AT_TAG, TAG_LEN) != 0)
        return 0;
    *offset = get_be(plain + AT_OFFSET, WORD_LEN);
    return 1;
}

int pid_proven(struct pid *pid, const uint8_t raw[PID_LEN], const struct pid_keys *keys,
               struct slice key, struct slice nsp, struct slice uid)
{
    const struct slice owner[3] = {key, nsp, uid};
    EVP_MAC_CTX *ctx;
    int proven = 0;

    if (pid_read(pid, raw) < 0 || (ctx = mac_new()) == NULL)
        return 0;
    for (size_t i = 0; i < keys->n && !proven; i++)
        proven = is_of(ctx, &pid->offset, raw, &keys->at[i], owner);
    EVP_MAC_CTX_free(ctx);
    return proven;
}
