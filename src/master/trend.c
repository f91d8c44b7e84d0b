#include "master/trend.h"

#include "codec/json.h"
#include "master/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS, USERS, CONNECTIONS, STRANGERS, GAUGES };
enum { RECEIVED, DELIVERED, CONNECTED, DISCONNECTED, BYTES_OUT, DROPPED, REFUSED, TOTALS };
enum { RATES = GAUGES, P50 = RATES + TOTALS, P99, TREND_COLUMNS };

static const char *const names[TREND_COLUMNS] = {
    [CLIENTS] = "clients",
    [USERS] = "users",
    [CONNECTIONS] = "connections",
    [STRANGERS] = "strangers",
    [RATES + RECEIVED] = "received",
    [RATES + DELIVERED] = "delivered",
    [RATES + CONNECTED] = "connected",
    [RATES + DISCONNECTED] = "disconnected",
    [RATES + BYTES_OUT] = "bytesOut",
    [RATES + DROPPED] = "dropped",
    [RATES + REFUSED] = "refused",
    [P50] = "p50",
    [P99] = "p99",
};

/* Of the last sample. */
struct totals {
    uint64_t at_ms;
    uint64_t n[TOTALS];
    uint64_t latency[LATENCY_BUCKETS];
};

struct trend {
    uint64_t began_ms;
    uint64_t step; /* of the last point, from 0 at began_ms */
    unsigned n, next;
    struct totals last;
    double at[TREND_POINTS][TREND_COLUMNS];
};

struct trend *trend_new(uint64_t now_ms)
{
    struct trend *trend = calloc(1, sizeof(*trend));

    if (trend == NULL)
        return NULL;
    trend->began_ms = trend->last.at_ms = now_ms;
    return trend;
}

void trend_free(struct trend **trendp)
{
    free(*trendp);
    *trendp = NULL;
}

/* --- points --------------------------------------------------------------------- */

static void totals_take(struct totals *totals, const struct sample *sample)
{
    const uint64_t *at = sample->sum.at;

    totals->at_ms = sample->at_ms;
    totals->n[RECEIVED] = sample->received;
    totals->n[DELIVERED] = at[COUNTER_DELIVERIES];
    totals->n[CONNECTED] = at[COUNTER_CONNECTS];
    totals->n[DISCONNECTED] = sample_causes_total(sample, CAUSE_CLOSE);
    totals->n[BYTES_OUT] = at[COUNTER_SENT];
    totals->n[DROPPED] = sample_causes_total(sample, CAUSE_DROP);
    totals->n[REFUSED] = sample_causes_total(sample, CAUSE_REFUSAL);
    memcpy(totals->latency, at + COUNTER_LATENCY, sizeof(totals->latency));
}

static double *point_next(struct trend *trend)
{
    double *point = trend->at[trend->next];

    trend->next = (trend->next + 1) % TREND_POINTS;
    if (trend->n < TREND_POINTS)
        trend->n++;
    return point;
}

static void gap(struct trend *trend, uint64_t steps)
{
    for (uint64_t i = 0; i < steps && i < TREND_POINTS; i++) {
        double *point = point_next(trend);
        for (unsigned k = 0; k < TREND_COLUMNS; k++)
            point[k] = NAN;
    }
}

int trend_add(struct trend *trend, const struct sample *sample)
{
    uint64_t step;
    struct totals now;
    double *point;

    if (sample->at_ms <= trend->last.at_ms)
        return 0;
    step = (sample->at_ms - trend->began_ms + TREND_STEP_MS / 2) / TREND_STEP_MS;
    if (step <= trend->step)
        return 0;
    totals_take(&now, sample);
    gap(trend, step - trend->step - 1);
    point = point_next(trend);
    point[CLIENTS] = (double)sample->sum.at[COUNTER_CLIENTS];
    point[USERS] = (double)sample->users;
    point[CONNECTIONS] = (double)sample->sum.at[COUNTER_CONNECTIONS];
    point[STRANGERS] = (double)sample_strangers(&sample->sum);
    for (unsigned i = 0; i < TOTALS; i++)
        point[RATES + i] = sample_rate(now.n[i], trend->last.n[i], now.at_ms - trend->last.at_ms);
    point[P50] = sample_quantile(now.latency, trend->last.latency, 0.5);
    point[P99] = sample_quantile(now.latency, trend->last.latency, 0.99);
    trend->step = step;
    trend->last = now;
    return 1;
}

/* --- as JSON -------------------------------------------------------------------- */

void trend_put_number(double value, struct buf *out)
{
    (void)json_put_double(out, round(value * 1e6) / 1e6);
}

static void put_head(const struct trend *trend, uint64_t now_ms, int64_t wall_ms, struct buf *out)
{
    uint64_t end_ms = trend->began_ms + trend->step * TREND_STEP_MS;

    (void)buf_printf(out, "{\"step\":%d,\"end\":%lld", TREND_STEP_MS / 1000,
                     (long long)(wall_ms - (int64_t)(now_ms - end_ms)));
}

void trend_put_hour(const struct trend *trend, uint64_t now_ms, int64_t wall_ms, struct buf *out)
{
    unsigned first = (trend->next + TREND_POINTS - trend->n) % TREND_POINTS;

    put_head(trend, now_ms, wall_ms, out);
    for (unsigned k = 0; k < TREND_COLUMNS; k++) {
        (void)buf_printf(out, ",\"%s\":[", names[k]);
        for (unsigned i = 0; i < trend->n; i++) {
            if (i > 0)
                (void)buf_putc(out, ',');
            trend_put_number(trend->at[(first + i) % TREND_POINTS][k], out);
        }
        (void)buf_putc(out, ']');
    }
    (void)buf_putc(out, '}');
}

void trend_put_point(const struct trend *trend, uint64_t now_ms, int64_t wall_ms, struct buf *out)
{
    const double *point = trend->at[(trend->next + TREND_POINTS - 1) % TREND_POINTS];

    put_head(trend, now_ms, wall_ms, out);
    for (unsigned k = 0; k < TREND_COLUMNS; k++) {
        (void)buf_printf(out, ",\"%s\":", names[k]);
        trend_put_number(point[k], out);
    }
    (void)buf_putc(out, '}');
}
