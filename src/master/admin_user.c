#include "master/admin_routes.h"

#include "base/utf8.h"
#include "codec/http.h"
#include "codec/token.h"

#include <string.h>

/* Decodes name into uid, which has room for CALLER_HEAD_BYTES.  Returns 0, or -1 where no user can
 * have it. */
static int take_uid(char *bytes, struct slice name, struct slice *uid)
{
    long len = name.len <= CALLER_HEAD_BYTES ? http_unescape(bytes, name, 0) : -1;

    if (len <= 0 || len > TOKEN_UID_MAX || !utf8_valid(bytes, (size_t)len) ||
        memchr(bytes, '\0', (size_t)len) != NULL)
        return -1;
    *uid = (struct slice){bytes, (size_t)len};
    return 0;
}

void admin_user(const struct admin_call *call)
{
    const struct admin_desk *desk = call->desk;
    char bytes[CALLER_HEAD_BYTES];
    struct slice uid;
    struct status_user user = {0};
    struct buf body = {0};

    if (take_uid(bytes, call->name, &uid) < 0) {
        caller_refuse(call->caller, 400, NULL, NULL);
        return;
    }
    desk->ops->user(uid, &user, desk->arg);
    status_put_user(uid, &user, &body);
    slices_clear(&user.rooms);
    caller_answer(call->caller, 200, CALLER_JSON, NULL, &body);
}
