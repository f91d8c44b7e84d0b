#include "worker/options.h"
#include "conf.h"
#include "ipc/start.h"

struct engine_options options_of(const struct conf *conf, const struct worker_start *start)
{
    return (struct engine_options){
        .path = conf->path,
        .nsp = conf->nsp,
        .ping_interval_ms = conf->ping_interval_ms,
        .ping_timeout_ms = conf->ping_timeout_ms,
        .connect_timeout_ms = conf->connect_timeout_ms,
        .max_payload = conf->max_http_buffer,
        .upgrade_timeout_ms = conf->upgrade_timeout_ms,
        .polling = conf->polling,
        .websocket = conf->websocket,
        .allow_eio3 = conf->allow_eio3,
        .http = {.head_bytes = conf->head_bytes, .headers = conf->head_headers},
        .connections_max = conf->connections_max,
        .strangers_max = conf->strangers_max,
        .address_max = conf->connections_per_address,
        .send_buffer = conf->send_buffer,
        .send_timeout_ms = conf->send_timeout_ms,
        .idle_timeout_ms = conf->idle_timeout_ms,
        .process = start->lane,
        .generation = start->generation,
        .balance = start->balance,
        .census = start->census,
        .place = start_number(start->lane) - 1,
        .proxies = &conf->proxies.from,
        .proxy_header = conf->proxies.header,
        .origins = conf->cors_origins,
        .credentials = conf->cors_credentials,
        .client_file = {conf->client_text, conf->client_len},
        .name = "axr-notifyd",
        .version = AXR_VERSION,
    };
}
