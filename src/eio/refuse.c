/* refuse - errors in the words that Engine.IO uses (engine.io, lib/server.ts, abort). */
#include "eio/session.h"

#include <stdio.h>

void eio_refuse(struct conn *conn, enum eio_error error)
{
    char body[128];

    eio_of(conn)->stats.eio_errors[error]++;
    snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"%s\"}", (int)error,
             eio_error_message(error));
    answer(conn, error == EIO_FORBIDDEN ? 403 : 400, "application/json", slice_str(body));
}

void eio_refuse_upgrade(struct conn *conn, enum eio_error error)
{
    eio_of(conn)->stats.eio_errors[error]++;
    exchange_of(conn)->keep = 0;
    answer(conn, 400, "text/html", slice_str(eio_error_message(error)));
}
