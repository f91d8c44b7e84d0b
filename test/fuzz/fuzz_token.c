/* A token, in three ways that the first byte chooses: 't', the text as it is;
 * 'p', the rest is a payload that gets a good header and signature, so that the
 * claims are reached; 'h', the rest is a header, and payload and signature are
 * good.  The key is the one that the corpus is signed with. */
#include "base/base64.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "codec/token.h"
#include "codec/token_rooms.h"

#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define NOW     1000000
#define HEADER  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define PAYLOAD "{\"sub\":\"s\",\"aud\":\"a\",\"iss\":\"i\"}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char secret[] = "the secret of the fuzz target";

static void must(int cond)
{
    if (!cond)
        abort();
}

static void put_segment(struct buf *out, const void *bytes, size_t len)
{
    uint8_t *to = buf_reserve(out, BASE64URL_LEN(len) + 1);

    must(to != NULL);
    out->len += base64url_encode((char *)to, bytes, len);
}

static void put_signed(struct buf *out, const void *header, size_t header_len, const void *payload,
                       size_t payload_len)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    put_segment(out, header, header_len);
    buf_putc(out, '.');
    put_segment(out, payload, payload_len);
    HMAC(EVP_sha256(), secret, sizeof(secret) - 1, out->data, out->len, mac, &len);
    buf_putc(out, '.');
    put_segment(out, mac, len);
}

static int has_grant(jwt_t *jwt, const char *name)
{
    char *json = jwt_get_grants_json(jwt, name);
    int has = json != NULL;

    free(json);
    return has;
}

/* What we accept, libjwt does too; but 1.10.2 knows no type beside JWT. */
static void decode(const char *token, size_t len, const struct token_user *user)
{
    char *text = strndup(token, len);
    jwt_t *jwt = NULL;
    const char *sub;

    must(text != NULL &&
         jwt_decode(&jwt, text, (const unsigned char *)secret, sizeof(secret) - 1) == 0);
    sub = jwt_get_grant(jwt, "sub");
    if (sub != NULL && strcmp(sub, user->uid) != 0)
        must(jwt_get_grant(jwt, "uid") != NULL || has_grant(jwt, "profile"));
    jwt_free(jwt);
    free(text);
}

static void verify(const char *token, size_t len)
{
    static const char *const audiences[] = {"a", "b", NULL}, *const issuers[] = {"i", NULL};
    static const char *const types[] = {"jwt", NULL};
    static struct token_keys *keys; /* reachable until the end */
    static char rooms[] = "rooms", of_profile[] = "profile.rooms";
    struct token_policy policy = {.algs = TOKEN_HS,
                                  .audiences = audiences,
                                  .issuers = issuers,
                                  .types = types,
                                  .tolerance_s = 5,
                                  .rooms_claim = len % 2 ? rooms : of_profile,
                                  .rooms_per_client = 12,
                                  .token_bytes = 8192};
    struct token_user user = {.uid_len = SIZE_MAX};
    enum token_result result;

    if (keys == NULL) {
        keys = token_keys_new();
        must(token_keys_add_secret(keys, (struct slice){0}, secret, sizeof(secret) - 1, 0) ==
                 KEY_OK &&
             token_keys_add_secret(keys, SLICE("a"), "unused", 6, TOKEN_HS512) == KEY_OK);
    }
    policy.keys = keys;
    result = token_verify(&policy, token, len, NOW * INT64_C(1000),
                          &(struct token_trial){.tries = TOKEN_TRIES_MAX}, &user);
    if (result != TOKEN_OK) {
        must(user.uid_len == SIZE_MAX);
        return;
    }
    must(user.uid_len > 0 && user.uid_len <= TOKEN_UID_MAX);
    must(strlen(user.uid) == user.uid_len && utf8_valid(user.uid, user.uid_len));
    must(token_rooms_count(user.rooms) <= 10);
    token_rooms_free(&user.rooms);
    must(user.expires_ms == 0 || user.expires_ms > NOW * INT64_C(1000));
    decode(token, len, &user);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = {0};

    if (size == 0)
        return 0;
    switch (data[0]) {
    case 't':
        verify((const char *)data + 1, size - 1);
        break;
    case 'p':
        put_signed(&text, HEADER, sizeof(HEADER) - 1, data + 1, size - 1);
        verify((const char *)text.data, text.len);
        break;
    case 'h':
        put_signed(&text, data + 1, size - 1, PAYLOAD, sizeof(PAYLOAD) - 1);
        verify((const char *)text.data, text.len);
        break;
    default:
        break;
    }
    buf_free(&text);
    return 0;
}
