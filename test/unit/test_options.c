/* Every option of the engine is that of the configuration. */
#include "base/slice.h"
#include "conf.h"
#include "ipc/start.h"
#include "tap.h"
#include "worker/options.h"

#include <stdlib.h>

static char *origins[] = {(char[]){"https://a"}, NULL};
static struct balance *const balance = (struct balance *)origins;

/* Every number another one, and every switch the only one that is on. */
static struct conf conf = {
    .path = (char[]){"/p/"},
    .nsp = (char[]){"/n"},
    .ping_interval_ms = 1,
    .ping_timeout_ms = 2,
    .connect_timeout_ms = 3,
    .upgrade_timeout_ms = 4,
    .max_http_buffer = 5,
    .head_bytes = 6,
    .head_headers = 7,
    .connections_max = 8,
    .strangers_max = 9,
    .send_buffer = 10,
    .send_timeout_ms = 11,
    .idle_timeout_ms = 12,
    .cors_origins = origins,
    .client_text = (char[]){"js"},
    .client_len = 2,
};

static const struct worker_start start = {
    .lane = CONF_WORKERS_MAX + 2, .generation = 77, .balance = balance};

static void test_numbers(void)
{
    struct engine_options is = options_of(&conf, &start);

    ok(is.path == conf.path && is.nsp == conf.nsp, "path and namespace");
    ok(is.ping_interval_ms == 1 && is.ping_timeout_ms == 2, "heartbeat");
    is_int(is.connect_timeout_ms, 3, "to ask for the namespace");
    is_int(is.upgrade_timeout_ms, 4, "to upgrade");
    is_int((long)is.max_payload, 5, "a message from a client");
    ok(is.http.head_bytes == 6 && is.http.headers == 7, "a request's head");
    is_int((long)is.connections_max, 8, "connections");
    is_int((long)is.strangers_max, 9, "of those without a token");
    is_int((long)is.send_buffer, 10, "what waits for a client");
    is_int(is.send_timeout_ms, 11, "and how long");
    is_int(is.idle_timeout_ms, 12, "an idle connection");
    ok(is.origins == origins, "origins");
    ok(is.client_file.ptr == conf.client_text && is.client_file.len == 2, "the client's file");
    ok(is.open_nsps == NULL, "no namespace that is open to all");
    is_int(is.process, CONF_WORKERS_MAX + 2, "ids name the lane");
    is_int(is.generation, 77, "and the generation");
    ok(is.balance == balance && is.place == 2, "its line among its generation");
    is_str(is.name, "axr-notifyd", "for /status");
    is_str(is.version, AXR_VERSION, "and its version");
}

/* One at a time. */
static void test_switches(void)
{
    int *const on[] = {&conf.polling, &conf.websocket, &conf.allow_eio3, &conf.cors_credentials};

    for (int i = 0; i < 4; i++) {
        struct engine_options is;

        *on[i] = 1;
        is = options_of(&conf, &start);
        ok(is.polling == (i == 0) && is.websocket == (i == 1) && is.allow_eio3 == (i == 2) &&
               is.credentials == (i == 3),
           "switch %d", i);
        *on[i] = 0;
    }
}

int main(void)
{
    test_numbers();
    test_switches();
    return tap_done();
}
