#include "master/access.h"

#include "base/clock.h"
#include "codec/origin.h"
#include "conf.h"
#include "master/caller.h"

#include <openssl/crypto.h>
#include <string.h>

#define MINUTE_MS 60000

/* The token that req shows; empty: none. */
static struct slice shown(const struct http_request *req)
{
    const struct http_header *own = http_header(req, "x-admin-token");
    const struct http_header *header = http_header(req, "authorization");
    struct slice value;

    if (own != NULL)
        return own->value;
    if (header == NULL)
        return (struct slice){0};
    value = header->value;
    if (!slice_skip_nocase(&value, SLICE("Bearer ")))
        return (struct slice){0};
    while (value.len > 0 && value.ptr[0] == ' ')
        value = (struct slice){value.ptr + 1, value.len - 1};
    return value;
}

/* Takes as long for any token. */
static int is_token(struct slice text, const char *token)
{
    char ours[CONF_ADMIN_TOKEN_MAX + 1] = "", theirs[CONF_ADMIN_TOKEN_MAX + 1] = "";
    size_t len = text.len < sizeof(theirs) ? text.len : sizeof(theirs);
    int same;

    memcpy(ours, token, strnlen(token, CONF_ADMIN_TOKEN_MAX));
    if (len > 0)
        memcpy(theirs, text.ptr, len);
    same = CRYPTO_memcmp(ours, theirs, sizeof(ours)) == 0 && text.len > 0;
    explicit_bzero(ours, sizeof(ours));
    explicit_bzero(theirs, sizeof(theirs));
    return same;
}

/* 1 if it is one too many of this minute. */
static int has_failed(struct access *access)
{
    uint64_t now = clock_ms();

    if (access->minute_ms == 0 || now - access->minute_ms >= MINUTE_MS)
        *access = (struct access){.minute_ms = now, .log = access->log};
    return ++access->failures > ACCESS_FAILURES;
}

static void refuse(struct access *access, struct caller *caller, int is_missing)
{
    char text[ADDRESS_TEXT_MAX];
    uint64_t times = log_due(&access->log, MINUTE_MS);

    if (times > 0)
        log_event(WARN, "admin_denied",
                  "admin: a request[ from {}] without a good token[ times={}]",
                  LOG_STR("address", address_text(caller_address(caller), text)), LOG_TIMES(times));
    if (has_failed(access))
        caller_refuse(caller, 429, "Retry-After: 60\r\n", "too many bad tokens within a minute");
    else
        caller_refuse(caller, 401, "WWW-Authenticate: Bearer\r\n",
                      is_missing ? "admin:token is wanted, as Authorization: Bearer"
                                 : "the token is not admin:token");
}

/* 1 if a body follows that is not said to be JSON. */
static int is_other_type(const struct http_request *req)
{
    const struct http_header *type = http_header(req, "content-type");
    const struct http_header *length = http_header(req, "content-length");
    struct slice rest;

    if (http_header(req, "transfer-encoding") == NULL &&
        (length == NULL || slice_eq(length->value, SLICE("0"))))
        return 0;
    if (type == NULL)
        return 1;
    rest = type->value;
    return !slice_skip_nocase(&rest, SLICE("application/json")) ||
           (rest.len > 0 && strchr("; \t", rest.ptr[0]) == NULL);
}

int access_admit(struct access *access, struct caller *caller, const struct http_request *req,
                 const char *token)
{
    struct slice text = shown(req);

    if (!origin_trusted(req, NULL))
        caller_refuse(caller, 403, NULL, "the request comes from a page of another address");
    else if (token == NULL)
        caller_refuse(caller, 403, NULL, "admin:token is not set: what changes something is off");
    else if (!is_token(text, token))
        refuse(access, caller, text.len == 0);
    else if (is_other_type(req))
        caller_refuse(caller, 415, NULL, "the body is to be application/json");
    else
        return 1;
    return 0;
}
