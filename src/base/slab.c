#include "base/slab.h"

#include "base/pages.h"

#include <stdint.h>
#include <stdlib.h>

#define PAGE_BYTES 4096 /* where a page of the system's begins one of these does */
#define AT_ONCE    16   /* pages that are asked for */

struct slab_piece {
    struct slab_piece *next;
};

struct slab_page {                 /* at its beginning */
    struct slab_page *prev, *next; /* among those of partial */
    struct slab_piece *free;
    uint32_t n;   /* pieces in use */
    uint32_t end; /* no piece has been in use from there on */
};

#define FIRST ((uint32_t)((sizeof(struct slab_page) + SLAB_STEP - 1) / SLAB_STEP * SLAB_STEP))

static size_t class_of(size_t size)
{
    return (size - 1) / SLAB_STEP;
}

static size_t bytes_of(size_t class)
{
    return (class + 1) * SLAB_STEP;
}

/* Where a sanitizer watches what is freed, and for large ones. */
static int is_plain(size_t size)
{
    return PAGES_WATCHED || size > SLAB_SIZE_MAX;
}

static int is_full(const struct slab_page *page, size_t class)
{
    return page->free == NULL && page->end + bytes_of(class) > PAGE_BYTES;
}

static void list_put(struct slab *slab, struct slab_page *page, size_t class)
{
    page->prev = NULL;
    page->next = slab->partial[class];
    if (page->next != NULL)
        page->next->prev = page;
    slab->partial[class] = page;
}

static void list_take(struct slab *slab, struct slab_page *page, size_t class)
{
    *(page->prev != NULL ? &page->prev->next : &slab->partial[class]) = page->next;
    if (page->next != NULL)
        page->next->prev = page->prev;
}

/* NULL without memory. */
static void *page_fresh(struct slab *slab)
{
    void *page;

    if (slab->nfresh == 0) {
        if ((slab->fresh = pages_alloc((size_t)AT_ONCE * PAGE_BYTES)) == NULL)
            return NULL;
        slab->nfresh = AT_ONCE;
    }
    page = slab->fresh;
    slab->fresh += PAGE_BYTES;
    slab->nfresh--;
    return page;
}

static struct slab_page *page_new(struct slab *slab, size_t class)
{
    struct slab_page *page = slab->spare;

    slab->spare = NULL;
    if (page == NULL) {
        if ((page = page_fresh(slab)) == NULL)
            return NULL;
        slab->pages++;
    }
    *page = (struct slab_page){.end = FIRST};
    list_put(slab, page, class);
    return page;
}

/* One is kept, so that a piece that comes and goes costs no call. */
static void page_free(struct slab *slab, struct slab_page *page)
{
    if (slab->spare == NULL) {
        slab->spare = page;
        return;
    }
    pages_free(page, PAGE_BYTES);
    slab->pages--;
}

void slab_clear(struct slab *slab)
{
    if (slab->spare != NULL)
        pages_free(slab->spare, PAGE_BYTES);
    if (slab->nfresh > 0)
        pages_free(slab->fresh, slab->nfresh * PAGE_BYTES);
    *slab = (struct slab){.spare = NULL};
}

void *slab_alloc(struct slab *slab, size_t size)
{
    size_t class = class_of(size);
    struct slab_page *page;
    void *at;

    if (is_plain(size))
        return malloc(size);
    page = slab->partial[class];
    if (page == NULL && (page = page_new(slab, class)) == NULL)
        return NULL;
    at = page->free;
    if (at != NULL) {
        page->free = page->free->next;
    } else {
        at = (char *)page + page->end;
        page->end += (uint32_t)bytes_of(class);
    }
    page->n++;
    if (is_full(page, class))
        list_take(slab, page, class);
    return at;
}

void slab_free(struct slab *slab, void *at, size_t size)
{
    size_t class = class_of(size);
    struct slab_piece *piece = at;
    struct slab_page *page;

    if (at == NULL || is_plain(size)) {
        free(at);
        return;
    }
    page = (struct slab_page *)(void *)((char *)at - (uintptr_t)at % PAGE_BYTES);
    if (is_full(page, class))
        list_put(slab, page, class);
    piece->next = page->free;
    page->free = piece;
    if (--page->n > 0)
        return;
    list_take(slab, page, class);
    page_free(slab, page);
}
