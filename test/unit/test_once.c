#include "codec/once.h"

#include "nomem.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

#define MANY 5000

static struct once once;
static struct slices list;

static int put(const char *name, size_t len)
{
    return once_put(&once, &list, (struct slice){name, len});
}

static void test_few(void)
{
    once_begin(&once, &list);
    is_int(put("b", 1), 1, "the first is put in");
    is_int(put("a", 1), 1, "another");
    is_int(put("b", 1), 0, "one that is there is not");
    is_int(put("", 0), 1, "the empty name is a name");
    is_int(put(NULL, 0), 0, "and one only");
    is_int(put("bb", 2), 1, "what begins the same is another");
    is_int(put("b\0", 2), 1, "also by a NUL");
    is_int((long)list.n, 5, "each is there once");
    ok(slice_eq(list.at[0], SLICE("b")) && slice_eq(list.at[3], SLICE("bb")), "in order");
    once_begin(&once, &list);
    is_int((long)list.n, 0, "begun again: empty");
    is_int(put("b", 1), 1, "with nothing remembered");
}

/* Twice the same many; returns how many were put in the second time. */
static long put_all(const char (*names)[8], int n)
{
    long again = 0;

    once_begin(&once, &list);
    for (int i = 0; i < n; i++)
        if (put(names[i], strlen(names[i])) != 1)
            return -1;
    for (int i = 0; i < n; i++)
        again += put(names[i], strlen(names[i]));
    return again;
}

static void test_many(void)
{
    static char names[MANY][8];
    static const int counts[] = {7, 8, 9, 15, 16, 17, 4096, MANY, 10, 33};

    for (int i = 0; i < MANY; i++)
        snprintf(names[i], sizeof(names[i]), "u%d", i);
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        is_int(put_all(names, counts[i]), 0, "each once");
        is_int((long)list.n, counts[i], "and all of them");
    }
    int wrong = 0;
    put_all(names, MANY);
    for (int i = 0; i < MANY; i++)
        wrong += !slice_eq(list.at[i], slice_str(names[i]));
    is_int(wrong, 0, "in the order in which they came");
}

static void test_memory(void)
{
    static const char names[] = "abcdefghijklmnopqrstuvwxyz";

    once_clear(&once);
    slices_clear(&list);
    once_begin(&once, &list);
    nomem = 1;
    is_int(put(names, 1), -1, "no memory for the list");
    for (int i = 0; i < 8; i++)
        put(names + i, 1);
    nomem = 1;
    is_int(put(names + 8, 1), -1, "no memory to remember more than a few");
    is_int((long)list.n, 8, "those stay");
    for (int i = 0; i < 26; i++)
        put(names + i, 1);
    is_int((long)list.n, 26, "with memory it goes on");
    once_clear(&once);
    slices_clear(&list);
}

int main(void)
{
    test_few();
    test_many();
    test_memory();
    return tap_done();
}
