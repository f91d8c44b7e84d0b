#include "master/orders.h"

#include "master/route.h"

#include <stdlib.h>
#include <string.h>

void orders_init(struct orders *orders)
{
    memset(orders, 0, sizeof(*orders));
    table_init(&orders->table);
}

static void drop(struct orders *orders, struct order *order)
{
    table_remove(&orders->table, &order->node);
    *(order->prev != NULL ? &order->prev->next : &orders->first) = order->next;
    *(order->next != NULL ? &order->next->prev : &orders->last) = order->prev;
    orders->bytes -= order->bytes;
    free(order);
}

void orders_clear(struct orders *orders)
{
    while (orders->first != NULL)
        drop(orders, orders->first);
    table_clear(&orders->table);
}

static size_t list_bytes(const struct slices *list)
{
    size_t bytes = list->n * sizeof(struct slice);

    for (size_t i = 0; i < list->n; i++)
        bytes += list->at[i].len;
    return bytes;
}

/* What names has, with items and bytes of its own from *items and *at on. */
static struct slices list_copy(const struct slices *list, struct slice **items, char **at)
{
    struct slices copy = {.at = *items, .n = list->n};

    for (size_t i = 0; i < list->n; i++) {
        struct slice from = list->at[i];

        if (from.len > 0)
            memcpy(*at, from.ptr, from.len);
        *(*items)++ = (struct slice){*at, from.len};
        *at += from.len;
    }
    return copy;
}

/* In one piece: the order, the items of its lists, their bytes. */
static struct order *copy(const struct gone_request *request)
{
    static const struct slices none;
    const struct slices *lists[3] = {request->rooms, request->except,
                                     request->type != MSG_DISCONNECT ? request->names : &none};
    size_t bytes = sizeof(struct order), n = 0;
    struct order *order;
    struct slice *items;
    char *at;

    for (int i = 0; i < 3; i++) {
        bytes += list_bytes(lists[i]);
        n += lists[i]->n;
    }
    if ((order = calloc(1, bytes)) == NULL)
        return NULL;
    order->bytes = bytes;
    order->request = *request;
    items = (struct slice *)(void *)(order + 1);
    at = (char *)(items + n);
    for (int i = 0; i < 3; i++)
        order->lists[i] = list_copy(lists[i], &items, &at);
    order->request.rooms = &order->lists[0];
    order->request.except = &order->lists[1];
    order->request.names = &order->lists[2];
    return order;
}

/* NULL where there are as many as may be, or is no memory. */
static struct order *make(struct orders *orders, const struct gone_request *request)
{
    struct order *order = orders->table.count < ORDERS_MAX ? copy(request) : NULL;

    if (order == NULL)
        return NULL;
    order->node = (struct table_node){.key = (const char *)&order->request.id,
                                      .key_len = sizeof(order->request.id)};
    if (orders->bytes + order->bytes > ORDERS_BYTES_MAX ||
        table_insert(&orders->table, &order->node) < 0) {
        free(order);
        return NULL;
    }
    orders->bytes += order->bytes;
    order->prev = orders->last;
    *(orders->last != NULL ? &orders->last->next : &orders->first) = order;
    orders->last = order;
    return order;
}

void orders_put(struct orders *orders, const struct gone_request *request,
                const struct route_targets *targets)
{
    struct order *order = targets->n > 0 ? make(orders, request) : NULL;

    for (size_t i = 0; i < targets->n; i++) {
        unsigned lane = targets->lanes[i];

        if (order == NULL) {
            orders->lost[lane] = request->id;
            continue;
        }
        laneset_put(&order->waiting, lane);
        orders->waiting[lane]++;
    }
}

static void said(struct orders *orders, struct order *order, unsigned lane)
{
    if (!laneset_take(&order->waiting, lane))
        return;
    orders->waiting[lane]--;
    if (order->waiting.n == 0)
        drop(orders, order);
}

void orders_acted(struct orders *orders, uint32_t id, unsigned lane)
{
    struct table_node *node = table_find(&orders->table, (const char *)&id, sizeof(id));

    if (orders->lost[lane] == id)
        orders->lost[lane] = 0;
    if (node != NULL)
        said(orders, (struct order *)node, lane);
}

void orders_drop_lane(struct orders *orders, unsigned lane)
{
    struct order *next;

    for (struct order *order = orders->first; order != NULL && orders->waiting[lane] > 0;
         order = next) {
        next = order->next;
        said(orders, order, lane);
    }
    orders->lost[lane] = 0;
}

int orders_are_open(const struct orders *orders, unsigned lane)
{
    return orders->waiting[lane] > 0 || orders->lost[lane] != 0;
}

int orders_are_lost(const struct orders *orders, unsigned lane)
{
    return orders->lost[lane] != 0;
}

const struct order *orders_next(const struct orders *orders, const struct order *order,
                                unsigned lane)
{
    const struct order *next = order != NULL ? order->next : orders->first;

    if (orders->waiting[lane] == 0)
        return NULL;
    while (next != NULL && !laneset_has(&next->waiting, lane))
        next = next->next;
    return next;
}
