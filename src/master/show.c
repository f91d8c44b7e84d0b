#include "master/show.h"

#include "base/log.h"
#include "codec/broadcast.h"
#include "codec/json.h"
#include "codec/request.h"
#include "codec/room_name.h"
#include "ipc/start.h"
#include "master/route.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX      64  /* characters of a name */
#define SHOWN_LIST_MAX 512 /* characters of a list of names */

/* Of the array's first element, which is a string or a number: borrowed from it. */
static struct slice event_of(const struct buf *json)
{
    const char *first = (const char *)json->data + 1;
    long len = json_span(first, json->len - 1);
    size_t quotes = len > 1 && first[0] == '"';

    return (struct slice){first + quotes, (size_t)(len > 0 ? len : 0) - 2 * quotes};
}

/* "msg" */
static const char *event_name(char dst[SHOWN_MAX], const struct buf *json)
{
    struct slice event = event_of(json);

    return log_word(dst, SHOWN_MAX, event.ptr, event.len);
}

/* "ann,bob"; "ann,bob,...(4096)" where there is no room for all; "" for none. */
static const char *names(char dst[SHOWN_LIST_MAX], const struct slices *list)
{
    size_t at = 0;

    dst[0] = '\0';
    for (size_t i = 0; i < list->n; i++) {
        char name[SHOWN_MAX];
        log_word(name, sizeof(name), list->at[i].ptr, list->at[i].len);
        if (at + strlen(name) + 32 > SHOWN_LIST_MAX) {
            (void)snprintf(dst + at, SHOWN_LIST_MAX - at, ",...(%zu)", list->n);
            break;
        }
        at += (size_t)snprintf(dst + at, SHOWN_LIST_MAX - at, "%s%s", i ? "," : "", name);
    }
    return dst;
}

static const char *workers(char dst[SHOWN_LIST_MAX], const struct route_targets *targets)
{
    size_t at = 0;

    if (targets->n == 0)
        return "nobody";
    for (size_t i = 0; i < targets->n && at + 16 < SHOWN_LIST_MAX; i++)
        at += (size_t)snprintf(dst + at, SHOWN_LIST_MAX - at, "%s%u", i ? "," : "",
                               start_number(targets->lanes[i]));
    return dst;
}

/* "*": everybody. */
static const char *whom(char dst[SHOWN_LIST_MAX], const struct slices *rooms)
{
    return rooms->n > 0 ? names(dst, rooms) : "*";
}

void show_notification(const struct broadcast *bc, const struct route_targets *targets)
{
    char event[SHOWN_MAX], to[SHOWN_LIST_MAX], except[SHOWN_LIST_MAX], who[SHOWN_LIST_MAX];

    log_debug("notification: event=%s rooms=%s%s%s workers=%s", event_name(event, &bc->json),
              whom(to, &bc->rooms), bc->except.n > 0 ? " except=" : "", names(except, &bc->except),
              workers(who, targets));
}

void show_request(const struct request *request, const struct route_targets *targets)
{
    char to[SHOWN_LIST_MAX], except[SHOWN_LIST_MAX], list[SHOWN_LIST_MAX], who[SHOWN_LIST_MAX];

    log_debug("request: type=%s rooms=%s%s%s%s%s%s%s", request_type_name(request->type),
              whom(to, &request->rooms), request->except.n > 0 ? " except=" : "",
              names(except, &request->except), request->names.n > 0 ? " names=" : "",
              names(list, &request->names), targets != NULL ? " workers=" : "",
              targets != NULL ? workers(who, targets) : "");
}

void show_unheard(const struct broadcast *bc, uint64_t times)
{
    struct slice event = event_of(&bc->json);

    log_event(INFO, "nobody_in_rooms",
              "nobody here is in these rooms[: event={} rooms={}][ times={}]",
              LOG_WORD("notification", event.ptr, event.len, SHOWN_MAX),
              LOG_WORDS("rooms", &bc->rooms), LOG_TIMES(times));
}

static const struct slice *number_of(const struct slices *rooms)
{
    for (size_t i = 0; i < rooms->n; i++)
        if (rooms->at[i].len > 1 && rooms->at[i].ptr[0] == ROOM_NAME_MARK)
            return &rooms->at[i];
    return NULL;
}

int show_has_number(const struct broadcast *bc)
{
    return number_of(&bc->rooms) != NULL;
}

void show_number(const struct broadcast *bc, uint64_t times)
{
    const struct slice *room = number_of(&bc->rooms);
    struct slice event = event_of(&bc->json);

    log_event(INFO, "room_is_number",
              "nobody here is in a room that is a number, for those of users are text, "
              "String(id)[: event={} room={}][ times={}]",
              LOG_WORD("notification", event.ptr, event.len, SHOWN_MAX),
              LOG_STRN("room", room->ptr + 1, room->len - 1), LOG_TIMES(times));
}

void show_no_room(struct slice channel, uint64_t times)
{
    log_event(INFO, "room_has_no_name",
              "nobody is in a room that has no name, as that of a variable that is not "
              "set[: channel={}][ times={}]",
              LOG_WORD("channel", channel.ptr, channel.len, SHOWN_LIST_MAX), LOG_TIMES(times));
}
