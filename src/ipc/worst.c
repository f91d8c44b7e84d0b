#include "ipc/worst.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_BYTES (1 + WORST_ID_MAX + WORST_VALUES * sizeof(uint32_t))

const char *worst_text(const struct worst *worst, char dst[WORST_TEXT_MAX])
{
    uint8_t ip[16] = {0};
    char text[INET6_ADDRSTRLEN];

    memcpy(ip, worst->id, worst->len);
    if (worst->len == 4) {
        inet_ntop(AF_INET, ip, dst, WORST_TEXT_MAX);
    } else {
        inet_ntop(AF_INET6, ip, text, sizeof(text));
        (void)snprintf(dst, WORST_TEXT_MAX, "%s/64", text);
    }
    return dst;
}

static uint64_t weight(const struct worst *worst)
{
    return (uint64_t)worst->n[WORST_STRANGERS] + worst->n[WORST_REFUSED] +
           worst->n[WORST_TURNED_AWAY];
}

static int compare_ids(const void *left, const void *right)
{
    const struct worst *a = left, *b = right;

    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return memcmp(a->id, b->id, sizeof(a->id));
}

/* Those with as much in an order of their own, so that it is always the same. */
static int compare(const void *left, const void *right)
{
    const struct worst *a = left, *b = right;
    uint64_t of_a = weight(a), of_b = weight(b);

    if (of_a != of_b)
        return of_a > of_b ? -1 : 1;
    return compare_ids(a, b);
}

void worst_sort(struct worst *list, size_t n)
{
    if (n > 1)
        qsort(list, n, sizeof(*list), compare);
}

size_t worst_merge(struct worst *list, size_t n)
{
    size_t last = 0;

    if (n == 0)
        return 0;
    qsort(list, n, sizeof(*list), compare_ids);
    for (size_t i = 1; i < n; i++) {
        if (compare_ids(&list[last], &list[i]) != 0) {
            list[++last] = list[i];
            continue;
        }
        for (size_t k = 0; k < WORST_VALUES; k++)
            list[last].n[k] += list[i].n[k];
    }
    return last + 1;
}

/* --- on the pipe -------------------------------------------------------------- */

int worst_put(struct buf *out, uint32_t id, const struct worst *list, size_t n)
{
    size_t mark = msg_begin(out, MSG_SOURCES);

    assert(n <= WORST_MAX);
    msg_put_u32(out, id);
    msg_put_u32(out, (uint32_t)n);
    msg_put_u32(out, (uint32_t)(n * RECORD_BYTES)); /* "bytes" */
    for (size_t i = 0; i < n; i++) {
        msg_put_u8(out, list[i].len);
        for (size_t k = 0; k < WORST_ID_MAX; k++)
            msg_put_u8(out, list[i].id[k]);
        for (size_t k = 0; k < WORST_VALUES; k++)
            msg_put_u32(out, list[i].n[k]);
    }
    return msg_end(out, mark);
}

int worst_get(struct msg *msg, uint32_t *id, struct worst list[WORST_MAX], size_t *n)
{
    int bad = 0;

    *id = msg_get_u32(msg);
    *n = msg_get_u32(msg);
    if (*n > WORST_MAX || msg_get_u32(msg) != *n * RECORD_BYTES)
        return -1;
    for (size_t i = 0; i < *n; i++) {
        list[i].len = msg_get_u8(msg);
        bad |= list[i].len != 4 && list[i].len != WORST_ID_MAX;
        for (size_t k = 0; k < WORST_ID_MAX; k++)
            list[i].id[k] = msg_get_u8(msg);
        for (size_t k = 0; k < WORST_VALUES; k++)
            list[i].n[k] = msg_get_u32(msg);
    }
    return msg_close(msg) < 0 || bad ? -1 : 0;
}
