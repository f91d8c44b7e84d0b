#include "master/overlap.h"

#include "base/rand.h"
#include "base/siphash.h"

#include <stdlib.h>
#include <string.h>

#define STREAM_MIN 256

/* --- streams ------------------------------------------------------------------ */

static uint64_t digest(const struct overlap *overlap, struct slice channel, struct slice payload)
{
    uint64_t parts[2] = {siphash(overlap->key, channel.ptr, channel.len),
                         siphash(overlap->key, payload.ptr, payload.len)};

    return siphash(overlap->key, parts, sizeof(parts));
}

static int stream_put(struct overlap_stream *stream, uint64_t what)
{
    if (stream->n == stream->cap) {
        size_t cap = stream->cap ? 2 * stream->cap : STREAM_MIN;
        uint64_t *at = cap > OVERLAP_MAX ? NULL : reallocarray(stream->at, cap, sizeof(*at));
        if (at == NULL)
            return -1;
        stream->at = at;
        stream->cap = cap;
    }
    stream->at[stream->n++] = what;
    return 0;
}

void overlap_begin(struct overlap *overlap)
{
    overlap->old.n = overlap->new.n = 0;
    overlap->low = overlap->old_mark = overlap->new_mark = 0;
    overlap->high = SIZE_MAX;
    rand_bytes(overlap->key, sizeof(overlap->key));
}

void overlap_clear(struct overlap *overlap)
{
    free(overlap->old.at);
    free(overlap->new.at);
    memset(overlap, 0, sizeof(*overlap));
}

int overlap_old(struct overlap *overlap, struct slice channel, struct slice payload)
{
    return stream_put(&overlap->old, digest(overlap, channel, payload));
}

int overlap_new(struct overlap *overlap, struct slice channel, struct slice payload)
{
    return stream_put(&overlap->new, digest(overlap, channel, payload));
}

/* --- marks -------------------------------------------------------------------- */

/* The old stream holds what the new one did, at least. */
void overlap_old_mark(struct overlap *overlap)
{
    size_t n = overlap->old.n, held = overlap->new_mark;
    size_t high = n > held ? n - held : 0;

    if (high < overlap->high)
        overlap->high = high;
    overlap->old_mark = n;
}

/* And the other way round. */
void overlap_new_mark(struct overlap *overlap)
{
    size_t n = overlap->new.n, held = overlap->old_mark;
    size_t low = held > n ? held - n : 0;

    if (low > overlap->low)
        overlap->low = low;
    overlap->new_mark = n;
}

void overlap_marker(struct overlap *overlap, size_t old_at, size_t new_at)
{
    if (old_at >= new_at)
        overlap->low = overlap->high = old_at - new_at;
}

/* --- where -------------------------------------------------------------------- */

/* border[i]: how many at the beginning of at are also the last of its first i, and not
 * all of them (Knuth, Morris and Pratt). */
static uint32_t *borders(const uint64_t *at, size_t n)
{
    uint32_t *border = reallocarray(NULL, n + 1, sizeof(*border));
    size_t k;

    if (border == NULL)
        return NULL;
    k = border[0] = 0;
    if (n > 0)
        border[1] = 0;
    for (size_t i = 1; i < n; i++) {
        while (k > 0 && at[i] != at[k])
            k = border[k];
        k += at[i] == at[k];
        border[i + 1] = (uint32_t)k;
    }
    return border;
}

static void add(struct overlap_found *found, size_t *n, size_t d, size_t low, size_t high)
{
    if (d < low || d > high)
        return;
    if (*n == 0 || d < found->least)
        found->least = d;
    if (*n == 0 || d > found->most)
        found->most = d;
    ++*n;
}

/* All d from low to high for which the streams do not differ in what has come over both.
 * Returns how many there are. */
static size_t search(const struct overlap *overlap, const uint32_t *border, size_t low, size_t high,
                     struct overlap_found *found)
{
    const struct overlap_stream *old = &overlap->old, *new = &overlap->new;
    size_t n = 0, k = 0;

    if (new->n == 0)
        add(found, &n, low, low, high);
    for (size_t i = low; i < old->n; i++) {
        while (k > 0 && (k == new->n || old->at[i] != new->at[k]))
            k = border[k];
        k += new->n > 0 && old->at[i] == new->at[k];
        if (k == new->n) /* the whole of it */
            add(found, &n, i + 1 - k, low, high);
    }
    if (k > 0 && k == new->n) /* is there already */
        k = border[k];
    for (; k > 0; k = border[k]) /* its beginning is the end of the old one */
        add(found, &n, old->n - k, low, high);
    add(found, &n, old->n, low, high);
    return n;
}

int overlap_find(const struct overlap *overlap, struct overlap_found *found)
{
    size_t last = overlap->old.n;
    uint32_t *border = borders(overlap->new.at, overlap->new.n);

    if (border == NULL)
        return -1;
    found->apart = 0;
    /* Where the numbers speak of another server: what the messages say, if there are any. */
    if (search(overlap, border, overlap->low, overlap->high, found) == 0 &&
        (last == 0 || overlap->new.n == 0 || search(overlap, border, 0, last - 1, found) == 0)) {
        found->apart = 1;
        found->least = found->most = last;
    }
    free(border);
    return 0;
}

size_t overlap_common(const struct overlap *overlap, size_t d)
{
    return overlap->old.n - d;
}

int overlap_again(struct overlap *overlap, size_t *left, struct slice channel, struct slice payload)
{
    if (*left == 0)
        return 0;
    if (overlap->old.at[overlap->old.n - *left] != digest(overlap, channel, payload)) {
        *left = 0;
        return 0;
    }
    --*left;
    return 1;
}
