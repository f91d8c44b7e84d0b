#include "master/throttle.h"

#include "base/clock.h"

#include "tap.h"

#include <event2/event.h>

static struct event_base *base;
static struct throttle throttle;
static int is_behind, asked, resumed;
static uint64_t now_ms = 1000;
static unsigned each_ms; /* that a question takes */

uint64_t clock_ms(void)
{
    return now_ms;
}

static int on_behind(void *arg)
{
    (void)arg;
    asked++;
    now_ms += each_ms;
    return is_behind;
}

static void on_resume(void *arg)
{
    (void)arg;
    resumed++;
}

static const struct throttle_ops ops = {on_behind, on_resume};

static void begin(int behind)
{
    is_behind = behind;
    asked = resumed = 0;
    if (throttle_init(&throttle, base, &ops, NULL) < 0)
        abort();
}

static void test_bytes(void)
{
    begin(0);
    is_int(throttle_handed(&throttle, THROTTLE_ASK_BYTES - 1), 0, "one byte less than much");
    is_int(asked, 0, "nobody is asked");
    is_int(throttle_handed(&throttle, 1), 0, "with it somebody is");
    ok(asked == 1 && !throttle_rests(&throttle), "and nobody is behind");
    is_int(throttle_handed(&throttle, THROTTLE_ASK_BYTES - 1), 0, "then it counts anew");
    is_int(asked, 1, "up to as much");
    is_int(throttle_handed(&throttle, 10 * THROTTLE_ASK_BYTES), 0, "at once, or more");
    is_int(asked, 2, "it is asked once");
    throttle_clear(&throttle);
}

static void test_rest(void)
{
    begin(1);
    is_int(throttle_handed(&throttle, THROTTLE_ASK_BYTES), 1, "somebody is behind: a rest begins");
    ok(throttle_rests(&throttle) && resumed == 0, "and lasts");
    is_int(throttle_handed(&throttle, THROTTLE_ASK_BYTES), 0, "what is handed on begins no other");
    event_base_loop(base, EVLOOP_ONCE);
    ok(throttle_rests(&throttle) && asked == 2, "it is asked again");
    is_behind = 0;
    event_base_loop(base, EVLOOP_ONCE);
    ok(!throttle_rests(&throttle) && resumed == 1, "over when nobody is behind");
    is_behind = 1;
    is_int(throttle_handed(&throttle, THROTTLE_ASK_BYTES), 1, "and there may be another");
    throttle_clear(&throttle);
}

static void test_long(void)
{
    uint64_t start = now_ms, ms;

    each_ms = 10;
    begin(1);
    (void)throttle_handed(&throttle, THROTTLE_ASK_BYTES);
    event_base_dispatch(base); /* until nothing is to come */
    ms = now_ms - start;
    ok(!throttle_rests(&throttle) && resumed == 1, "whoever stays behind is waited for");
    ok(ms >= THROTTLE_MAX_MS, "as long as may be (%llu ms)", (unsigned long long)ms);
    ok(asked >= 2 && asked <= 2 + THROTTLE_MAX_MS / 10, "and asked now and then");
    throttle_clear(&throttle);
}

int main(void)
{
    base = event_base_new();
    test_bytes();
    test_rest();
    test_long();
    event_base_free(base);
    return tap_done();
}
