#include "notify/published.h"

#include "base/log.h"
#include "codec/emit.h"
#include "codec/json.h"
#include "codec/room_name.h"

#include <string.h>

#define SHOWN_MAX 256 /* characters of a name */
#define ROOMS_MAX 16  /* that are listed */

/* What is too large for the daemon is shown, too. */
static const struct emit_limits no_limits = {SIZE_MAX, BROADCAST_ATTACHMENTS_MAX};

/* Where it was published: key#nsp#room#, key#emitter; key-request#nsp#. */
struct place {
    struct slice key, nsp; /* nsp: empty where the channel does not tell it */
    int is_request, is_answer;
};

static int ends_in(struct slice text, struct slice end)
{
    struct slice tail = {text.ptr + text.len - end.len, end.len};

    return text.len > end.len && slice_eq(tail, end);
}

/* The text up to the first '#', which is there. */
static struct slice head_of(struct slice text)
{
    const char *end = memchr(text.ptr, '#', text.len);

    return (struct slice){text.ptr, end != NULL ? (size_t)(end - text.ptr) : text.len};
}

/* A key may have a '#' of its own. */
static struct place place_of(struct slice channel, struct slice key)
{
    struct place place = {.key = head_of(channel)};
    struct slice rest;

    if (channel.len > key.len && memcmp(channel.ptr, key.ptr, key.len) == 0 &&
        channel.ptr[key.len] == '#')
        place.key = key;
    rest = (struct slice){channel.ptr + place.key.len, channel.len - place.key.len};
    if (rest.len > 1 && rest.ptr[1] == '/')
        place.nsp = head_of((struct slice){rest.ptr + 1, rest.len - 1});
    place.is_request = ends_in(place.key, SLICE("-request"));
    place.is_answer = ends_in(place.key, SLICE("-response")) || ends_in(place.key, SLICE("-peer"));
    if (place.is_request)
        place.key.len -= sizeof("-request") - 1;
    return place;
}

static void put_word(struct buf *line, const char *name, struct slice text)
{
    char word[SHOWN_MAX];

    buf_printf(line, " %s=%s", name, log_word(word, sizeof(word), text.ptr, text.len));
}

static int is_number(struct slice room)
{
    return room.len > 1 && room.ptr[0] == ROOM_NAME_MARK;
}

static void put_rooms(struct buf *line, const char *name, const struct slices *rooms)
{
    char word[SHOWN_MAX];

    buf_printf(line, " %s=%s", name, rooms->n == 0 ? "*" : "");
    for (size_t i = 0; i < rooms->n && i < ROOMS_MAX; i++) {
        size_t mark = is_number(rooms->at[i]);

        buf_printf(line, "%s%s", i > 0 ? "," : "",
                   log_word(word, sizeof(word), rooms->at[i].ptr + mark, rooms->at[i].len - mark));
    }
    if (rooms->n > ROOMS_MAX)
        buf_printf(line, ",...(%zu)", rooms->n);
}

static void put_event(struct buf *line, const struct buf *json)
{
    const char *first = (const char *)json->data + 1;
    long len = json_span(first, json->len - 1);
    int quoted = len > 1 && first[0] == '"';
    char word[SHOWN_MAX];

    buf_printf(line, "event=%s",
               log_word(word, sizeof(word), first + quoted,
                        (size_t)(len > 0 ? len : 0) - 2 * (size_t)quoted));
}

/* What is wrong with its rooms, or NULL. */
static const char *wrong_rooms(const struct slices *rooms)
{
    for (size_t i = 0; i < rooms->n; i++)
        if (is_number(rooms->at[i]))
            return "a room is a number, and those of users are text: String(id)";
    return NULL;
}

static const char *wrong_message(enum emit_result result)
{
    switch (result) {
    case EMIT_OK:
    case EMIT_OTHER_NAMESPACE:
    case EMIT_NOT_BROADCAST:
        return NULL;
    case EMIT_COPY:
        return "a further copy of a message for several rooms, which is not delivered again";
    case EMIT_NOBODY:
        return "its rooms have no name, as that of a variable that is not set";
    case EMIT_TOO_LARGE:
        return "it is too large: limits:messageBytes";
    case EMIT_ATTACHMENTS:
        return "it has too many attachments: limits:attachments";
    default:
        return emit_result_name(result);
    }
}

/* What is wrong with a good message beyond its namespace, or NULL. */
static const char *wrong_of(const struct slices *rooms, struct slice channel, struct slice payload,
                            const struct place *place, struct slice nsp,
                            const struct emit_limits *limits)
{
    struct broadcast bc = {0};
    const char *wrong = wrong_rooms(rooms);

    if (wrong == NULL)
        wrong = wrong_message(emit_decode(&bc, channel, payload, place->key, nsp, limits));
    broadcast_clear(&bc);
    return wrong;
}

/* Both may be wrong, and the first is enough. */
static void put_wrong(struct buf *line, const struct place *place, struct slice key,
                      struct slice nsp, int is_other, const char *wrong)
{
    char word[SHOWN_MAX], ours[SHOWN_MAX];

    if (!slice_eq(place->key, key))
        buf_printf(line, " wrong=\"the key is not %s: socket.io:key, or the emitter's option key\"",
                   log_word(ours, sizeof(ours), key.ptr, key.len));
    else if (is_other)
        buf_printf(line, " wrong=\"namespace %s, and %s is served: emitter.of()\"",
                   log_word(word, sizeof(word), place->nsp.ptr, place->nsp.len),
                   log_word(ours, sizeof(ours), nsp.ptr, nsp.len));
    else if (wrong != NULL)
        buf_printf(line, " wrong=\"%s\"", wrong);
}

static void put_message(struct buf *line, struct slice channel, struct slice payload,
                        const struct place *place, struct slice key, struct slice nsp,
                        const struct emit_limits *limits)
{
    struct broadcast bc = {0};
    enum emit_result result = emit_decode(&bc, channel, payload, place->key, nsp, &no_limits);
    int is_other = result == EMIT_OTHER_NAMESPACE;

    if (is_other && place->nsp.len > 0)
        result = emit_decode(&bc, channel, payload, place->key, place->nsp, &no_limits);
    /* Other programs have channels with a '#', too. */
    if (result == EMIT_MALFORMED && !slice_eq(place->key, key)) {
        broadcast_clear(&bc);
        return;
    }
    if (result == EMIT_OK) {
        put_event(line, &bc.json);
        put_rooms(line, "rooms", &bc.rooms);
        if (bc.except.n > 0)
            put_rooms(line, "except", &bc.except);
    } else {
        buf_puts(line, "message");
    }
    put_word(line, "channel", channel);
    put_wrong(line, place, key, nsp, is_other,
              result == EMIT_OK ? wrong_of(&bc.rooms, channel, payload, place, nsp, limits)
                                : wrong_message(result));
    buf_putc(line, '\n');
    broadcast_clear(&bc);
}

void published_line(struct buf *line, struct slice channel, struct slice payload, struct slice key,
                    struct slice nsp, const struct emit_limits *limits)
{
    struct place place = place_of(channel, key);

    if (place.is_answer)
        return;
    if (!place.is_request) {
        put_message(line, channel, payload, &place, key, nsp, limits);
        return;
    }
    buf_puts(line, "request");
    put_word(line, "channel", channel);
    put_wrong(line, &place, key, nsp, !slice_eq(place.nsp, nsp), NULL);
    buf_putc(line, '\n');
}
