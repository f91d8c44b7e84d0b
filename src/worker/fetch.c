#include "worker/fetch.h"
#include "base/buf.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "worker/client.h"
#include "worker/remote.h"
#include "worker/room.h"
#include "worker/stats.h"
#include "worker/uplink.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_US   1000 /* in one turn of the loop, about */
#define WAIT_MS    2    /* for the pipe to take what waits */
#define PART_BYTES (START_UP_PART - 64)

struct fetch {
    struct fetch *next;
    uint32_t id;
    enum msg_what what;
    struct handles clients;
    size_t client;   /* the next of them */
    uint32_t bucket; /* the next rooms: rooms_scan() */
    int scanned;     /* all rooms have been told, or none was asked for */
};

struct fetches {
    struct fetch_parts parts;
    struct event *timer;
    struct fetch *first, **end;
    unsigned n;
    struct remote_now now;

    struct buf records; /* of the first one that have not been sent */
    uint32_t nrecords;
    struct buf field; /* of one that is being made */
};

/* --- records --- */

static void send_records(struct fetches *fetches, const struct fetch *fetch, int last)
{
    uplink_fetched(fetches->parts.uplink, fetch->id, last, fetches->nrecords,
                   (struct slice){(char *)fetches->records.data, fetches->records.len});
    buf_reset(&fetches->records);
    fetches->nrecords = 0;
}

/* One more record is in records, from start on; what is before it goes first where there is too
 * much for a part.  Without memory for it the record is left out. */
static void end_record(struct fetches *fetches, size_t start)
{
    struct buf *records = &fetches->records;
    size_t len = records->len - start;

    if (records->failed) {
        records->len = start;
        records->failed = 0;
        return;
    }
    if (records->len > PART_BYTES && start > 0) {
        records->len = start;
        send_records(fetches, fetches->first, 0);
        memmove(records->data, records->data + start, len);
        records->len = len;
    }
    fetches->nrecords++;
}

/* What has been put into field is one of a record's. */
static void put_field(struct fetches *fetches)
{
    fetches->records.failed |= fetches->field.failed;
    msg_put_bytes(&fetches->records, fetches->field.data, fetches->field.len);
    buf_reset(&fetches->field);
}

static void put_client(struct fetches *fetches, const struct client *client)
{
    struct buf *field = &fetches->field;

    remote_head(field, client);
    put_field(fetches);
    remote_handshake(field, client, fetches->parts.conf, &fetches->now);
    put_field(fetches);
    remote_tail(field, client);
    put_field(fetches);
}

/* It may have gone since it was chosen. */
static void tell_client(struct fetches *fetches, const struct fetch *fetch, uint64_t handle)
{
    const struct socket *socket = socket_find(&fetches->parts.engine->sio, handle);
    const struct client *client = socket == NULL ? NULL : socket_data(socket);
    size_t start = fetches->records.len;
    char sid[SIO_SID_MAX];

    if (client == NULL || client->state != CLIENT_IN ||
        (fetch->what == MSG_WHAT_ROOMS && socket->sidless))
        return;
    if (fetch->what == MSG_WHAT_SOCKETS) {
        put_client(fetches, client);
    } else {
        if (fetch->what == MSG_WHAT_ROOMS)
            msg_put_u8(&fetches->records, 1);
        msg_put_bytes(&fetches->records, sid, socket_sid(socket, sid));
    }
    end_record(fetches, start);
}

static void on_room(struct slice name, void *arg)
{
    struct fetches *fetches = arg;
    size_t start = fetches->records.len;

    msg_put_u8(&fetches->records, 0);
    msg_put_bytes(&fetches->records, name.ptr, name.len);
    end_record(fetches, start);
}

/* --- one after the other --- */

static void drop_first(struct fetches *fetches)
{
    struct fetch *fetch = fetches->first;

    fetches->first = fetch->next;
    if (fetches->first == NULL)
        fetches->end = &fetches->first;
    fetches->n--;
    handles_clear(&fetch->clients);
    free(fetch);
}

/* Goes on with the first one, a little. */
static void step(struct fetches *fetches)
{
    struct fetch *fetch = fetches->first;

    if (fetch->client < fetch->clients.n) {
        tell_client(fetches, fetch, fetch->clients.at[fetch->client++]);
    } else if (!fetch->scanned) {
        fetch->bucket = rooms_scan(fetches->parts.rooms, fetch->bucket, on_room, fetches);
        fetch->scanned = fetch->bucket == 0;
    } else {
        send_records(fetches, fetch, 1);
        drop_first(fetches);
    }
}

static void serve(struct fetches *fetches)
{
    uint64_t until_us = clock_us() + SLICE_US;
    struct timeval wait = {0, 0};

    fetches->now = (struct remote_now){clock_ms(), clock_wall_ms()};
    while (fetches->first != NULL && !uplink_is_behind(fetches->parts.uplink)) {
        step(fetches);
        if (clock_us() >= until_us)
            break;
    }
    if (fetches->first == NULL) { /* what was large is not kept */
        buf_free(&fetches->records);
        buf_free(&fetches->field);
        return;
    }
    if (uplink_is_behind(fetches->parts.uplink))
        wait.tv_usec = WAIT_MS * 1000L;
    evtimer_add(fetches->timer, &wait);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    serve(arg);
}

/* --- a request --- */

static struct fetch *fetch_new(const struct fetches *fetches, const struct fetch_request *request)
{
    static const struct who everybody = {.select = MSG_SELECT_ROOMS};
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    int rooms = request->what == MSG_WHAT_ROOMS;

    if (fetch == NULL)
        return NULL;
    fetch->id = request->id;
    fetch->what = (enum msg_what)request->what;
    fetch->scanned = !rooms;
    if (select_handles(fetches->parts.engine, fetches->parts.rooms,
                       rooms ? &everybody : &request->who, &fetch->clients) == 0)
        return fetch;
    handles_clear(&fetch->clients);
    free(fetch);
    return NULL;
}

void fetch_begin(struct fetches *fetches, const struct fetch_request *request)
{
    struct fetch *fetch = fetches->n < FETCHES_MAX ? fetch_new(fetches, request) : NULL;

    fetches->parts.stats->fetches[fetch == NULL]++;
    if (fetch == NULL) {
        uplink_fetched(fetches->parts.uplink, request->id, 1, 0, (struct slice){NULL, 0});
        return;
    }
    *fetches->end = fetch;
    fetches->end = &fetch->next;
    if (fetches->n++ == 0)
        serve(fetches);
}

struct fetches *fetches_new(const struct fetch_parts *parts)
{
    struct fetches *fetches = calloc(1, sizeof(*fetches));

    if (fetches == NULL)
        return NULL;
    fetches->parts = *parts;
    fetches->end = &fetches->first;
    fetches->timer = evtimer_new(parts->base, on_timer, fetches);
    if (fetches->timer == NULL)
        fetches_free(&fetches);
    return fetches;
}

void fetches_free(struct fetches **fetches_ptr)
{
    struct fetches *fetches = *fetches_ptr;

    *fetches_ptr = NULL;
    if (fetches == NULL)
        return;
    while (fetches->first != NULL)
        drop_first(fetches);
    if (fetches->timer != NULL)
        event_free(fetches->timer);
    buf_free(&fetches->records);
    buf_free(&fetches->field);
    free(fetches);
}
