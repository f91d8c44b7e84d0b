#include "master/splice.h"

#include "base/rand.h"
#include "base/siphash.h"

#include <stdlib.h>
#include <string.h>

#define STREAM_MIN 256

/* --- streams ------------------------------------------------------------------ */

static uint64_t digest(const struct splice *splice, struct slice channel, struct slice payload)
{
    uint64_t parts[2] = {siphash(splice->key, channel.ptr, channel.len),
                         siphash(splice->key, payload.ptr, payload.len)};
    return siphash(splice->key, parts, sizeof parts);
}

static int stream_put(struct splice_stream *stream, uint64_t what)
{
    if (stream->n == stream->cap) {
        size_t cap = stream->cap ? 2 * stream->cap : STREAM_MIN;
        uint64_t *at = cap > SPLICE_MAX ? NULL : reallocarray(stream->at, cap, sizeof *at);
        if (!at)
            return -1;
        stream->at = at;
        stream->cap = cap;
    }
    stream->at[stream->n++] = what;
    return 0;
}

void splice_begin(struct splice *splice)
{
    splice->old.n = splice->new.n = 0;
    splice->low = splice->old_mark = splice->new_mark = 0;
    splice->high = SIZE_MAX;
    rand_bytes(splice->key, sizeof splice->key);
}

void splice_clear(struct splice *splice)
{
    free(splice->old.at);
    free(splice->new.at);
    memset(splice, 0, sizeof *splice);
}

int splice_old(struct splice *splice, struct slice channel, struct slice payload)
{
    return stream_put(&splice->old, digest(splice, channel, payload));
}

int splice_new(struct splice *splice, struct slice channel, struct slice payload)
{
    return stream_put(&splice->new, digest(splice, channel, payload));
}

/* --- marks -------------------------------------------------------------------- */

/* The old stream holds what the new one did, at least. */
void splice_old_mark(struct splice *splice)
{
    size_t n = splice->old.n, held = splice->new_mark;
    size_t high = n > held ? n - held : 0;
    if (high < splice->high)
        splice->high = high;
    splice->old_mark = n;
}

/* And the other way round. */
void splice_new_mark(struct splice *splice)
{
    size_t n = splice->new.n, held = splice->old_mark;
    size_t low = held > n ? held - n : 0;
    if (low > splice->low)
        splice->low = low;
    splice->new_mark = n;
}

void splice_marker(struct splice *splice, size_t old_at, size_t new_at)
{
    if (old_at >= new_at)
        splice->low = splice->high = old_at - new_at;
}

/* --- where -------------------------------------------------------------------- */

/* border[i]: how many at the beginning of at are also the last of its first i, and not
 * all of them (Knuth, Morris and Pratt). */
static uint32_t *borders(const uint64_t *at, size_t n)
{
    uint32_t *border = reallocarray(NULL, n + 1, sizeof *border);
    if (!border)
        return NULL;
    size_t k = border[0] = 0;
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

static void add(struct splice_found *found, size_t *n, size_t d, size_t low, size_t high)
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
static size_t search(const struct splice *splice, const uint32_t *border, size_t low, size_t high,
                     struct splice_found *found)
{
    const struct splice_stream *old = &splice->old, *new = &splice->new;
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

int splice_find(const struct splice *splice, struct splice_found *found)
{
    size_t last = splice->old.n;
    uint32_t *border = borders(splice->new.at, splice->new.n);
    if (!border)
        return -1;
    found->apart = 0;
    /* Where the numbers speak of another server: what the messages say, if there are any. */
    if (search(splice, border, splice->low, splice->high, found) == 0 &&
        (last == 0 || splice->new.n == 0 || search(splice, border, 0, last - 1, found) == 0)) {
        found->apart = 1;
        found->least = found->most = last;
    }
    free(border);
    return 0;
}

size_t splice_common(const struct splice *splice, size_t d)
{
    return splice->old.n - d;
}

int splice_again(struct splice *splice, size_t *left, struct slice channel, struct slice payload)
{
    if (*left == 0)
        return 0;
    if (splice->old.at[splice->old.n - *left] != digest(splice, channel, payload)) {
        *left = 0;
        return 0;
    }
    --*left;
    return 1;
}
