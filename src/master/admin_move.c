#include "master/admin_move.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "master/admin.h"
#include "master/names.h"
#include "master/running.h"

int admin_move_is_none(const struct conf *a, const struct conf *b)
{
    return a->admin_port == b->admin_port && text_eq(a->admin_host, b->admin_host);
}

int admin_move_check(struct admin_move *move, const struct conf *wanted, const struct names *names)
{
    const struct conf *now = move->running->conf;
    struct buf error = {0};
    int ours, port, rc;

    if (wanted->admin_host == NULL || admin_move_is_none(now, wanted))
        return 0;
    ours = move->running->admin != NULL && wanted->admin_port == now->admin_port;
    port = ours ? 0 : wanted->admin_port;
    rc = admin_open(&move->listeners, wanted->admin_host, port, names, &error);
    if (rc < 0)
        log_event(ERROR, "configuration_error", "configuration[: {}]<: error>",
                  LOG_STRN("detail", (const char *)error.data, error.len));
    else if (ours && wanted->admin_port != 0)
        listen_close(&move->listeners, 1);
    buf_free(&error);
    return rc;
}

static int bind_to(struct admin_move *move, const struct conf *conf, const struct names *names)
{
    struct buf error = {0};
    int rc = 0;

    if (move->listeners.n == 0)
        rc = admin_open(&move->listeners, conf->admin_host, conf->admin_port, names, &error);
    if (rc < 0)
        log_event(ERROR, "admin_not_bound", "[{}]<the admin address cannot be bound>",
                  LOG_STRN("error", (const char *)error.data, error.len));
    buf_free(&error);
    return rc;
}

/* Where it serves now, for bind_to() to come back to without asking anybody. */
static void remember(const struct admin_move *move, const struct conf *was, struct names *names)
{
    struct buf bound = {0};

    if (move->running->admin == NULL)
        return;
    admin_addresses(move->running->admin, &bound);
    if (buf_putc(&bound, '\0') == 0)
        (void)names_put(names, was->admin_host, (const char *)bound.data);
    buf_free(&bound);
}

void admin_move_make(struct admin_move *move, const struct conf *was, struct names *names)
{
    struct running *running = move->running;
    const struct conf *conf = running->conf;

    if (admin_move_is_none(was, conf))
        return;
    remember(move, was, names);
    admin_free(&running->admin);
    if (conf->admin_host == NULL)
        return;
    if (bind_to(move, conf, names) < 0 &&
        (was->admin_host == NULL || bind_to(move, was, names) < 0))
        return;
    running->admin = admin_new(running->base, &move->listeners, running->stats, running->asking,
                               running->admin_ops, running->admin_arg);
    if (running->admin == NULL)
        log_event(ERROR, "admin_no_memory", "admin: out of memory");
}

void admin_move_clear(struct admin_move *move)
{
    listen_close(&move->listeners, 1);
}
