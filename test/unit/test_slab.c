#include "base/slab.h"

#include "base/pages.h"

#include "tap.h"

void *__real_pages_alloc(size_t size);
void *__wrap_pages_alloc(size_t size);

static int nomem; /* 1: the system has none */

void *__wrap_pages_alloc(size_t size)
{
    return nomem ? NULL : __real_pages_alloc(size);
}

static struct slab slab;

static void test_pages(void)
{
    void *at[200];
    size_t most;
    int apart = 1;

    for (int i = 0; i < 200; i++)
        if ((at[i] = slab_alloc(&slab, 100)) == NULL)
            abort();
    most = slab.pages;
    ok(PAGES_WATCHED || (most >= 200 * 112 / 4096 && most <= 200 * 112 / 4096 + 2),
       "pieces are one behind the other");
    for (int i = 0; i < 200; i++)
        for (int k = 0; k < i; k++)
            apart &= (char *)at[i] + 100 <= (char *)at[k] || (char *)at[k] + 100 <= (char *)at[i];
    ok(apart, "and apart");
    for (int i = 0; i < 200; i += 2)
        slab_free(&slab, at[i], 100);
    for (int i = 0; i < 200; i += 2)
        at[i] = slab_alloc(&slab, 97);
    is_int((int)slab.pages, (int)most, "what is free is used again");
    for (int i = 0; i < 200; i++)
        slab_free(&slab, at[i], 100);
    ok(slab.pages <= 1, "when all has gone the system has it, but for a page");
    at[0] = slab_alloc(&slab, 16);
    ok(slab.pages <= 1 && slab.spare == NULL, "which is for another size, too");
    slab_free(&slab, at[0], 16);
    slab_free(&slab, NULL, 16);
    slab_clear(&slab);
    is_int((int)slab.pages, 0, "in the end, that as well");
}

static void test_sizes(void)
{
    int good = 1;

    for (size_t size = 1; size <= SLAB_SIZE_MAX + 20; size++) {
        unsigned char *at = slab_alloc(&slab, size);
        unsigned char *other = slab_alloc(&slab, size);

        if (at == NULL || other == NULL)
            abort();
        memset(at, 0xaa, size);
        memset(other, 0x55, size);
        good &= (uintptr_t)at % 16 == 0 && (uintptr_t)other % 16 == 0;
        for (size_t i = 0; i < size; i++)
            good &= at[i] == 0xaa;
        slab_free(&slab, at, size);
        for (size_t i = 0; i < size; i++)
            good &= other[i] == 0x55;
        slab_free(&slab, other, size);
    }
    ok(good, "any size");
    ok(slab.pages <= 1, "one page was enough");
    slab_clear(&slab);
}

enum { MANY = 3000 };

static void test_churn(void)
{
    static struct {
        unsigned char *at;
        size_t size;
        unsigned char is;
    } all[MANY];
    unsigned seed = 4711, bad = 0;

    for (unsigned i = 0; i < 300000; i++) {
        unsigned k;

        seed = seed * 1103515245 + 12345;
        k = (seed >> 8) % MANY;
        if (all[k].at != NULL) {
            bad += all[k].at[0] != all[k].is || all[k].at[all[k].size - 1] != all[k].is;
            slab_free(&slab, all[k].at, all[k].size);
            all[k].at = NULL;
        } else if ((seed >> 28) < (i < 150000 ? 15 : 4)) {
            all[k].size = 1 + (seed >> 4) % 600;
            all[k].is = (unsigned char)i;
            if ((all[k].at = slab_alloc(&slab, all[k].size)) == NULL)
                abort();
            memset(all[k].at, all[k].is, all[k].size);
        }
    }
    ok(PAGES_WATCHED || slab.pages > 10, "pieces come and go");
    for (int k = 0; k < MANY; k++) {
        bad += all[k].at != NULL && all[k].at[0] != all[k].is;
        slab_free(&slab, all[k].at, all[k].size);
    }
    ok(bad == 0 && slab.pages <= 1, "each keeps what is in it, and nothing is left");
    slab_clear(&slab);
}

static void test_memory(void)
{
    static void *more[1000];
    void *one = slab_alloc(&slab, 64), *other;
    int n = 0;

    nomem = 1;
    other = slab_alloc(&slab, 64);
    ok(other != NULL, "a page that is there needs none");
    while (!PAGES_WATCHED && n < 1000 && (more[n] = slab_alloc(&slab, 512)) != NULL)
        n++;
    ok(PAGES_WATCHED || (n > 16 && n < 1000), "without memory there is an end");
    nomem = 0;
    slab_free(&slab, one, 64);
    slab_free(&slab, other, 64);
    while (n > 0)
        slab_free(&slab, more[--n], 512);
    ok(slab.pages <= 1, "and all goes");
    slab_clear(&slab);
}

int main(void)
{
    test_pages();
    test_sizes();
    test_churn();
    test_memory();
    return tap_done();
}
