#include "master/health.h"

#include "master/check.h"
#include "master/http_get.h"

#include <stdio.h>

#define ASK_MS 4000 /* the daemon waits for its workers for half a second */

static int ask_daemon(const struct conf *conf, int live, struct buf *error)
{
    struct buf body = {0};
    int status = -1;

    if (conf->admin_host == NULL)
        (void)buf_puts(error, "admin:host or admin:port is \"off\": there is nobody to ask");
    else if (conf->admin_port == 0)
        (void)buf_puts(error, "admin:port is 0: where the daemon listens only its log says");
    else
        status = http_get(conf->admin_host, conf->admin_port, live ? "/health/live" : "/health",
                          ASK_MS, &body, error);
    if (status >= 0) {
        (void)fwrite(body.data, 1, body.len, stdout);
        if (body.len > 0 && body.data[body.len - 1] != '\n')
            (void)putchar('\n');
        if (check_flushed() < 0)
            status = -1;
    }
    buf_free(&body);
    return status == 200 ? 0 : 1;
}

int health_run(const struct conf_args *args, int live)
{
    struct buf error = {0}, warnings = {0};
    struct conf *conf = conf_load(args, CONF_FOR_PROBE, &error, &warnings);
    int status = 1;

    /* What is to be warned of the daemon has said. */
    if (conf != NULL)
        status = ask_daemon(conf, live, &error);
    if (error.len > 0 && error.data[error.len - 1] != '\n')
        buf_putc(&error, '\n');
    check_complain(&error, LOG_LEVEL_ERROR);
    conf_free(&conf);
    buf_free(&error);
    buf_free(&warnings);
    return status;
}
