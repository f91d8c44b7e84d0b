/* The hour: its points, gaps and rates, whatever clocks and counters do. */
#include "master/trend.h"

#include "codec/json.h"
#include "master/sample.h"
#include "tap.h"

#include <math.h>

static struct trend *trend;
static struct buf out;
static struct sample sample;

/* A member of what was put, up to the next: "[1,2]" or "7". */
static const char *member(const char *name)
{
    static char value[20000];
    char key[32];
    const char *at, *end;

    snprintf(key, sizeof(key), "\"%s\":", name);
    at = strstr((const char *)out.data, key);
    if (at == NULL)
        return "none";
    at += strlen(key);
    end = *at == '[' ? strchr(at, ']') + 1 : at + strcspn(at, ",}");
    snprintf(value, sizeof(value), "%.*s", (int)(end - at), at);
    return value;
}

static void put(void (*how)(const struct trend *, uint64_t, int64_t, struct buf *), uint64_t now,
                int64_t wall)
{
    buf_reset(&out);
    how(trend, now, wall, &out);
    (void)buf_putc(&out, '\0');
    ok(json_span((const char *)out.data, out.len - 1) == (long)out.len - 1, "JSON");
}

static void hour(uint64_t now)
{
    put(trend_put_hour, now, 1000000 + (int64_t)now);
}

static void test_rates(void)
{
    trend = trend_new(5000);
    hour(5000);
    is_str(member("clients"), "[]", "no point yet");
    is_str(member("end"), "1005000", "which ends now");
    sample.at_ms = 15100; /* the workers took their time */
    sample.sum.at[COUNTER_CLIENTS] = 3;
    sample.users = 2;
    sample.received = 101;
    sample.sum.at[COUNTER_DELIVERIES] = 1010;
    sample.sum.at[COUNTER_SENT] = UINT64_C(1) << 53;
    sample.sum.at[COUNTER_LATENCY + 4] = 100;
    sample.messages_dropped[EMIT_MALFORMED] = 5;
    sample.requests_dropped[REQUEST_OK + 1] = 5;
    sample.sum.at[COUNTER_DROPPED] = 10;
    sample.sum.at[COUNTER_REFUSED] = 20;
    sample.sum.at[COUNTER_RENEWALS] = 1000; /* taken */
    is_int(trend_add(trend, &sample), 1, "a point");
    is_int(trend_add(trend, &sample), 0, "each once");
    sample.at_ms = 25000;
    sample.sum.at[COUNTER_CLIENTS] = 4;
    is_int(trend_add(trend, &sample), 1, "another");
    hour(25000);
    is_str(member("step"), "10", "seconds");
    is_str(member("end"), "1025000", "of the grid, and by the wall clock");
    is_str(member("clients"), "[3,4]", "how many there were");
    is_str(member("users"), "[2,2]", "and users");
    is_str(member("received"), "[10,0]", "a second");
    is_str(member("delivered"), "[100,0]", "by the time that has passed");
    is_str(member("dropped"), "[1.980198,0]", "of all causes");
    is_str(member("refused"), "[1.980198,0]", "what was taken is not refused");
    is_str(member("p50"), "[0.0075,null]", "in the middle of a bucket; or nothing");
    is_str(member("p99"), "[0.00995,null]", "towards its end");
    put(trend_put_point, 25000, 7);
    is_str(member("clients"), "4", "the last alone");
    is_str(member("end"), "7", "by whatever clock");
    trend_free(&trend);
}

static void test_clock(void)
{
    memset(&sample, 0, sizeof(sample));
    trend = trend_new(0);
    sample.at_ms = 10000;
    (void)trend_add(trend, &sample);
    put(trend_put_hour, 10000, -5000);
    is_str(member("end"), "-5000", "a clock before 1970");
    put(trend_put_hour, 12000, INT64_C(4102444800000));
    is_str(member("end"), "4102444798000", "or one far ahead");
    sample.at_ms = 9000;
    is_int(trend_add(trend, &sample), 0, "a sample of before is none");
    sample.at_ms = 14999;
    is_int(trend_add(trend, &sample), 0, "nor is one of the same step");
    sample.at_ms = 15000;
    is_int(trend_add(trend, &sample), 1, "the next one");
    trend_free(&trend);
}

static void test_gaps(void)
{
    memset(&sample, 0, sizeof(sample));
    trend = trend_new(0);
    sample.at_ms = 10000;
    sample.received = 100;
    (void)trend_add(trend, &sample);
    sample.at_ms = 50000;
    sample.received = 500;
    (void)trend_add(trend, &sample);
    hour(50000);
    is_str(member("received"), "[10,null,null,null,10]", "what is missing is null");
    is_str(member("clients"), "[0,null,null,null,0]", "in every column");
    sample.at_ms = 60000;
    sample.received = 400;
    sample.sum.at[COUNTER_LATENCY] = 5;
    (void)trend_add(trend, &sample);
    sample.at_ms = 70000;
    sample.received = 500;
    sample.sum.at[COUNTER_LATENCY] = 4;
    sample.sum.at[COUNTER_LATENCY + 1] = 8;
    (void)trend_add(trend, &sample);
    hour(70000);
    is_str(member("received"), "[10,null,null,null,10,null,10]", "so is what has gone back");
    is_str(member("p50"), "[null,null,null,null,null,0.00025,null]", "buckets, too");
    sample.at_ms = UINT64_C(100000000000);
    is_int(trend_add(trend, &sample), 1, "after years");
    hour(sample.at_ms);
    is_int(strlen(member("users")), 1 + 360 * 5 + 1 + 1, "there is nothing but gaps");
    trend_free(&trend);
}

static void test_long(void)
{
    memset(&sample, 0, sizeof(sample));
    trend = trend_new(0);
    for (unsigned i = 1; i <= 1000; i++) {
        sample.at_ms = i * UINT64_C(10000) + i % 7 * 60;
        sample.users = i;
        if (trend_add(trend, &sample) != 1)
            ok(0, "point %u", i);
    }
    hour(10000000);
    ok(strncmp(member("users"), "[640,641,", 9) == 0 && strstr(member("users"), ",999,1000]"),
       "the last hour, both ends included");
    is_str(member("end"), "11000000", "which ends with the last");
    ok(out.len < 40000, "%zu bytes", out.len);
    trend_free(&trend);
}

static const char *number(double value)
{
    buf_reset(&out);
    trend_put_number(value, &out);
    (void)buf_putc(&out, '\0');
    return (const char *)out.data;
}

static void test_numbers(void)
{
    is_str(number(1.0 / 3), "0.333333", "rounded");
    is_str(number(NAN), "null", "none");
    is_str(number(INFINITY), "null", "none either");
    is_str(number(1e300), "1e+300", "large");
    is_str(number(0.0000004), "0", "next to nothing");
}

int main(void)
{
    test_rates();
    test_clock();
    test_gaps();
    test_long();
    test_numbers();
    buf_free(&out);
    return tap_done();
}
