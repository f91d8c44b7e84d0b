/* What is freed is the system's again. */
#include "base/pages.h"

#include "tap.h"

#include <unistd.h>

#define ONE  (64UL * 1024 + 48)
#define MANY 500

/* Bytes of ours that are in memory. */
static long resident(void)
{
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%ld %ld", &size, &pages) != 2)
        abort();
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void test_given_back(void)
{
    static char *all[MANY];
    long before = resident(), full;
    int zero = 1;

    for (int i = 0; i < MANY; i++) {
        all[i] = pages_alloc(ONE);
        zero &= all[i] != NULL && all[i][0] == 0 && all[i][ONE - 1] == 0;
        memset(all[i], i, ONE);
    }
    ok(zero, "all of it is 0");
    full = resident() - before;
    ok(full >= MANY * (long)ONE, "it is there: %ld", full);
    for (int i = 0; i < MANY; i += 2)
        pages_free(all[i], ONE);
    if (!PAGES_WATCHED)
        ok(resident() - before < full * 2 / 3, "every other one is given back: %ld",
           resident() - before);
    for (int i = 1; i < MANY; i += 2)
        pages_free(all[i], ONE);
    if (!PAGES_WATCHED)
        ok(resident() - before < full / 3, "and so are the rest: %ld", resident() - before);
}

static void test_no_memory(void)
{
    volatile size_t much = (size_t)1 << 50;

    if (!PAGES_WATCHED)
        ok(pages_alloc(much) == NULL, "there is not so much");
}

int main(void)
{
    test_given_back();
    test_no_memory();
    return tap_done();
}
