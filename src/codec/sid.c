#include "codec/sid.h"

#include "base/base64.h"

#include <string.h>

#define SID_BYTES 24 /* random (16), home (4), index (4) */

_Static_assert(SIO_SID_BYTES == 7 + SIO_SID_HASH, "index (4), home (3), hash (8)");

static void put_be(uint8_t *dst, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        dst[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static uint32_t get_be(const uint8_t *src, int bytes)
{
    uint32_t value = 0;

    for (int i = 0; i < bytes; i++)
        value = value << 8 | src[i];
    return value;
}

/* The low byte of the process, then in a few bytes more its ninth bit and as much of the
 * generation as there is room for. */
static void put_home(uint8_t *dst, const struct sid_home *home, int bytes)
{
    uint32_t top = 1U << (8 * (bytes - 1) - 1);

    put_be(dst, home->process & 0xff, 1);
    put_be(dst + 1, (home->generation & (top - 1)) | (home->process >> 8 ? top : 0), bytes - 1);
}

static void get_home(const uint8_t *src, struct sid_home *home, int bytes)
{
    uint32_t top = 1U << (8 * (bytes - 1) - 1), rest = get_be(src + 1, bytes - 1);

    home->process = src[0] | (rest & top ? 0x100U : 0);
    home->generation = rest & (top - 1);
}

size_t sid_encode(char dst[SID_LEN + 1], const uint8_t random[SID_RANDOM],
                  const struct sid_home *home)
{
    uint8_t raw[SID_BYTES];
    size_t n;

    memcpy(raw, random, SID_RANDOM);
    put_home(raw + SID_RANDOM, home, 4);
    put_be(raw + SID_RANDOM + 4, home->index, 4);
    n = base64url_encode(dst, raw, sizeof(raw));
    dst[n] = '\0';
    return n;
}

int sid_decode(struct slice sid, struct sid_home *home)
{
    uint8_t raw[SID_BYTES];

    if (sid.len != SID_LEN || base64_decode(raw, sid.ptr, sid.len) != SID_BYTES)
        return -1;
    get_home(raw + SID_RANDOM, home, 4);
    home->index = get_be(raw + SID_RANDOM + 4, 4);
    return 0;
}

size_t sio_sid_encode(char dst[SIO_SID_LEN], uint64_t hash, const struct sid_home *home)
{
    uint8_t raw[SIO_SID_BYTES];

    put_be(raw, home->index, 4);
    put_home(raw + 4, home, 3);
    put_be(raw + 7, hash, SIO_SID_HASH);
    return base64url_encode(dst, raw, sizeof(raw));
}

int sio_sid_decode(struct slice sid, struct sid_home *home)
{
    uint8_t raw[SIO_SID_BYTES];

    if (sid.len != SIO_SID_LEN || base64_decode(raw, sid.ptr, sid.len) != SIO_SID_BYTES)
        return -1;
    sio_sid_home(raw, home);
    return 0;
}

void sio_sid_home(const uint8_t raw[SIO_SID_BYTES], struct sid_home *home)
{
    home->index = get_be(raw, 4);
    get_home(raw + 4, home, 3);
}

int sid_process(struct slice id, uint32_t *process)
{
    struct sid_home home;
    int result = id.len == SIO_SID_LEN ? sio_sid_decode(id, &home) : sid_decode(id, &home);

    if (result == 0)
        *process = home.process;
    return result;
}
