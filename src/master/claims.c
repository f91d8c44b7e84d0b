#include "master/claims.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/msg.h"
#include "master/comeback.h"
#include "master/daemons.h"
#include "master/gone.h"
#include "master/history.h"
#include "master/relay.h"
#include "master/resume.h"

#include <string.h>

#define LEFT_ANY (MSG_LEFT_EVERYBODY | MSG_LEFT_OWN | MSG_LEFT_ID)

/* What becomes of a claim. */
enum next {
    NEXT_OVER, /* its client has been let in */
    NEXT_SYNC, /* it waits for redis */
    NEXT_ASK,  /* it waits for another daemon */
    NEXT_STAY  /* it waits on */
};

/* --- letting in ------------------------------------------------------------------- */

void claims_refused(struct claims *claims, enum resume_refusal why)
{
    claims->stats.refused[why]++;
    log_event(DEBUG, "session_not_recovered", "session not recovered[: reason={}]",
              LOG_STR("reason", resume_refusal_name(why)));
}

static void let_in(struct claims *claims, const struct claim *claim, int resumes)
{
    struct admit admit = *claim->admit;

    admit.resumes = resumes;
    admit.start = claim->pid.offset;
    if (!claim->is_gone)
        relay_admit(claims->parts->relay, &admit);
}

static enum next refuse(struct claims *claims, const struct claim *claim, enum resume_refusal why)
{
    claims_refused(claims, why);
    let_in(claims, claim, 0);
    return NEXT_OVER;
}

static enum reclaim_state look(struct claims *claims, const struct claim *claim, uint64_t *holder)
{
    return reclaim_look(&claims->reclaim, claim->pid.session, holder);
}

/* The session is here.  A worker that is told to disconnect somebody may turn out to be dead, and
 * be that of this client. */
static enum next recover(struct claims *claims, struct claim *claim, int resumes)
{
    int rc;

    claims->deciding = claim;
    rc = reclaim_take(&claims->reclaim, claim->pid.session, claim->admit->uid, clock_ms());
    claims->deciding = NULL;
    if (rc < 0)
        return refuse(claims, claim, RESUME_PID);
    newest_note(&claims->newest, claim->pid.session, claim->asked_ms);
    let_in(claims, claim, resumes | COMEBACK);
    return NEXT_OVER;
}

/* 1 if it may be ahead of what has come here.  Of a pid that cannot be read here the start comes
 * with the answer, and is heeded then. */
static int is_ahead(const struct claims *claims, const struct claim *claim)
{
    const struct comeback_start start = {.offset = claim->pid.offset,
                                         .at_ms = claim->pid.start_ms,
                                         .is_own = claim->pid.daemon == claims->self ||
                                                   !claim->is_proven};
    uint64_t pos;

    if (!claim->is_proven && !claim->admit->has_offset)
        return 0;
    return comeback_locate(claims->parts->history, claim->admit, &start, &pos) < 0;
}

/* 1 if nothing has come from redis for a while, not even a mark: what is on its way may be the
 * question of another daemon for a client that was there before. */
static int is_late(const struct claims *claims)
{
    const struct history *history = claims->parts->history;

    return history_age_of(history, history_end(history), clock_ms()) > RESUME_LATE_MS;
}

/* may_sync: redis has not been asked yet for all it has.  The position is looked for before anybody
 * is disconnected; and nothing of a session before the pid is proven. */
static enum next advance(struct claims *claims, struct claim *claim, int may_sync)
{
    enum reclaim_state state = RECLAIM_UNKNOWN;

    if (claim->is_gone)
        return NEXT_OVER; /* nobody is disconnected for who is not there */
    if (claim->is_proven)
        state = look(claims, claim, &claim->holder);
    if (claim->admit->has_offset && claim->admit->offset == 0)
        return refuse(claims, claim, RESUME_OFFSET); /* malformed */
    if (state == RECLAIM_ENDED)
        return refuse(claims, claim, RESUME_ENDED);
    if (state == RECLAIM_BROKEN)
        return refuse(claims, claim, RESUME_GAP);
    if (state == RECLAIM_UNKNOWN && claim->pid.daemon == claims->self)
        return refuse(claims, claim, RESUME_UNKNOWN);
    if (is_ahead(claims, claim))
        return may_sync ? NEXT_SYNC : refuse(claims, claim, RESUME_OFFSET);
    if (may_sync && is_late(claims))
        return NEXT_SYNC;
    if (state == RECLAIM_HERE &&
        newest_is_later(&claims->newest, claim->pid.session, claim->asked_ms))
        return refuse(claims, claim, RESUME_ELSEWHERE);
    return state == RECLAIM_HERE ? recover(claims, claim, 0) : NEXT_ASK;
}

/* --- doing without the answer ----------------------------------------------------- */

/* What the other daemon could have said is known: that nothing has happened since. */
static int may_do_without(struct claims *claims, const struct claim *claim)
{
    struct daemons_known known = daemons_known(claims->daemons, claim->pid.daemon, clock_ms());
    uint64_t start_ms = claim->pid.start_ms, holder;
    int64_t request_ms = gone_last_request_ms(claims->parts->gone);
    int64_t floor_ms = gone_floor_ms(claims->parts->gone);

    if (!claim->is_proven || claim->holder != 0 || claim->is_unknown || claim->admit->rooms.n > 0 ||
        look(claims, claim, &holder) != RECLAIM_UNKNOWN)
        return 0;
    if (claims->since_ms == 0 || claims->since_ms + COMEBACK_CLOCK_MS >= start_ms)
        return 0;
    if ((request_ms != 0 && (uint64_t)request_ms + COMEBACK_CLOCK_MS >= start_ms) ||
        (floor_ms != 0 && start_ms <= (uint64_t)floor_ms))
        return 0;
    return known.has_spoken && known.gap_ms < start_ms;
}

/* A record of it, as it would be of one that has just left. */
static int put_record(struct claims *claims, const struct claim *claim, unsigned left,
                      uint32_t away_ms)
{
    uint64_t now_ms = clock_ms();
    struct gone_session record = {.state = GONE_AWAY,
                                  .left_ms = now_ms > away_ms ? now_ms - away_ms : 0,
                                  .uid = claim->admit->uid,
                                  .left = left,
                                  .rooms = claims->handover.rooms,
                                  .nrooms = claims->handover.n};

    memcpy(record.session, claim->pid.session, SESSION_LEN);
    return gone_put(claims->parts->gone, &record, now_ms);
}

static enum next do_without(struct claims *claims, struct claim *claim)
{
    if (claim->is_gone)
        return NEXT_OVER; /* or there would be a session here without its daemon's word */
    if (!may_do_without(claims, claim))
        return refuse(claims, claim,
                      claim->is_unknown && claim->holder == 0 ? RESUME_UNKNOWN : RESUME_ELSEWHERE);
    claims->handover.n = 0;
    if (put_record(claims, claim, 0, 0) < 0)
        return refuse(claims, claim, RESUME_BUSY);
    return recover(claims, claim, COMEBACK_FOREIGN | COMEBACK_OWN_ID);
}

/* --- waiting ---------------------------------------------------------------------- */

/* For those that have asked, which are in the order of what they have heard. */
static void keep_requests(const struct claims *claims)
{
    const struct claim *first = claims->waiting.queues[CLAIM_ASKED].first;

    gone_keep_requests(claims->parts->gone, first != NULL ? first->requests : UINT64_MAX);
}

static void admit_one(struct claims *claims, const struct admit *admit, uint64_t asked_ms);
static void answer_question(struct claims *claims, uint64_t from,
                            const struct peer_question *question, uint64_t asked_ms);

/* It waits no more; those who want the same session are next, in their order.  The worker of one
 * may turn out to be dead while another is served. */
static void end(struct claims *claims, struct claim *claim)
{
    struct follower *follower;

    waiting_take(&claims->waiting, claim);
    keep_requests(claims);
    claim->next = claims->ending;
    claims->ending = claim;
    while ((follower = claim_follower(claim)) != NULL) {
        if (follower->admit == NULL)
            answer_question(claims, follower->from, &follower->question, follower->asked_ms);
        else if (!follower->is_gone)
            admit_one(claims, follower->admit, follower->asked_ms);
        follower_free(follower);
    }
    claims->ending = claim->next;
    claim_free(claim);
}

/* Behind a ping that is under way another one is needed, which is sent when that is back. */
static int sync_begin(struct claims *claims, struct claim *claim)
{
    claim->ping = claims->pings + 1;
    if (claims->is_pinging)
        return 0;
    if (claims->ops->ping(claims->arg) < 0)
        return -1;
    claims->is_pinging = 1;
    claims->pings++;
    return 0;
}

/* All hear of it, also where nobody is waited for: who has it is to give it up. */
static int ask(struct claims *claims, struct claim *claim)
{
    const struct admit *admit = claim->admit;
    struct peer_question question = {
        .to = claim->holder != 0 ? claim->holder : claim->pid.daemon,
        .is_vouched = claim->is_proven,
        .came_ms = (uint32_t)claim->asked_ms,
        .offset = admit->has_offset ? admit->offset : claim->pid.offset,
        .pid = (const uint8_t *)admit->pid.ptr,
        .uid = admit->uid,
    };

    if (clock_ms() < claims->deaf_until_ms || waiting_number(&claims->waiting, claim) < 0)
        return -1;
    question.id = claim->id;
    if (daemons_ask(claims->daemons, &question) < 0)
        return -1;
    claims->stats.asked++;
    return 0;
}

/* What next says of a claim that waits.  Without redis nothing is on its way. */
static void go_on(struct claims *claims, struct claim *claim, enum next next)
{
    uint64_t now_ms = clock_ms();

    if (next == NEXT_SYNC && sync_begin(claims, claim) < 0)
        next = advance(claims, claim, 0);
    if (next == NEXT_ASK) {
        waiting_move(&claims->waiting, claim, CLAIM_ASKING, now_ms + RESUME_ASK_MS);
        if (ask(claims, claim) < 0)
            next = refuse(claims, claim, RESUME_ELSEWHERE);
    }
    if (next == NEXT_OVER)
        end(claims, claim);
}

/* A claim that is on the stack. */
static void begin(struct claims *claims, struct claim *fresh)
{
    enum next next = advance(claims, fresh, 1);
    struct claim *claim;

    if (next == NEXT_OVER)
        return;
    claim = next == NEXT_SYNC
                ? waiting_put(&claims->waiting, fresh, CLAIM_SYNCING, clock_ms() + RESUME_SYNC_MS)
                : waiting_put(&claims->waiting, fresh, CLAIM_ASKING, clock_ms() + RESUME_ASK_MS);
    if (claim == NULL)
        (void)refuse(claims, fresh, RESUME_BUSY);
    else
        go_on(claims, claim, next);
}

static void admit_one(struct claims *claims, const struct admit *admit, uint64_t asked_ms)
{
    struct claim claim = {.admit = admit, .asked_ms = asked_ms}, *waits;
    const uint8_t *raw = (const uint8_t *)admit->pid.ptr;

    if (pid_read(&claim.pid, raw) < 0) {
        (void)refuse(claims, &claim, RESUME_PID);
        return;
    }
    claim.is_proven = pidkeys_prove(&claims->keys, claims->conf, raw, admit->uid, &claim.pid);
    waits = waiting_pid(&claims->waiting, raw);
    if (!claim.is_proven && (claim.pid.daemon == claims->self || claims->keys.is_shared))
        (void)refuse(claims, &claim, RESUME_PID);
    else if (waits == NULL)
        begin(claims, &claim);
    else if (waiting_follow_admit(&claims->waiting, waits, admit, asked_ms) < 0)
        (void)refuse(claims, &claim, RESUME_BUSY);
}

/* Of a client that has been in, or does not say since when it is here: now. */
void claims_admit(struct claims *claims, const struct admit *admit)
{
    uint64_t now_ms = clock_ms(), asked_ms = (uint64_t)clock_wall_ms();

    if (admit->opened_ms != 0 && admit->opened_ms < now_ms)
        asked_ms -= now_ms - admit->opened_ms;
    admit_one(claims, admit, asked_ms);
}

/* --- what other daemons say ------------------------------------------------------- */

/* Its daemon has proven the pid: whoever has the session is asked, or is here. */
static enum next on_vouched(struct claims *claims, struct claim *claim,
                            const struct peer_answer *answer)
{
    int was_proven = claim->is_proven;

    claim->is_proven = 1;
    claim->pid.offset = answer->start;
    if (answer->result == PEER_ELSEWHERE)
        claim->holder = answer->holder;
    else
        claim->is_unknown = 1;
    if (was_proven)
        return NEXT_STAY;
    return advance(claims, claim, 0);
}

static enum next on_yours(struct claims *claims, struct claim *claim,
                          const struct peer_answer *answer)
{
    int rc = handover_get(&claims->handover, claims->parts->history,
                          relay_seq(claims->parts->relay), answer->rooms);

    if (claim->stage != CLAIM_ASKED)
        rc = 1;
    if (answer->start != 0)
        claim->pid.offset = answer->start;
    if (rc != 0)
        return refuse(claims, claim, rc > 0 ? RESUME_ROOMS : RESUME_BUSY);
    if (answer->away_ms > claims->conf->recovery_ms)
        return refuse(claims, claim, RESUME_AWAY);
    if (put_record(claims, claim, answer->left & LEFT_ANY, answer->away_ms) < 0)
        return refuse(claims, claim, RESUME_BUSY);
    /* Who gave it up has done what was requested before the question; what came behind it was
     * for nobody there. */
    if (gone_make_up(claims->parts->gone, claim->pid.session, claim->requests) < 0)
        return refuse(claims, claim, RESUME_ROOMS);
    if (look(claims, claim, &claim->holder) == RECLAIM_ENDED)
        return refuse(claims, claim, RESUME_ENDED);
    return recover(claims, claim, COMEBACK_FOREIGN);
}

static enum next judge(struct claims *claims, struct claim *claim, uint64_t from,
                       const struct peer_answer *answer)
{
    switch (answer->result) {
    case PEER_YOURS:
        return on_yours(claims, claim, answer);
    case PEER_ELSEWHERE:
    case PEER_UNKNOWN:
        if (from == claim->pid.daemon)
            return on_vouched(claims, claim, answer);
        if (answer->result == PEER_ELSEWHERE)
            claim->holder = answer->holder;
        return NEXT_STAY;
    case PEER_ENDED:
        return refuse(claims, claim, RESUME_ENDED);
    case PEER_GAP:
        return refuse(claims, claim, RESUME_GAP);
    case PEER_ROOMS:
        return refuse(claims, claim, RESUME_ROOMS);
    case PEER_UNPROVEN:
        return refuse(claims, claim, RESUME_PID);
    case PEER_TAKEN:
        return refuse(claims, claim, RESUME_ELSEWHERE);
    case PEER_RESULTS:
        break;
    }
    return NEXT_STAY;
}

void claims_answer(struct claims *claims, uint64_t from, const struct peer_answer *answer)
{
    struct claim *claim = waiting_id(&claims->waiting, answer->id);

    if (claim != NULL)
        go_on(claims, claim, judge(claims, claim, from, answer));
}

/* Who has been silent is not waited for, unless another daemon may have the session. */
static int is_futile(const struct claims *claims, const struct claim *claim, uint64_t now_ms)
{
    struct daemons_known known = daemons_known(claims->daemons, claim->pid.daemon, now_ms);

    return claim->holder == 0 && known.is_silent && !known.is_sought;
}

/* All that was published before it has come here. */
void claims_echo(struct claims *claims, uint32_t id)
{
    struct claim *claim = waiting_id(&claims->waiting, id);
    uint64_t now_ms = clock_ms();

    claims->deaf_until_ms = 0;
    if (claim == NULL || claim->stage != CLAIM_ASKING)
        return;
    claim->requests = gone_requests(claims->parts->gone);
    waiting_move(&claims->waiting, claim, CLAIM_ASKED, now_ms + RESUME_ANSWER_MS);
    keep_requests(claims);
    if (is_futile(claims, claim, now_ms))
        go_on(claims, claim, do_without(claims, claim));
}

/* Without the right to publish, or a connection to redis: nobody has been asked. */
void claims_unsent(struct claims *claims)
{
    struct claim *claim;

    while ((claim = waiting_expired(&claims->waiting, CLAIM_ASKING, UINT64_MAX)) != NULL)
        go_on(claims, claim, refuse(claims, claim, RESUME_ELSEWHERE));
}

/* Whoever has a key for all proves it itself; else the word of who asks has to do, but never to the
 * one whose pid it is. */
static int is_proven_to_us(const struct claims *claims, const struct peer_question *question,
                           struct pid *pid)
{
    return pidkeys_prove(&claims->keys, claims->conf, question->pid, question->uid, pid) ||
           (question->is_vouched && !claims->keys.is_shared && pid->daemon != claims->self);
}

static void answer_question(struct claims *claims, uint64_t from,
                            const struct peer_question *question, uint64_t asked_ms)
{
    struct peer_answer answer = {.to = from, .id = question->id, .result = PEER_UNPROVEN};
    int is_for_us;
    uint64_t holder;
    struct pid pid;

    if (pid_read(&pid, question->pid) < 0) {
        claims->stats.dropped++;
        return;
    }
    is_for_us = pid.daemon == claims->self || question->to == claims->self;
    if (!is_for_us && reclaim_look(&claims->reclaim, pid.session, &holder) == RECLAIM_UNKNOWN)
        return;
    if (!is_proven_to_us(claims, question, &pid)) {
        if (!is_for_us)
            return;
    } else if (newest_is_later(&claims->newest, pid.session, asked_ms)) {
        answer.result = PEER_TAKEN;
    } else {
        handover_give(&claims->handover, &claims->reclaim, claims->parts->history, from, question,
                      &pid, &answer);
    }
    if (daemons_answer(claims->daemons, &answer) < 0) {
        answer = (struct peer_answer){.to = from, .id = question->id, .result = PEER_ROOMS};
        (void)daemons_answer(claims->daemons, &answer);
    }
    claims->stats.answered++;
}

/* A time by the wall clock, of which these are the last bits. */
static uint64_t about_now(uint32_t bits)
{
    uint64_t now_ms = (uint64_t)clock_wall_ms();

    return now_ms + (uint64_t)(int64_t)(int32_t)(bits - (uint32_t)now_ms);
}

/* A client of ours that has asked for the session before has it first.  One that waits for redis
 * has not asked yet, and may have come before or after the other: it goes without, for it must
 * not disconnect who is there for good. */
void claims_question(struct claims *claims, uint64_t from, const struct peer_question *question)
{
    uint64_t asked_ms = about_now(question->came_ms);
    struct claim *waits = NULL;
    struct pid pid;

    if (pid_read(&pid, question->pid) == 0)
        waits = waiting_pid(&claims->waiting, question->pid);
    if (waits != NULL && waits->stage == CLAIM_ASKED &&
        waiting_follow_question(&claims->waiting, waits, from, question, asked_ms) == 0)
        return;
    if (waits != NULL && waits->stage == CLAIM_SYNCING && is_proven_to_us(claims, question, &pid))
        go_on(claims, waits, refuse(claims, waits, RESUME_ELSEWHERE));
    answer_question(claims, from, question, asked_ms);
}

/* --- redis, and time -------------------------------------------------------------- */

/* Who has come since the last ping was sent waits for another one. */
void claims_pong(struct claims *claims)
{
    struct claim *claim, *next;
    uint64_t last = claims->pings;

    claims->is_pinging = 0;
    for (claim = claims->waiting.queues[CLAIM_SYNCING].first; claim != NULL; claim = next) {
        next = claim->next;
        if (claim->ping <= last)
            go_on(claims, claim, advance(claims, claim, 0));
        else if (!claims->is_pinging)
            go_on(claims, claim, NEXT_SYNC);
    }
}

/* Nobody has said anything in time. */
static enum next give_up(struct claims *claims, struct claim *claim, uint64_t now_ms)
{
    switch (claim->stage) {
    case CLAIM_SYNCING:
        claims->is_pinging = 0;
        return advance(claims, claim, 0);
    case CLAIM_ASKING:
        claims->deaf_until_ms = now_ms + DAEMONS_SILENT_MS;
        return refuse(claims, claim, RESUME_ELSEWHERE);
    case CLAIM_ASKED:
        if (claim->holder == 0 && !claim->is_unknown) {
            daemons_note_silent(claims->daemons, claim->pid.daemon, now_ms);
            claims->stats.silent++;
        }
        break;
    case CLAIM_STAGES:
        break;
    }
    return do_without(claims, claim);
}

void claims_expire(struct claims *claims, uint64_t now_ms)
{
    for (int stage = 0; stage < CLAIM_STAGES; stage++) {
        struct claim *claim;

        while ((claim = waiting_expired(&claims->waiting, (enum claim_stage)stage, now_ms)) != NULL)
            go_on(claims, claim, give_up(claims, claim, now_ms));
    }
}

void claims_release(struct claims *claims)
{
    for (int stage = 0; stage < CLAIM_STAGES; stage++) {
        struct claim *claim;

        while ((claim = waiting_expired(&claims->waiting, (enum claim_stage)stage, UINT64_MAX)) !=
               NULL) {
            let_in(claims, claim, 0);
            end(claims, claim);
        }
    }
}

void claims_worker_down(struct claims *claims, unsigned lane)
{
    if (claims->deciding != NULL && claims->deciding->admit->lane == lane)
        claims->deciding->is_gone = 1;
    for (struct claim *claim = claims->ending; claim != NULL; claim = claim->next)
        claim_drop_lane(claim, lane);
    waiting_drop_lane(&claims->waiting, lane);
}
