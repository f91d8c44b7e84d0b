#include "codec/jwt.h"

#include "base/base64.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <jwt.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* --- jansson's memory -------------------------------------------------------- */
/* Where it gets none for a longer string, jansson goes on reading, and later writes behind
 * the shorter one.  So what it takes for a token is there before: a piece of .bss, of which
 * only what is used is real. */

#define PAGE         4096
#define ARENA_BYTES  ((size_t)256 * JWT_BYTES_MAX) /* of JSON, "{}," takes most: 105 a byte */
#define ARENA_KEPT   ((size_t)16 * PAGE)           /* the rest is given back */
#define ARENA_ALIGNS 16

static _Alignas(PAGE) char arena[ARENA_BYTES];
static size_t arena_used;
static unsigned arena_users; /* tokens that are being read */
static int arena_open;       /* what jansson wants is for one of them */

static void *arena_take(size_t size)
{
    char *at = arena + arena_used;

    if (!arena_open)
        return malloc(size);
    arena_used += (size + ARENA_ALIGNS - 1) & ~(size_t)(ARENA_ALIGNS - 1);
    assert(arena_used <= sizeof(arena));
    return at;
}

static void arena_give(void *ptr)
{
    if ((uintptr_t)ptr - (uintptr_t)arena >= sizeof(arena))
        free(ptr);
}

static void arena_clear(void)
{
    size_t kept = arena_used < ARENA_KEPT ? arena_used : ARENA_KEPT;

    explicit_bzero(arena, kept);
    if (arena_used > kept)
        (void)madvise(arena + ARENA_KEPT, arena_used - ARENA_KEPT, MADV_DONTNEED);
    arena_used = 0;
}

void jwt_parts_prepare(void)
{
    static int prepared;

    if (prepared)
        return;
    prepared = 1;
    json_object_seed(0);
    json_set_alloc_funcs(arena_take, arena_give);
    (void)madvise(arena, sizeof(arena), MADV_NOHUGEPAGE); /* the first of them would be 2 MB */
}

/* --- the text ---------------------------------------------------------------- */

/* Decodes a segment to *to, terminates it and moves *to behind it. */
static int decode_segment(struct slice segment, char **to, struct slice *decoded)
{
    long len = base64url_decode((uint8_t *)*to, segment.ptr, segment.len);

    if (len < 0)
        return -1;
    *decoded = (struct slice){*to, (size_t)len};
    (*to)[len] = '\0';
    *to += len + 1;
    return 0;
}

/* libjwt takes terminated text: a NUL before the terminator would hide what is behind it. */
static int has_nul(struct slice json)
{
    return memchr(json.ptr, '\0', json.len) != NULL;
}

int jwt_parts_split(struct jwt_parts *parts, const char *token, size_t len)
{
    const char *dot = memchr(token, '.', len), *dot2 = NULL;
    struct slice head, body, tail;
    char *to;

    errno = 0;
    if (dot != NULL)
        dot2 = memchr(dot + 1, '.', len - (size_t)(dot + 1 - token));
    if (dot2 == NULL || len > JWT_BYTES_MAX)
        return -1;
    head = (struct slice){token, (size_t)(dot - token)};
    body = (struct slice){dot + 1, (size_t)(dot2 - dot - 1)};
    tail = (struct slice){dot2 + 1, len - (size_t)(dot2 + 1 - token)};
    parts->decoded_len = len + 3;
    parts->decoded = to = malloc(parts->decoded_len);
    if (to == NULL)
        return -1;
    parts->text = (struct slice){token, (size_t)(dot2 - token)};
    /* A third dot is no base64url either. */
    if (decode_segment(head, &to, &parts->header) != 0 ||
        decode_segment(body, &to, &parts->claims) != 0 ||
        decode_segment(tail, &to, &parts->signature) != 0)
        return -1;
    return has_nul(parts->header) || has_nul(parts->claims) ? -1 : 0;
}

/* --- what is in it ----------------------------------------------------------- */

int jwt_parts_read_header(struct jwt_parts *parts)
{
    int result;

    jwt_parts_prepare();
    errno = 0;
    arena_open = 1;
    result = jwt_new(&parts->json);
    if (result == 0) {
        arena_users++;
        result = jwt_add_headers_json(parts->json, parts->header.ptr);
    }
    arena_open = 0;
    return result == 0 ? 0 : -1;
}

int jwt_parts_read_claims(struct jwt_parts *parts)
{
    int result;

    errno = 0;
    arena_open = 1;
    result = jwt_add_grants_json(parts->json, parts->claims.ptr);
    arena_open = 0;
    return result == 0 ? 0 : -1;
}

void jwt_parts_clear(struct jwt_parts *parts)
{
    if (parts->json != NULL) {
        jwt_free(parts->json);
        if (--arena_users == 0)
            arena_clear();
    }
    if (parts->decoded != NULL) /* with its signature the token could be made again */
        explicit_bzero(parts->decoded, parts->decoded_len);
    free(parts->decoded);
    memset(parts, 0, sizeof(*parts));
}

/* Of what is there and no string, libjwt 1.10.2 leaves errno at 0, and 1.17 at EINVAL. */
const char *jwt_parts_header(const struct jwt_parts *parts, const char *name, int *there)
{
    const char *text = jwt_get_header(parts->json, name);

    if (there != NULL)
        *there = text != NULL || errno != ENOENT;
    return text;
}

const char *jwt_parts_claim(const struct jwt_parts *parts, const char *name, int *there)
{
    const char *text = jwt_get_grant(parts->json, name);

    if (there != NULL)
        *there = text != NULL || errno != ENOENT;
    return text;
}

const char *jwt_parts_claim_json(const struct jwt_parts *parts, const char *name)
{
    const char *json;

    arena_open = 1;
    json = jwt_get_grants_json(parts->json, name);
    arena_open = 0;
    return json;
}
