/* sid - the ids by which a session is found: of Engine.IO and Socket.IO, which say where
 * it lives, and the handle. */
#include "base/base64.h"
#include "base/siphash.h"
#include "engine/state.h"

#include <openssl/crypto.h>

static void put_be(uint8_t *dst, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        dst[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static uint32_t get_be32(const uint8_t *src)
{
    return (uint32_t)src[0] << 24 | (uint32_t)src[1] << 16 | (uint32_t)src[2] << 8 | src[3];
}

/* Where a session lives: the low byte of its slot, then in a few bytes more the ninth
 * bit and as much of the generation as there is room for. */
static void put_home(uint8_t *dst, const struct engine_options *options, int bytes)
{
    uint32_t top = 1U << (8 * (bytes - 1) - 1);

    put_be(dst, options->slot & 0xff, 1);
    put_be(dst + 1, (options->generation & (top - 1)) | (options->slot >> 8 ? top : 0), bytes - 1);
}

/* 128 random bits, then where the session lives (4 bytes), index (4). */
size_t session_sid(const struct session *session, char dst[ENGINE_SID_LEN + 1])
{
    uint8_t raw[24];
    size_t n;

    memcpy(raw, session->random, 16);
    put_home(raw + 16, &session->engine->options, 4);
    put_be(raw + 20, session->index, 4);
    n = base64url_encode(dst, raw, sizeof(raw));
    dst[n] = '\0';
    return n;
}

static int sid_decode(struct slice sid, uint8_t raw[24])
{
    return sid.len == ENGINE_SID_LEN && base64_decode(raw, sid.ptr, sid.len) == 24 ? 0 : -1;
}

static uint32_t get_slot(const uint8_t *home)
{
    return home[0] | (home[1] & 0x80U) << 1;
}

int session_sid_home(struct slice sid, uint32_t *slot)
{
    uint8_t raw[24];

    if (sid_decode(sid, raw) < 0)
        return -1;
    *slot = get_slot(raw + 16);
    return 0;
}

struct session *session_by_sid(struct engine *engine, struct slice sid)
{
    struct session *session;
    char own[ENGINE_SID_LEN + 1];
    uint8_t raw[24];
    uint32_t index;

    if (sid_decode(sid, raw) < 0 || (index = get_be32(raw + 20)) >= engine->nslots ||
        (session = engine->slots[index].session) == NULL)
        return NULL;
    session_sid(session, own);
    return CRYPTO_memcmp(own, sid.ptr, ENGINE_SID_LEN) == 0 ? session : NULL;
}

/* Index (4), where it lives (3) and 64 bits of a keyed hash of the
 * session id and the count of joins: not kept, made again when asked for, and
 * it gives nothing of the session id away. */
static void sio_sid_raw(const struct session *session, uint8_t raw[15])
{
    uint8_t from[18];

    memcpy(from, session->random, 16);
    put_be(from + 16, session->joins, 2);
    put_be(raw, session->index, 4);
    put_home(raw + 4, &session->engine->options, 3);
    put_be(raw + 7, siphash(session->engine->sid_key, from, sizeof(from)), 8);
}

int session_id_home(struct slice id, uint32_t *slot)
{
    uint8_t raw[SIO_SID_LEN];

    if (id.len != SIO_SID_LEN)
        return session_sid_home(id, slot);
    if (base64_decode(raw, id.ptr, id.len) != 15)
        return -1;
    *slot = get_slot(raw + 4);
    return 0;
}

size_t session_sio_sid(const struct session *session, char dst[SIO_SID_MAX])
{
    char sid[ENGINE_SID_LEN + 1];
    size_t n = 0, nsp_len = strlen(session->engine->options.nsp);
    uint8_t raw[15];

    if (session->version == EIO4) {
        sio_sid_raw(session, raw);
        return base64url_encode(dst, raw, sizeof(raw));
    }
    session_sid(session, sid);
    if (nsp_len > 1) { /* the client of "/" goes by the engine's id alone */
        memcpy(dst, session->engine->options.nsp, nsp_len);
        dst[nsp_len] = '#';
        n = nsp_len + 1;
    }
    memcpy(dst + n, sid, ENGINE_SID_LEN);
    return n + ENGINE_SID_LEN;
}

struct session *session_by_sio_sid(struct engine *engine, struct slice sid)
{
    uint8_t raw[24];
    char own[SIO_SID_MAX];
    struct session *session;
    uint32_t index;
    size_t len;

    if (sid.len == SIO_SID_LEN && base64_decode(raw, sid.ptr, sid.len) == 15)
        index = get_be32(raw);
    else if (sid.len >= ENGINE_SID_LEN &&
             base64_decode(raw, sid.ptr + sid.len - ENGINE_SID_LEN, ENGINE_SID_LEN) == 24)
        index = get_be32(raw + 20);
    else
        return NULL;
    if (index >= engine->nslots || (session = engine->slots[index].session) == NULL ||
        session->nsp != NSP_JOINED)
        return NULL;
    len = session_sio_sid(session, own);
    return slice_eq((struct slice){own, len}, sid) ? session : NULL;
}

uint64_t session_handle(const struct session *session)
{
    return (uint64_t)session->serial << 32 | session->index;
}

struct session *session_find(struct engine *engine, uint64_t handle)
{
    uint32_t index = (uint32_t)handle, serial = (uint32_t)(handle >> 32);

    if (index >= engine->nslots || engine->slots[index].serial != serial)
        return NULL;
    if (engine->slots[index].session == NULL || engine->slots[index].session->over)
        return NULL;
    return engine->slots[index].session;
}
