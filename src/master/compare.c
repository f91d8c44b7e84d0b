#include "master/compare.h"

/* There is no marker. */
static void unmark(struct compare *compare)
{
    marker_clear(&compare->marker);
    compare->is_marked_old = compare->is_marked_new = 0;
}

void compare_begin(struct compare *compare)
{
    unmark(compare);
    compare->since_ms = 0;
    compare->rounds = 0;
    overlap_begin(&compare->overlap);
}

void compare_clear(struct compare *compare)
{
    unmark(compare);
    overlap_clear(&compare->overlap);
}

/* --- the marker --------------------------------------------------------------- */

static void marked(struct compare *compare)
{
    if (compare->is_marked_old && compare->is_marked_new)
        overlap_marker(&compare->overlap, compare->marked_old, compare->marked_new);
}

int compare_mark_old(struct compare *compare, struct slice channel)
{
    if (!marker_is(&compare->marker, channel))
        return 0;
    compare->is_marked_old = 1;
    compare->marked_old = compare->overlap.old.n;
    marked(compare);
    return 1;
}

int compare_mark_new(struct compare *compare, struct slice channel)
{
    if (!marker_is(&compare->marker, channel))
        return 0;
    compare->is_marked_new = 1;
    compare->marked_new = compare->overlap.new.n;
    marked(compare);
    return 1;
}

/* --- the verdict -------------------------------------------------------------- */

/* Where nothing has come over both a replica may be late, or there may be nothing. */
enum compare_verdict compare_judge(struct compare *compare, struct event_base *base,
                                   const struct conf *conf, uint64_t now_ms,
                                   struct overlap_found *found)
{
    const struct overlap *overlap = &compare->overlap;
    uint64_t ms;
    int is_known, in_common;

    if (compare->since_ms == 0)
        compare->since_ms = now_ms;
    ms = now_ms - compare->since_ms;
    compare->rounds++;
    if (overlap_find(overlap, found) < 0)
        return COMPARE_AGAIN;
    is_known = found->least == found->most;
    in_common = overlap->new.n > 0 && found->least < overlap->old.n;
    if (is_known && (in_common || ms >= COMPARE_APART_MS))
        return COMPARE_KNOWN;
    if (ms >= COMPARE_DOUBT_MS && compare->rounds >= COMPARE_DOUBT_ROUNDS)
        return COMPARE_DOUBT;
    if (is_known)
        return COMPARE_LATER;
    if (!marker_is_set(&compare->marker) &&
        (compare->rounds >= COMPARE_MARK_ROUNDS || ms >= COMPARE_MARK_MS))
        marker_publish(&compare->marker, base, conf);
    return COMPARE_AGAIN;
}

void compare_decide(const struct compare *compare, struct overlap_found *found)
{
    if (overlap_find(&compare->overlap, found) < 0)
        *found = (struct overlap_found){.apart = 1};
}
