#include "master/show.h"

#include "base/log.h"
#include "codec/broadcast.h"
#include "codec/json.h"
#include "codec/request.h"
#include "codec/room_name.h"
#include "ipc/start.h"
#include "master/route.h"

#define SHOWN_MAX 64 /* characters of a name */

/* Of the array's first element, which is a string or a number: borrowed from it. */
static struct slice event_of(const struct buf *json)
{
    const char *first = (const char *)json->data + 1;
    long len = json_span(first, json->len - 1);
    size_t quotes = len > 1 && first[0] == '"';

    return (struct slice){first + quotes, (size_t)(len > 0 ? len : 0) - 2 * quotes};
}

/* "*": everybody. */
#define ROOMS(list)       ((list)->n > 0 ? LOG_WORDS("rooms", list) : LOG_SHOWN("*"))
#define NAMES(name, list) LOG_IF((list)->n > 0, LOG_WORDS(name, list))
#define WORKERS(to, n)    ((n) > 0 ? LOG_UINTS("to_workers", to, n) : LOG_SHOWN("nobody"))

static size_t workers(unsigned to[START_LANES], const struct route_targets *targets)
{
    for (size_t i = 0; i < targets->n; i++)
        to[i] = start_number(targets->lanes[i]);
    return targets->n;
}

void show_notification(const struct broadcast *bc, const struct route_targets *targets)
{
    struct slice event = event_of(&bc->json);
    unsigned to[START_LANES];
    size_t n = workers(to, targets);

    log_event(DEBUG, "notification", "notification[: event={} rooms={}][ except={}][ workers={}]",
              LOG_WORD("notification", event.ptr, event.len, SHOWN_MAX), ROOMS(&bc->rooms),
              NAMES("except", &bc->except), WORKERS(to, n));
}

void show_request(const struct request *request, const struct route_targets *targets)
{
    unsigned to[START_LANES];
    size_t n = targets != NULL ? workers(to, targets) : 0;

    log_event(DEBUG, "request", "request[: type={} rooms={}][ except={}][ names={}][ workers={}]",
              LOG_STR("type", request_type_name(request->type)), ROOMS(&request->rooms),
              NAMES("except", &request->except), NAMES("names", &request->names),
              LOG_IF(targets != NULL, WORKERS(to, n)));
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
              LOG_WORD("channel", channel.ptr, channel.len, 512), LOG_TIMES(times));
}
