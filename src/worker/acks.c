#include "worker/acks.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "codec/sio.h"
#include "net/wheel.h"
#include "sio/socket.h"
#include "worker/uplink.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>

#define LOG_MS         60000
#define ID_MASK        0x7fffffffU /* clients in C++ and Java read it into 32 bits */
#define PLACES_MIN     64
#define SEATS_MIN_BITS 3
#define SEAT_ACKED     0x80000000U

/* Who has got it: a hash table of slots.  An entry is the slot's number and one, for 0 is
 * free, and whether its client has acknowledged. */
struct seats {
    uint32_t *at; /* 1 << bits of them, or NULL */
    unsigned bits;
    uint32_t n;
};

struct ack_wait {
    struct wheel_entry timer;
    uint64_t serial; /* of its fan-out */
    uint32_t id, request;
    uint32_t left; /* who have not acknowledged */
    struct seats seats;
};

struct acks {
    const char *nsp;
    struct uplink *uplink;
    struct ack_stats *stats;
    struct wheel *wheel;
    struct ack_wait **places; /* by the last bits of their ids; at most half of them are taken */
    uint32_t nplaces;         /* a power of two */
    uint32_t next_id;
    uint32_t key; /* of the seats' hash: which slots collide is not known outside */
    size_t bytes; /* of all seats */
    struct log_every unawaited_log, full_log;
};

/* --- seats --- */

static size_t seats_bytes(unsigned bits)
{
    return sizeof(uint32_t) << bits;
}

static uint32_t mix(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x7feb352dU;
    h ^= h >> 15;
    h *= 0x846ca68bU;
    return h ^ h >> 16;
}

/* The entry of that slot, or the free one where it would be. */
static uint32_t *seat_of(const struct acks *acks, const struct seats *seats, uint32_t slot)
{
    uint32_t mask = (1U << seats->bits) - 1;
    uint32_t i = mix(slot ^ acks->key) & mask;

    while (seats->at[i] != 0 && (seats->at[i] & ~SEAT_ACKED) != slot + 1)
        i = (i + 1) & mask;
    return &seats->at[i];
}

/* Returns 0, or -1 if there is no room or no memory. */
static int seats_grow(struct acks *acks, struct seats *seats)
{
    struct seats grown = {.bits = seats->at != NULL ? seats->bits + 1 : SEATS_MIN_BITS,
                          .n = seats->n};
    size_t before = seats->at != NULL ? seats_bytes(seats->bits) : 0;
    size_t more = seats_bytes(grown.bits) - before;

    if (more > ACKS_MAX_BYTES - acks->bytes ||
        (grown.at = calloc((size_t)1 << grown.bits, sizeof(*grown.at))) == NULL)
        return -1;
    for (uint32_t i = 0; before > 0 && i < 1U << seats->bits; i++)
        if (seats->at[i] != 0)
            *seat_of(acks, &grown, (seats->at[i] & ~SEAT_ACKED) - 1) = seats->at[i];
    free(seats->at);
    *seats = grown;
    acks->bytes += more;
    return 0;
}

/* Returns 0, or -1 if there is no room or no memory. */
static int seats_add(struct acks *acks, struct seats *seats, uint32_t slot)
{
    if ((seats->at == NULL || seats->n >= 3U << seats->bits >> 2) && seats_grow(acks, seats) < 0)
        return -1;
    *seat_of(acks, seats, slot) = slot + 1;
    seats->n++;
    return 0;
}

static void seats_free(struct acks *acks, struct seats *seats)
{
    if (seats->at == NULL)
        return;
    acks->bytes -= seats_bytes(seats->bits);
    free(seats->at);
}

/* --- broadcasts that wait --- */

static struct ack_wait **place_of(const struct acks *acks, uint32_t id)
{
    return &acks->places[id & (acks->nplaces - 1)];
}

/* Ids that differ in their last bits differ in more of them. */
static int places_grow(struct acks *acks)
{
    uint32_t n = acks->nplaces * 2;
    struct ack_wait **old = acks->places, **places = calloc(n, sizeof(struct ack_wait *));

    if (places == NULL)
        return -1;
    for (uint32_t i = 0; i < acks->nplaces; i++)
        if (old[i] != NULL)
            places[old[i]->id & (n - 1)] = old[i];
    free(old);
    acks->places = places;
    acks->nplaces = n;
    return 0;
}

/* The next one whose place is free, which half of them are. */
static uint32_t take_id(struct acks *acks)
{
    uint32_t id;

    while (*place_of(acks, acks->next_id) != NULL)
        acks->next_id = (acks->next_id + 1) & ID_MASK;
    id = acks->next_id;
    acks->next_id = (id + 1) & ID_MASK;
    return id;
}

static struct ack_wait *wait_new(struct acks *acks, uint64_t serial)
{
    struct ack_wait *wait;

    if (acks->stats->waiting >= ACKS_MAX ||
        (2 * acks->stats->waiting >= acks->nplaces && places_grow(acks) < 0) ||
        (wait = calloc(1, sizeof(*wait))) == NULL)
        return NULL;
    wait->serial = serial;
    wait->id = take_id(acks);
    *place_of(acks, wait->id) = wait;
    acks->stats->waiting++;
    return wait;
}

static void wait_free(struct acks *acks, struct ack_wait *wait)
{
    wheel_unset(acks->wheel, &wait->timer);
    *place_of(acks, wait->id) = NULL;
    acks->stats->waiting--;
    seats_free(acks, &wait->seats);
    free(wait);
}

static void on_due(struct wheel_entry *entry, uint64_t now_ms, void *arg)
{
    (void)now_ms;
    wait_free(arg, (struct ack_wait *)(void *)((char *)entry - offsetof(struct ack_wait, timer)));
}

/* --- one broadcast --- */

void acks_begin(struct acks *acks, struct ack_round *round, uint32_t request, uint32_t timeout_ms,
                uint64_t serial)
{
    acks->stats->broadcasts++;
    *round = (struct ack_round){.acks = acks, .request = request};
    round->wait = wait_new(acks, serial);
    if (round->wait == NULL) {
        round->id = take_id(acks); /* the client's callback wants one */
        return;
    }
    round->id = round->wait->id;
    round->wait->request = request;
    wheel_set(acks->wheel, &round->wait->timer,
              clock_ms() + (timeout_ms < ACKS_MAX_MS ? timeout_ms : ACKS_MAX_MS));
}

void acks_note(struct ack_round *round, const struct socket *socket)
{
    struct acks *acks = round->acks;

    round->clients++;
    if (round->wait != NULL &&
        seats_add(acks, &round->wait->seats, (uint32_t)socket_handle(socket)) == 0)
        round->wait->left++;
    else
        acks->stats->unawaited++;
}

static void log_unawaited(struct acks *acks)
{
    uint64_t times = log_due(&acks->unawaited_log, LOG_MS);

    if (times > 0)
        log_event(WARN, "acks_too_many",
                  "too many acknowledgements are waited for, those of a notification are not"
                  "[: notifications={} bytes={} times={}]",
                  LOG_UINT("notifications", acks->stats->waiting), LOG_UINT("bytes", acks->bytes),
                  LOG_TIMES(times));
}

void acks_end(struct ack_round *round)
{
    uint32_t awaited = round->wait != NULL ? round->wait->left : 0;

    if (awaited < round->clients)
        log_unawaited(round->acks);
    if (round->wait != NULL && awaited == 0)
        wait_free(round->acks, round->wait);
    uplink_reached(round->acks->uplink, round->request, round->clients);
}

/* --- one acknowledgement --- */

/* Returns ACK_DROPS if it is one that is waited for, *wait and *seat; else why it is not. */
static enum ack_drop judge(const struct acks *acks, const struct socket *socket,
                           const struct sio_packet *packet, struct ack_wait **wait, uint32_t **seat)
{
    if (!packet->has_id || packet->id > ID_MASK ||
        (*wait = *place_of(acks, (uint32_t)packet->id)) == NULL || (*wait)->id != packet->id)
        return ACK_LATE;
    *seat = seat_of(acks, &(*wait)->seats, (uint32_t)socket_handle(socket));
    if (**seat == 0 || !socket_was_in(socket, (*wait)->serial))
        return ACK_FOREIGN;
    return **seat & SEAT_ACKED ? ACK_SECOND : ACK_DROPS;
}

static int is_ours(const struct acks *acks, const struct sio_packet *packet)
{
    return (packet->type == SIO_ACK || packet->type == SIO_BINARY_ACK) &&
           slice_eq(packet->nsp, slice_str(acks->nsp));
}

int acks_wants(struct acks *acks, const struct socket *socket, const struct sio_packet *packet)
{
    struct ack_wait *wait;
    enum ack_drop why;
    uint32_t *seat;

    if (!is_ours(acks, packet))
        return 0;
    why = judge(acks, socket, packet, &wait, &seat);
    if (why == ACK_DROPS)
        return 1;
    acks->stats->dropped[why]++;
    return 0;
}

static void log_full(struct acks *acks)
{
    uint64_t times = log_due(&acks->full_log, LOG_MS);

    if (times > 0)
        log_event(WARN, "acks_dropped",
                  "acknowledgements are dropped: too much waits for the master[: times={}]",
                  LOG_TIMES(times));
}

/* Clients give each attachment a placeholder of its own.  Were there more, a little text
 * could become much with whoever puts the attachments in their places. */
static int has_more_placeholders(struct slice json, size_t attachments)
{
    static const char name[] = "\"_placeholder\"";
    const char *at = json.ptr, *end = json.ptr + json.len;
    size_t n = 0;

    while (n <= attachments && (at = memmem(at, (size_t)(end - at), name, sizeof(name) - 1))) {
        at += sizeof(name) - 1;
        n++;
    }
    return n > attachments;
}

/* The first argument, with all attachments if any of them can be in it. */
static enum ack_drop tell(struct acks *acks, const struct ack_wait *wait,
                          const struct sio_packet *packet, const struct slice *attachments)
{
    struct slice json = sio_first(packet);
    size_t n = packet->attachments, bytes;

    if (n > 0 && (json.len == 0 || memchr(json.ptr, '{', json.len) == NULL))
        n = 0;
    bytes = json.len;
    for (size_t i = 0; i < n; i++)
        bytes += attachments[i].len;
    if (n > 0 && has_more_placeholders(json, n))
        return ACK_MALFORMED;
    if (bytes > UPLINK_ACK_BYTES)
        return ACK_TOO_LARGE;
    if (uplink_ack(acks->uplink, wait->request, json, attachments, n) == 0)
        return ACK_DROPS;
    log_full(acks);
    return ACK_QUEUE_FULL;
}

void acks_packet(struct acks *acks, const struct socket *socket, const struct sio_packet *packet,
                 const struct slice *attachments)
{
    struct ack_wait *wait;
    enum ack_drop why;
    uint32_t *seat;

    if (!is_ours(acks, packet))
        return;
    why = judge(acks, socket, packet, &wait, &seat);
    if (why == ACK_DROPS) {
        why = tell(acks, wait, packet, attachments);
        *seat |= SEAT_ACKED;
        if (--wait->left == 0)
            wait_free(acks, wait);
    }
    if (why == ACK_DROPS)
        acks->stats->received++;
    else
        acks->stats->dropped[why]++;
}

/* --- all of them --- */

struct acks *acks_new(struct event_base *base, const char *nsp, struct uplink *uplink,
                      struct ack_stats *stats)
{
    struct acks *acks = calloc(1, sizeof(*acks));

    if (acks == NULL)
        return NULL;
    acks->nsp = nsp;
    acks->uplink = uplink;
    acks->stats = stats;
    rand_bytes(&acks->key, sizeof(acks->key));
    acks->nplaces = PLACES_MIN;
    acks->places = calloc(acks->nplaces, sizeof(struct ack_wait *));
    acks->wheel = wheel_new(base, on_due, acks);
    if (acks->places == NULL || acks->wheel == NULL)
        acks_free(&acks);
    return acks;
}

void acks_free(struct acks **acks_ptr)
{
    struct acks *acks = *acks_ptr;

    *acks_ptr = NULL;
    if (acks == NULL)
        return;
    for (uint32_t i = 0; acks->places != NULL && i < acks->nplaces; i++)
        if (acks->places[i] != NULL)
            wait_free(acks, acks->places[i]);
    free(acks->places);
    wheel_free(&acks->wheel);
    free(acks);
}
