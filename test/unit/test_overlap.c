#include "master/overlap.h"

#include "nomem.h"
#include "tap.h"

#include <stdlib.h>

static struct overlap overlap;
static struct overlap_found found;

/* --- streams of letters ------------------------------------------------------- */

static int put_old(char letter)
{
    return overlap_old(&overlap, SLICE("c"), (struct slice){&letter, 1});
}

static int put_new(char letter)
{
    return overlap_new(&overlap, SLICE("c"), (struct slice){&letter, 1});
}

/* "2", "0-3" or "apart": what is known of where the new stream begins in the old one.
 * A '.' is an answer to a PING. */
static const char *where(const char *old, const char *new)
{
    static char text[64];

    overlap_begin(&overlap);
    /* The answers take turns, and the old one begins. */
    while (*old || *new) {
        for (; *old && *old != '.'; old++)
            put_old(*old);
        if (*old == '.')
            overlap_old_mark(&overlap), old++;
        for (; *new &&*new != '.'; new ++)
            put_new(*new);
        if (*new == '.')
            overlap_new_mark(&overlap), new ++;
    }
    if (overlap_find(&overlap, &found) < 0)
        return "no memory";
    if (found.apart)
        snprintf(text, sizeof(text), "apart");
    else if (found.least == found.most)
        snprintf(text, sizeof(text), "%zu", found.least);
    else
        snprintf(text, sizeof(text), "%zu-%zu", found.least, found.most);
    return text;
}

static void test_letters(void)
{
    is_str(where(".", "."), "0", "nothing is published: nothing has to be told apart");
    is_str(where("abc.", "."), "3", "nothing after the new one: all of it is before");
    is_str(where("a.", "bc."), "1", "nothing is on both yet");
    is_str(where("abcd.", "cd."), "2-4", "each is another: in one place, or nothing is on both");
    is_str(where("abcd..", "cd.."), "2", "if not on the old one now, it never was");
    is_str(where("abcd.e.", "cde.."), "2", "the old one goes on");
    is_str(where("abcd..", "cde.f."), "2", "the new one is further");
    is_str(where("abcd..ef", "cd.."), "2", "the old one is further");
    is_str(where("aaaa.", "."), "4", "all the same: none after the new one");
    is_str(where("aaaa.", "aa."), "2-4", "two at most after it");
    is_str(where("aaaa.aaa.", "aa.aa."), "3-4", "between two answers is one");
    is_str(where("aaaa.aaa.a.", "aa.aa.a."), "3-4", "and again one");
    is_str(where("aaaa.aaa..", "aa.aa.."), "3", "and nothing: as many are on both");
    is_str(where("abab.", "ab."), "2-4", "what repeats itself may be in several places");
    is_str(where("ababab..", "abab.."), "2", "where the numbers leave one it is that");
    is_str(where("ababab.x.", "ababx.."), "2", "and where it says another thing");
    is_str(where("xab..", "abab.."), "1", "a place that ends in something else is none");
    is_str(where("aab..", "ab.."), "1", "one that begins a second time is found");
    is_str(where("abaabab..", "abab.."), "3", "also within what looked like one");
}

static void test_others(void)
{
    is_str(where("abc.de.", "xy..z."), "apart", "another server: nothing is on both");
    is_str(where(".", "xyz."), "0", "where the old one is silent all is new");
    is_str(where("abc.def.", ".."), "apart", "the new one is silent");
    is_str(where("ab..", "bcd.."), "1", "a replica that is late: by what they say");
    is_str(where("abcde.fg.", "ef.."), "4", "a replica that is late on the other side");
    is_str(where("ab.ab.", "xa.b."), "apart", "the same in another order is another");
    is_str(where("aaa.aaa.", "a.."), "0-5", "equal ones on others: anything may be");
    overlap_begin(&overlap);
    overlap_old(&overlap, SLICE("c"), SLICE("ab"));
    overlap_new(&overlap, SLICE("ca"), SLICE("b"));
    overlap_old_mark(&overlap);
    overlap_new_mark(&overlap);
    ok(overlap_find(&overlap, &found) == 0 && found.least == 1, "where a channel ends matters");
    overlap_clear(&overlap);
}

static void test_again(void)
{
    size_t left = 2;

    where("abcd.", "ab.");
    is_int(overlap_common(&overlap, 0), 4, "so many come over both");
    is_int(overlap_again(&overlap, &left, SLICE("c"), SLICE("c")), 1, "the next comes");
    is_int(overlap_again(&overlap, &left, SLICE("c"), SLICE("d")), 1, "and the last");
    is_int(overlap_again(&overlap, &left, SLICE("c"), SLICE("d")), 0, "that was all");
    left = 2;
    is_int(overlap_again(&overlap, &left, SLICE("c"), SLICE("d")), 0, "another comes");
    is_int(overlap_again(&overlap, &left, SLICE("c"), SLICE("d")), 0, "then all are new");
    left = 2;
    is_int(overlap_again(&overlap, &left, SLICE("c"), SLICE("z")), 0, "another comes first");
    is_int(overlap_again(&overlap, &left, SLICE("c"), SLICE("c")), 0, "what was to come is new");
    overlap_clear(&overlap);
}

static void test_bounds(void)
{
    unsigned long n = 0;

    overlap_begin(&overlap);
    while (put_old('a') == 0)
        n++;
    is_int(n, OVERLAP_MAX, "as many as are remembered, and no more");
    overlap_begin(&overlap);
    is_int(put_old('a'), 0, "begun again there is room");
    overlap_clear(&overlap);
    overlap_begin(&overlap);
    nomem = 1;
    is_int(put_new('a'), -1, "no memory for one");
    is_int(put_new('a'), 0, "with memory there is");
    nomem = 1;
    is_int(overlap_find(&overlap, &found), -1, "no memory to look for it");
    overlap_clear(&overlap);
}

/* --- a server ----------------------------------------------------------------- */

/* What is published, and from where on the new connection hears it.  The old one is read
 * from asked on; what it has and has not been read yet is what it is behind. */
struct world {
    unsigned char text[4096];
    size_t n, subscribed, asked, read_old, read_new;
    unsigned letters, rate; /* of the text, and at most so many between two steps */
    size_t late;            /* the old one is a replica's, which is so late */
};

static unsigned long seed = 1;

static unsigned dice(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return n ? (unsigned)(seed >> 33) % n : 0;
}

static void publish(struct world *w, unsigned most)
{
    for (unsigned i = dice(most + 1); i > 0 && w->n < sizeof(w->text); i--, w->n++)
        w->text[w->n] = (unsigned char)(w->letters ? dice(w->letters) : w->n);
}

static void read_old(struct world *w, size_t to)
{
    for (; w->read_old < to; w->read_old++) {
        size_t unique = w->letters ? 0 : w->read_old;
        char text[16];
        int len = snprintf(text, sizeof(text), "%u %zu", w->text[w->read_old], unique);
        overlap_old(&overlap, SLICE("c"), (struct slice){text, (size_t)len});
    }
}

static void read_new(struct world *w, size_t to)
{
    for (; w->read_new < to; w->read_new++) {
        size_t unique = w->letters ? 0 : w->read_new;
        char text[16];
        int len = snprintf(text, sizeof(text), "%u %zu", w->text[w->read_new], unique);
        overlap_new(&overlap, SLICE("c"), (struct slice){text, (size_t)len});
    }
}

/* A PING on each in turn, as feed.c sends them; returns how often, or -1 where it is not
 * known in the end. */
static int rounds(struct world *w, int most)
{
    for (int i = 1; i <= most; i++) {
        size_t old_has;
        publish(w, w->rate);
        old_has = w->n - (w->n - w->asked < w->late ? w->n - w->asked : w->late);
        read_old(w, old_has > w->read_old ? old_has : w->read_old);
        overlap_old_mark(&overlap);
        publish(w, w->rate);
        read_new(w, w->n);
        overlap_new_mark(&overlap);
        publish(w, w->rate);
        if (w->late == 0)
            read_old(w, w->read_old + dice((unsigned)(w->n - w->read_old) + 1));
        if (overlap_find(&overlap, &found) < 0)
            return -1;
        if (found.least == found.most && overlap.new.n > 0 && found.least < overlap.old.n)
            return i;
    }
    return -1;
}

static void world_begin(struct world *w, unsigned letters, unsigned rate, unsigned behind)
{
    *w = (struct world){.letters = letters, .rate = rate};
    publish(w, 20);
    w->asked = w->read_old = w->n;
    publish(w, behind); /* waits for the old one, and was published before the new one came */
    w->subscribed = w->read_new = w->n;
    overlap_begin(&overlap);
}

static void test_world(unsigned letters, unsigned rate, unsigned behind, int most, const char *what)
{
    int wrong = 0, unknown = 0, outside = 0, longest = 0;

    for (int i = 0; i < 3000; i++) {
        struct world w;
        size_t d;
        int n;
        world_begin(&w, letters, rate, behind);
        d = w.subscribed - w.asked;
        n = rounds(&w, most);
        unknown += n < 0;
        wrong += n > 0 && found.least != d;
        outside += found.least > d || found.most < d;
        longest = n > longest ? n : longest;
    }
    ok(wrong == 0 && outside == 0, "%s: %d wrong, %d outside, at most %d rounds", what, wrong,
       outside, longest);
    ok(unknown == 0, "%s: %d unknown", what, unknown);
}

static void test_late(void)
{
    int wrong = 0, unknown = 0;

    for (int i = 0; i < 3000; i++) {
        struct world w;
        int n;
        world_begin(&w, 0, 5, 200);
        w.late = 1 + dice(20);
        n = rounds(&w, 50);
        unknown += n < 0;
        wrong += n > 0 && found.least != w.subscribed - w.asked;
    }
    ok(wrong == 0 && unknown == 0, "a replica, always late: %d wrong, %d unknown", wrong, unknown);
}

/* Behind as many on each: they are the same from the first on. */
static void test_marker(void)
{
    overlap_begin(&overlap);
    for (int i = 0; i < 5; i++)
        put_old('a');
    for (int i = 0; i < 2; i++)
        put_new('a');
    overlap_marker(&overlap, 1, 1);
    ok(overlap_find(&overlap, &found) == 0 && found.least == 0 && found.most == 0,
       "a marker at the same place in both: %zu to %zu", found.least, found.most);
    overlap_begin(&overlap);
    for (int i = 0; i < 5; i++)
        put_old('a');
    for (int i = 0; i < 2; i++)
        put_new('a');
    overlap_marker(&overlap, 3, 1);
    ok(overlap_find(&overlap, &found) == 0 && found.least == 2 && found.most == 2,
       "and two later in the old one: %zu to %zu", found.least, found.most);
}

int main(void)
{
    test_letters();
    test_others();
    test_again();
    test_bounds();
    test_marker();
    test_world(0, 5, 2000, 3, "each is another");
    test_world(1, 1, 500, 100, "all the same");
    test_world(1, 3, 500, 400, "all the same, and many");
    test_world(2, 3, 500, 200, "two letters");
    test_world(3, 20, 500, 60, "three letters, and many");
    test_late();
    overlap_clear(&overlap);
    return tap_done();
}
