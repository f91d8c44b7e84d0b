/* request_show - a request as a line of text. */
#ifndef TEST_REQUEST_SHOW_H
#define TEST_REQUEST_SHOW_H

#include "codec/request.h"

static struct buf shown;

static void show_names(const char *what, const struct slices *names)
{
    if (names->n == 0)
        return;
    buf_printf(&shown, " %s", what);
    for (size_t i = 0; i < names->n; i++) {
        buf_putc(&shown, i == 0 ? '=' : ',');
        if (slice_eq(names->at[i], SLICE("\xff")))
            buf_puts(&shown, "nobody");
        else
            request_put_room(&shown, names->at[i]);
    }
}

/* Everything that is known: "join id="a" rooms="r"". */
static const char *show(const struct request *request)
{
    buf_reset(&shown);
    buf_puts(&shown, request_type_name(request->type));
    if (request->is_old)
        buf_puts(&shown, " old");
    if (request->id.len > 0)
        buf_printf(&shown, " id=%.*s", (int)request->id.len, request->id.ptr);
    if (request->uid.len > 0)
        buf_printf(&shown, " uid=%.*s", (int)request->uid.len, request->uid.ptr);
    if (request->by_id)
        buf_puts(&shown, " by_id");
    show_names("rooms", &request->rooms);
    show_names("except", &request->except);
    show_names("names", &request->names);
    if (request->close)
        buf_puts(&shown, " close");
    if (request->timeout_ms > 0)
        buf_printf(&shown, " timeout=%u", request->timeout_ms);
    if (request->bc.json.len > 0)
        buf_printf(&shown, " json=%.*s", (int)request->bc.json.len, (char *)request->bc.json.data);
    show_names("to", &request->bc.rooms);
    show_names("not", &request->bc.except);
    if (request->bc.attachments.n > 0)
        buf_printf(&shown, " attachments=%zu", request->bc.attachments.n);
    buf_putc(&shown, '\0');
    return (const char *)shown.data;
}

#endif
