#include "master/admin_routes.h"

#include "master/metrics.h"
#include "master/stats.h"

#include <stdlib.h>
#include <string.h>

#define TEXT "text/plain; version=0.0.4; charset=utf-8"

/* One who waits until they have said it. */
struct count {
    struct stats_wait wait;
    struct caller *caller;
    const struct admin_desk *desk;
    int (*put)(const struct status *status, struct buf *out); /* the body; returns the status */
    const char *type;
};

/* Valid until the next call. */
static const struct status *status_take(const struct admin_desk *desk)
{
    static struct status status; /* 10 KB; one process, one thread, no reentry */

    memset(&status, 0, sizeof(status));
    status.stats = desk->stats;
    desk->ops->status(&status, desk->arg);
    return &status;
}

static int put_status(const struct status *status, struct buf *out)
{
    status_put(status, out);
    return 200;
}

static int put_metrics(const struct status *status, struct buf *out)
{
    metrics_put(status, out);
    return 200;
}

static int put_health(const struct status *status, struct buf *out)
{
    return status_put_health(status, out) ? 200 : 503;
}

static void on_counted(void *arg)
{
    struct count *count = arg;
    struct buf body = {0};
    int status = count->put(status_take(count->desk), &body);

    caller_answer(count->caller, status, count->type, NULL, &body);
    free(count);
}

static void on_gone(void *arg)
{
    struct count *count = arg;

    stats_cancel(count->desk->stats, &count->wait);
    free(count);
}

/* The workers are asked; the answer follows when all have said it, or have had their time. */
static void answer_counted(const struct admin_call *call, const char *type,
                           int (*put)(const struct status *status, struct buf *out))
{
    struct count *count = calloc(1, sizeof(*count));

    if (count == NULL) {
        caller_refuse(call->caller, 503, NULL, "out of memory");
        return;
    }
    *count =
        (struct count){{.done = on_counted, .arg = count}, call->caller, call->desk, put, type};
    caller_wait(call->caller, CALLER_WRITE_MS, on_gone, count);
    stats_ask(call->desk->stats, &count->wait);
}

void admin_status(const struct admin_call *call)
{
    answer_counted(call, CALLER_JSON, put_status);
}

void admin_metrics(const struct admin_call *call)
{
    answer_counted(call, TEXT, put_metrics);
}

void admin_health(const struct admin_call *call)
{
    answer_counted(call, CALLER_JSON, put_health);
}

void admin_live(const struct admin_call *call)
{
    struct buf body = {0};

    (void)buf_puts(&body, "{\"status\":\"ok\"}\n");
    caller_answer(call->caller, 200, CALLER_JSON, NULL, &body);
}

void admin_events(const struct admin_call *call)
{
    const struct admin_desk *desk = call->desk;

    if (desk->ops->watch != NULL)
        desk->ops->watch(call->caller, desk->arg);
    else
        caller_refuse(call->caller, 404, NULL, NULL);
}
