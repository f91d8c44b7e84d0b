#include "master/inquiry.h"

#include "base/clock.h"
#include "master/collect.h"
#include "master/laneset.h"
#include "master/owed.h"
#include "master/route.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum progress { QUEUED, RUNNING, READY /* all have said what they had to say */ };

struct inquiry {
    struct inquiry *prev, *next; /* in the order in which they came */
    uint32_t number;
    struct reply reply;
    struct further further;
    struct buf question; /* the fields of MSG_FETCH behind its id */
    uint64_t until_ms;
    enum progress progress;
    int is_everybody, is_large;
    int is_short;           /* a worker was left out */
    uint32_t id;            /* of its MSG_FETCH */
    struct laneset waiting; /* those that have more to say */
    struct collect collect;
    size_t collected; /* what it has of that sum: nothing if it is large */
};

struct inquiries {
    struct responder *responder;
    struct inquiry *first, *last;
    uint32_t last_number;
    struct inquiry *running[INQUIRY_RUNNING_MAX]; /* RUNNING and READY, in no order */
    size_t nrunning, nready;
    size_t nsmall, nlarge;    /* QUEUED */
    size_t waiting_bytes;     /* their questions */
    size_t collected;         /* by those that are not large */
    struct inquiry *large;    /* of those that run, or NULL */
    int is_confirming;        /* a large answer is on its way to redis */
    uint64_t pace_ms;         /* when the next large one may begin */
    int was_large[MSG_WHATS]; /* the last answer about everybody */
    struct slices rooms;      /* reused */
    struct owed owed;
};

struct inquiries *inquiries_new(struct responder *responder)
{
    struct inquiries *inquiries = calloc(1, sizeof(*inquiries));

    if (inquiries != NULL)
        inquiries->responder = responder;
    return inquiries;
}

static uint32_t patience_ms(const struct inquiries *inquiries)
{
    return inquiries->responder->conf->requests_timeout_ms;
}

/* --- one ------------------------------------------------------------------------ */

static size_t *queue_of(struct inquiries *inquiries, const struct inquiry *inquiry)
{
    return inquiry->is_large ? &inquiries->nlarge : &inquiries->nsmall;
}

static void count(struct inquiries *inquiries, struct inquiry *inquiry, size_t bytes)
{
    inquiries->collected += bytes - inquiry->collected;
    inquiry->collected = bytes;
}

static void stop_running(struct inquiries *inquiries, struct inquiry *inquiry)
{
    for (size_t i = 0; i < inquiries->nrunning; i++) {
        if (inquiries->running[i] == inquiry) {
            inquiries->running[i] = inquiries->running[--inquiries->nrunning];
            break;
        }
    }
    inquiries->nready -= inquiry->progress == READY;
    if (inquiries->large == inquiry)
        inquiries->large = NULL;
    count(inquiries, inquiry, 0);
    collect_clear(&inquiry->collect);
    inquiry->waiting = (struct laneset){0};
    inquiry->id = 0;
}

static void inquiry_free(struct inquiry *inquiry)
{
    reply_clear(&inquiry->reply);
    buf_free(&inquiry->question);
    collect_clear(&inquiry->collect);
    free(inquiry);
}

/* It is over: out of the list, and freed. */
static void drop(struct inquiries *inquiries, struct inquiry *inquiry)
{
    if (inquiry->progress == QUEUED) {
        --*queue_of(inquiries, inquiry);
        inquiries->waiting_bytes -= inquiry->question.len;
    } else {
        if (inquiry->is_large)
            owed_late(&inquiries->owed, inquiry->id, &inquiry->waiting);
        stop_running(inquiries, inquiry);
    }
    *(inquiry->prev != NULL ? &inquiry->prev->next : &inquiries->first) = inquiry->next;
    *(inquiry->next != NULL ? &inquiry->next->prev : &inquiries->last) = inquiry->prev;
    assert(inquiries->first != inquiry);
    inquiry_free(inquiry);
}

void inquiries_free(struct inquiries **inquiriesp)
{
    struct inquiries *inquiries = *inquiriesp;

    if (inquiries == NULL)
        return;
    while (inquiries->first != NULL)
        drop(inquiries, inquiries->first);
    slices_clear(&inquiries->rooms);
    free(inquiries);
    *inquiriesp = NULL;
}

/* --- asking ----------------------------------------------------------------------- */

static int put_question(struct buf *out, const struct request *request)
{
    msg_put_u8(out, (uint8_t)collect_what(request->type));
    msg_put_u8(out, request->by_id ? MSG_SELECT_IDS : MSG_SELECT_ROOMS);
    msg_put_list(out, &request->rooms);
    msg_put_list(out, &request->except);
    return out->failed ? -1 : 0;
}

static struct inquiry *inquiry_new(const struct inquiries *inquiries, const struct request *request,
                                   uint32_t via)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

    if (inquiry == NULL)
        return NULL;
    if (reply_init(&inquiry->reply, inquiries->responder, request, via) < 0 ||
        put_question(&inquiry->question, request) < 0) {
        inquiry_free(inquiry);
        return NULL;
    }
    inquiry->is_everybody = request->rooms.n == 0;
    inquiry->is_large = inquiry->is_everybody && inquiries->was_large[collect_what(request->type)];
    return inquiry;
}

uint32_t inquiries_ask(struct inquiries *inquiries, const struct request *request, uint32_t via,
                       uint64_t now_ms)
{
    struct inquiry *inquiry;

    if (inquiries->nsmall + inquiries->nlarge >= INQUIRY_WAITING_MAX ||
        inquiries->waiting_bytes > INQUIRY_WAITING_BYTES) {
        responder_result(inquiries->responder, RESPONSE_BUSY, request->type);
        return 0;
    }
    inquiry = inquiry_new(inquiries, request, via);
    if (inquiry == NULL) {
        responder_result(inquiries->responder, RESPONSE_UNSENDABLE, request->type);
        return 0;
    }
    inquiries->last_number += inquiries->last_number == UINT32_MAX ? 2 : 1; /* never 0 */
    inquiry->number = inquiries->last_number;
    inquiry->until_ms = now_ms + patience_ms(inquiries);
    inquiry->prev = inquiries->last;
    *(inquiries->last != NULL ? &inquiries->last->next : &inquiries->first) = inquiry;
    inquiries->last = inquiry;
    ++*queue_of(inquiries, inquiry);
    inquiries->waiting_bytes += inquiry->question.len;
    return inquiry->number;
}

int inquiries_further(struct inquiries *inquiries, uint32_t number, uint32_t via)
{
    for (struct inquiry *inquiry = inquiries->last; inquiry != NULL; inquiry = inquiry->prev) {
        if (inquiry->number != number)
            continue;
        if (inquiry->further.n == FURTHER_MAX)
            return 0;
        inquiry->further.vias[inquiry->further.n++] = via;
        return 1;
    }
    return 0;
}

/* Whom it concerns; they are valid until the next is looked for. */
static const struct route_targets *targets_of(struct inquiries *inquiries,
                                              const struct inquiry *inquiry)
{
    struct msg fields = {.at = inquiry->question.data,
                         .end = inquiry->question.data + inquiry->question.len};

    (void)msg_get_u8(&fields);
    (void)msg_get_u8(&fields);
    inquiries->rooms.n = 0;
    msg_get_list(&fields, &inquiries->rooms);
    return fields.bad ? NULL : route_find(inquiries->responder->route, &inquiries->rooms);
}

/* Those of targets that can be asked. */
static void ask_some(struct inquiries *inquiries, struct inquiry *inquiry,
                     const struct route_targets *targets, struct route_targets *asked,
                     uint64_t now_ms)
{
    asked->n = 0;
    for (size_t i = 0; targets != NULL && i < targets->n; i++) {
        unsigned lane = targets->lanes[i];
        if (owed_is_full(&inquiries->owed, lane)) {
            inquiry->is_short = 1;
            continue;
        }
        owed_ask(&inquiries->owed, lane, now_ms);
        laneset_put(&inquiry->waiting, lane);
        asked->lanes[asked->n++] = (uint16_t)lane;
    }
}

/* It could not be sent. */
static void ask_none(struct inquiries *inquiries, struct inquiry *inquiry,
                     const struct route_targets *asked)
{
    for (size_t i = 0; i < asked->n; i++) {
        owed_unask(&inquiries->owed, asked->lanes[i]);
        (void)laneset_take(&inquiry->waiting, asked->lanes[i]);
    }
    inquiry->is_short = 1;
}

static void put_fetch(struct buf *message, const struct inquiry *inquiry)
{
    size_t mark;

    buf_reset(message);
    mark = msg_begin(message, MSG_FETCH);
    msg_put_u32(message, inquiry->id);
    (void)buf_put(message, inquiry->question.data, inquiry->question.len);
    (void)msg_end(message, mark);
}

static void ready(struct inquiries *inquiries, struct inquiry *inquiry)
{
    if (inquiry->progress == READY)
        return;
    inquiry->progress = READY;
    inquiries->nready++;
}

static void begin(struct inquiries *inquiries, struct inquiry *inquiry, uint64_t now_ms)
{
    struct responder *responder = inquiries->responder;
    const struct route_targets *targets = targets_of(inquiries, inquiry);
    struct request request = reply_request(&inquiry->reply);
    struct route_targets asked;

    --*queue_of(inquiries, inquiry);
    inquiries->waiting_bytes -= inquiry->question.len;
    inquiry->progress = RUNNING;
    inquiry->id = responder_id(responder);
    inquiries->running[inquiries->nrunning++] = inquiry;
    collect_begin(&inquiry->collect, &request);
    if (inquiry->is_large)
        inquiries->large = inquiry;
    ask_some(inquiries, inquiry, targets, &asked, now_ms);
    put_fetch(&responder->message, inquiry);
    if (asked.n > 0 && responder_send(responder, &responder->message, &asked) < 0)
        ask_none(inquiries, inquiry, &asked);
    if (inquiry->waiting.n == 0)
        ready(inquiries, inquiry);
}

/* --- answering -------------------------------------------------------------------- */

/* Redis has the large answer, or never will. */
static void on_confirmed(int ok, void *arg)
{
    struct inquiries *inquiries = arg;

    (void)ok;
    inquiries->is_confirming = 0;
    inquiries->responder->ops->wake(0, inquiries->responder->arg);
}

static void note_size(struct inquiries *inquiries, const struct inquiry *inquiry, int is_large)
{
    if (inquiry->is_everybody)
        inquiries->was_large[collect_what(inquiry->reply.type)] = is_large;
}

static void answer(struct inquiries *inquiries, struct inquiry *inquiry,
                   enum response_result result, uint64_t now_ms)
{
    struct responder *responder = inquiries->responder;
    struct buf payload = {0};
    size_t len;
    int is_large;

    collect_end(&inquiry->collect, &payload);
    len = payload.len;
    is_large = len > INQUIRY_LARGE_BYTES;
    note_size(inquiries, inquiry, is_large);
    if (!is_large) {
        (void)reply_send_all(&inquiry->reply, &inquiry->further, responder, &payload, result, NULL,
                             NULL);
        return;
    }
    inquiries->is_confirming = 1;
    inquiries->pace_ms = now_ms + len / INQUIRY_LARGE_PACE;
    if (reply_send_all(&inquiry->reply, &inquiry->further, responder, &payload, result,
                       on_confirmed, inquiries) < 0)
        inquiries->is_confirming = 0;
}

/* Those that ask for one client have no answer where nobody has it. */
static void finish(struct inquiries *inquiries, struct inquiry *inquiry,
                   enum response_result result, uint64_t now_ms)
{
    const struct collect *collect = &inquiry->collect;

    if (collect->is_too_large) {
        note_size(inquiries, inquiry, 1);
        responder_result(inquiries->responder, RESPONSE_TOO_LARGE, inquiry->reply.type);
    } else if (inquiry->reply.type != REQUEST_CLIENT_ROOMS || collect->n > 0) {
        answer(inquiries, inquiry, result, now_ms);
    }
    drop(inquiries, inquiry);
}

/* --- what workers say ------------------------------------------------------------- */

static struct inquiry *find(const struct inquiries *inquiries, uint32_t id)
{
    for (size_t i = 0; i < inquiries->nrunning; i++)
        if (inquiries->running[i]->id == id)
            return inquiries->running[i];
    return NULL;
}

/* It has become large: alone from now on, or, where another is, asked anew later. */
static void become_large(struct inquiries *inquiries, struct inquiry *inquiry)
{
    if (inquiries->large == NULL && !inquiries->is_confirming) {
        count(inquiries, inquiry, 0);
        inquiries->large = inquiry;
        inquiry->is_large = 1;
        return;
    }
    owed_late(&inquiries->owed, inquiry->id, &inquiry->waiting);
    stop_running(inquiries, inquiry);
    inquiry->is_short = 0;
    inquiry->is_large = 1;
    inquiry->progress = QUEUED;
    inquiries->nlarge++;
    inquiries->waiting_bytes += inquiry->question.len;
}

static int take(struct inquiries *inquiries, struct inquiry *inquiry, uint32_t n,
                struct slice records)
{
    int rc = collect_part(&inquiry->collect, n, records);
    size_t now = collect_bytes(&inquiry->collect);

    if (inquiries->large == inquiry)
        return rc;
    count(inquiries, inquiry, now);
    if (rc == 0 && (now > 2 * INQUIRY_LARGE_BYTES || inquiries->collected > INQUIRY_BYTES))
        become_large(inquiries, inquiry);
    return rc;
}

int inquiries_fetched(struct inquiries *inquiries, unsigned lane, struct msg *msg)
{
    uint32_t id = msg_get_u32(msg);
    int is_last = msg_get_u8(msg);
    uint32_t n = msg_get_u32(msg);
    struct slice records = msg_get_bytes(msg);
    struct inquiry *inquiry;

    if (msg_close(msg) < 0)
        return -1;
    owed_said(&inquiries->owed, lane, id, is_last, clock_ms());
    inquiry = find(inquiries, id);
    if (inquiry == NULL || !laneset_has(&inquiry->waiting, lane))
        return 0; /* of one that is over */
    if (take(inquiries, inquiry, n, records) < 0)
        return -1;
    if (inquiry->progress != RUNNING)
        return 0;
    if (is_last)
        (void)laneset_take(&inquiry->waiting, lane);
    if (inquiry->waiting.n == 0 || inquiry->collect.is_too_large)
        ready(inquiries, inquiry);
    return 0;
}

void inquiries_down(struct inquiries *inquiries, unsigned lane)
{
    owed_down(&inquiries->owed, lane);
    for (size_t i = 0; i < inquiries->nrunning; i++) {
        struct inquiry *inquiry = inquiries->running[i];
        if (laneset_take(&inquiry->waiting, lane) && inquiry->waiting.n == 0)
            ready(inquiries, inquiry);
    }
}

/* --- in time ---------------------------------------------------------------------- */

static void finish_ready(struct inquiries *inquiries, uint64_t now_ms)
{
    for (size_t i = inquiries->nrunning; i-- > 0 && inquiries->nready > 0;)
        if (inquiries->running[i]->progress == READY)
            finish(inquiries, inquiries->running[i],
                   inquiries->running[i]->is_short ? RESPONSE_SHORT : RESPONSE_FULL, now_ms);
}

/* 1 if nothing is known, for workers are behind: that there is nobody would be a lie.  One that
 * hangs counts as having answered. */
static int is_unheard(const struct inquiries *inquiries, const struct inquiry *inquiry,
                      uint64_t now_ms)
{
    return inquiry->progress == QUEUED ||
           (inquiry->progress == RUNNING && inquiry->collect.n == 0 &&
            owed_works(&inquiries->owed, &inquiry->waiting, now_ms, patience_ms(inquiries)));
}

static void expire(struct inquiries *inquiries, uint64_t now_ms)
{
    while (inquiries->first != NULL && now_ms >= inquiries->first->until_ms) {
        struct inquiry *inquiry = inquiries->first;
        if (!is_unheard(inquiries, inquiry, now_ms)) {
            finish(inquiries, inquiry, RESPONSE_SHORT, now_ms);
            continue;
        }
        responder_result(inquiries->responder, RESPONSE_BUSY, inquiry->reply.type);
        drop(inquiries, inquiry);
    }
}

/* 1 if one more may be asked of the workers. */
static int has_room(const struct inquiries *inquiries, uint64_t now_ms)
{
    return inquiries->nrunning < INQUIRY_RUNNING_MAX &&
           !owed_is_crowded(&inquiries->owed, now_ms, patience_ms(inquiries));
}

/* Likewise, of a large one. */
static int has_room_for_large(const struct inquiries *inquiries, uint64_t now_ms)
{
    return inquiries->nlarge > 0 && inquiries->large == NULL && !inquiries->is_confirming &&
           now_ms >= inquiries->pace_ms &&
           !owed_is_late(&inquiries->owed, now_ms, patience_ms(inquiries));
}

/* One that is much work begins while it has the time for that: half an answer is worse than
 * none, for nobody can tell. */
static int may_begin(const struct inquiries *inquiries, const struct inquiry *inquiry,
                     int may_be_large, uint64_t now_ms)
{
    if (inquiry->progress != QUEUED)
        return 0;
    return !inquiry->is_large ||
           (may_be_large && inquiry->until_ms >= now_ms + patience_ms(inquiries) / 2);
}

static void begin_some(struct inquiries *inquiries, uint64_t now_ms)
{
    int may_be_large = has_room_for_large(inquiries, now_ms);

    if (inquiries->nsmall == 0 && !may_be_large)
        return;
    for (struct inquiry *inquiry = inquiries->first; inquiry != NULL; inquiry = inquiry->next) {
        if (!may_begin(inquiries, inquiry, may_be_large, now_ms))
            continue;
        if (!has_room(inquiries, now_ms))
            break;
        begin(inquiries, inquiry, now_ms);
        may_be_large = may_be_large && !inquiry->is_large;
    }
}

void inquiries_turn(struct inquiries *inquiries, uint64_t now_ms)
{
    finish_ready(inquiries, now_ms);
    expire(inquiries, now_ms);
    begin_some(inquiries, now_ms);
    finish_ready(inquiries, now_ms); /* those that concern no worker */
}

void inquiries_hurry(struct inquiries *inquiries, uint64_t now_ms)
{
    uint64_t until_ms = now_ms + patience_ms(inquiries);

    for (struct inquiry *inquiry = inquiries->first; inquiry != NULL; inquiry = inquiry->next)
        if (inquiry->until_ms > until_ms)
            inquiry->until_ms = until_ms;
}

uint64_t inquiries_due_ms(const struct inquiries *inquiries, uint64_t now_ms)
{
    uint64_t due_ms = UINT64_MAX;

    if (inquiries->first != NULL)
        due_ms = inquiries->first->until_ms;
    if (inquiries->nlarge > 0 && inquiries->pace_ms > now_ms && inquiries->pace_ms < due_ms)
        due_ms = inquiries->pace_ms;
    if (inquiries->nsmall + inquiries->nlarge > 0) {
        uint64_t at_ms = owed_due_ms(&inquiries->owed, now_ms, patience_ms(inquiries));
        due_ms = at_ms < due_ms ? at_ms : due_ms;
    }
    return due_ms;
}
