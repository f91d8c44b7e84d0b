#include "master/orders.h"

#include "master/route.h"

#include "nomem_nth.h"
#include "tap.h"

static struct orders orders;

static void put_type(uint32_t id, enum msg_type type, const char *room, const char *name,
                     unsigned lanes)
{
    struct slice rooms = slice_str(room), names = slice_str(name);
    const struct slices one = {.at = &rooms, .n = 1}, none = {.n = 0};
    const struct slices what = {.at = &names, .n = 1};
    struct route_targets targets = {.n = 0};
    struct gone_request request = {.type = type,
                                   .id = id,
                                   .rooms = &one,
                                   .except = &none,
                                   .names = &what,
                                   .seq = id * 10,
                                   .rooms_max = 7};

    for (unsigned lane = 1; lane <= lanes; lane++)
        targets.lanes[targets.n++] = (uint16_t)lane;
    orders_put(&orders, &request, &targets);
}

static void put(uint32_t id, unsigned lanes)
{
    put_type(id, MSG_JOIN, "room", "name", lanes);
}

/* "1 3": the ids of what that worker has not done. */
static const char *open_of(unsigned lane)
{
    static char text[256];
    const struct order *order = NULL;
    size_t n = 0;

    text[0] = '\0';
    while ((order = orders_next(&orders, order, lane)) != NULL)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u", n ? " " : "", order->request.id);
    return text;
}

static void test_order(void)
{
    const struct order *order;

    orders_init(&orders);
    is_str(open_of(1), "", "nothing is open");
    put(1, 2);
    put(2, 1);
    put(3, 2);
    put(4, 0);
    is_str(open_of(1), "1 2 3", "all that a worker was sent, in order");
    is_str(open_of(2), "1 3", "and another one");
    is_str(open_of(3), "", "one that was sent none has none");
    ok(orders_are_open(&orders, 2) && !orders_are_open(&orders, 3), "which is told");
    order = orders_next(&orders, NULL, 1);
    ok(order->request.type == MSG_JOIN && order->request.seq == 10 &&
           order->request.rooms_max == 7 && order->request.rooms->n == 1 &&
           order->request.except->n == 0 && slice_eq(order->request.rooms->at[0], SLICE("room")) &&
           slice_eq(order->request.names->at[0], SLICE("name")),
       "with all that it is");
    orders_acted(&orders, 2, 2);
    orders_acted(&orders, 9, 1);
    is_str(open_of(1), "1 2 3", "what one has not been sent it does not do");
    orders_acted(&orders, 1, 1);
    is_str(open_of(1), "2 3", "one has done it");
    is_str(open_of(2), "1 3", "the other has not");
    orders_acted(&orders, 1, 2);
    orders_acted(&orders, 1, 2);
    is_int((int)orders.table.count, 2, "when both have it is forgotten");
    orders_drop_lane(&orders, 1);
    is_str(open_of(1), "", "a worker that has gone does none");
    is_str(open_of(2), "3", "the others do");
    put_type(5, MSG_DISCONNECT, "", "is not looked at", 1);
    ok(orders_next(&orders, NULL, 1)->request.names->n == 0 &&
           orders_next(&orders, NULL, 1)->request.rooms->at[0].len == 0,
       "a disconnect has no names");
    orders_clear(&orders);
    is_int((int)orders.bytes, 0, "nothing is left");
}

static void test_many(void)
{
    static char name[1 << 20];

    orders_init(&orders);
    for (uint32_t id = 1; id <= ORDERS_MAX; id++)
        put(id, 1);
    ok(!orders_are_lost(&orders, 1), "as many as may be");
    put(ORDERS_MAX + 1, 2);
    put(ORDERS_MAX + 2, 1);
    is_int((int)orders.table.count, ORDERS_MAX, "one too many is not kept");
    ok(orders_are_lost(&orders, 1) && orders_are_lost(&orders, 2) && !orders_are_lost(&orders, 3),
       "that there was one is known");
    ok(orders_are_open(&orders, 2), "it is not done");
    orders_acted(&orders, 1, 1);
    ok(orders_are_lost(&orders, 1), "it is until it is done");
    orders_acted(&orders, ORDERS_MAX + 1, 1);
    ok(orders_are_lost(&orders, 1), "and the last of them");
    orders_acted(&orders, ORDERS_MAX + 2, 1);
    ok(!orders_are_lost(&orders, 1), "then all is known again");
    orders_drop_lane(&orders, 2);
    ok(!orders_are_open(&orders, 2), "a worker that has gone has lost none");
    orders_clear(&orders);
    orders_init(&orders);
    memset(name, 'x', sizeof(name) - 1);
    for (uint32_t id = 1; id <= 8; id++)
        put_type(id, MSG_LEAVE, "r", name, 1);
    ok(orders_are_lost(&orders, 1) && orders.table.count == 7 && orders.bytes <= ORDERS_BYTES_MAX,
       "nor are more bytes kept than may be");
    orders_clear(&orders);
    orders_init(&orders);
    nomem_nth = 1;
    put(1, 1);
    nomem_nth = 2;
    put(2, 2);
    nomem_nth = 0;
    ok(orders_are_lost(&orders, 1) && orders_are_lost(&orders, 2) && orders.table.count == 0,
       "nor is there without memory");
    orders_clear(&orders);
}

int main(void)
{
    test_order();
    test_many();
    return tap_done();
}
