#include "net/wheel.h"

#include "base/clock.h"
#include "tap.h"

#include <event2/event.h>

#define N 2000

struct item {
    struct wheel_entry entry;
    uint64_t due_ms, fired_ms;
    int times;
};

static struct item items[N];
static struct wheel *wheel;
static int left;
static uint64_t tick_ms, lost_ms; /* the last tick; what was lost between them: we were not run */

static void on_fire(struct wheel_entry *entry, uint64_t now_ms, void *arg)
{
    struct item *item = (struct item *)(void *)entry;

    (void)now_ms;
    item->fired_ms = clock_ms();
    item->times++;
    if (item == &items[3]) /* takes back another that is due in the same turn */
        wheel_unset(wheel, &items[4].entry);
    if (item == &items[5] && item->times < 3) {
        item->due_ms = item->fired_ms + 20;
        wheel_set(wheel, entry, item->due_ms);
        return;
    }
    if (--left == 0)
        event_base_loopbreak(arg);
}

#define TICK_MS 10

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    uint64_t now = clock_ms();

    (void)fd, (void)what, (void)arg;
    lost_ms += now - tick_ms > TICK_MS ? now - tick_ms - TICK_MS : 0;
    tick_ms = now;
}

int main(void)
{
    const struct timeval often = {0, TICK_MS * 1000L};
    struct event_base *base = event_base_new();
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    uint64_t start;
    int early = 0, late = 0, wrong = 0;

    wheel = wheel_new(base, on_fire, base);
    start = clock_ms();
    srand(1);
    for (int i = 0; i < N; i++) {
        items[i].due_ms = start + (uint64_t)(rand() % 400);
        wheel_set(wheel, &items[i].entry, items[i].due_ms);
    }
    items[3].due_ms = items[4].due_ms = start + 104;
    /* Linked last, so that 3 comes first of the two. */
    wheel_set(wheel, &items[4].entry, items[4].due_ms);
    wheel_set(wheel, &items[3].entry, items[3].due_ms);
    items[7].due_ms = start + 500; /* moved to later */
    wheel_set(wheel, &items[7].entry, items[7].due_ms);
    wheel_unset(wheel, &items[8].entry);
    wheel_unset(wheel, &items[8].entry);
    items[9].due_ms = 0; /* long past */
    wheel_set(wheel, &items[9].entry, 0);
    left = N - 2;
    tick_ms = start;
    event_add(tick, &often);
    event_base_dispatch(base);
    on_tick(-1, 0, NULL);
    event_free(tick);
    for (int i = 0; i < N; i++) {
        if (i == 4 || i == 8)
            wrong += items[i].times != 0;
        else
            wrong += items[i].times != (i == 5 ? 3 : 1);
        early += items[i].times > 0 && items[i].fired_ms < items[i].due_ms;
        late +=
            items[i].times > 0 && i != 9 && items[i].fired_ms > items[i].due_ms + lost_ms + 1000;
    }
    is_int(wrong, 0, "each fires once, but those that were unset");
    is_int(early, 0, "none too early");
    is_int(late, 0, "none a second later than we were run");

    /* Beyond one turn of the wheel: the bucket comes by early and must wait. */
    wheel_set(wheel, &items[0].entry, clock_ms() + 4096ULL * WHEEL_TICK_MS + 8);
    items[1].due_ms = clock_ms() + 60;
    wheel_set(wheel, &items[1].entry, items[1].due_ms);
    left = 1;
    event_base_dispatch(base);
    is_int(items[0].times, 1, "an entry beyond a turn does not fire with its bucket");
    is_int(items[1].times, 2, "the other does");
    wheel_unset(wheel, &items[0].entry);
    wheel_free(&wheel);
    ok(wheel == NULL, "freed");
    event_base_free(base);
    return tap_done();
}
