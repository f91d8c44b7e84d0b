#include "worker/certify.h"

#include "base/log.h"
#include "conf.h"
#include "engine/engine.h"

#include <string.h>

int certify(struct engine *engine, const struct conf_tls *tls)
{
    struct buf error = {0};
    int result = 0;

    if (tls->n > 0)
        result = engine_certify(engine, tls, &error);
    if (result < 0)
        log_errorx("certificates: %.*s", (int)error.len,
                   error.len > 0 ? (const char *)error.data : "");
    for (size_t i = 0; i < tls->n; i++)
        explicit_bzero(tls->at[i].key, tls->at[i].key_len);
    buf_free(&error);
    return result;
}
