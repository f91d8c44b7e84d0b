#include "master/resume.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/claims.h"
#include "master/comeback.h"
#include "master/daemons.h"
#include "master/gone.h"
#include "master/relay.h"

#include <stdlib.h>
#include <string.h>

struct resume {
    struct claims claims;
    struct comeback_maker maker;
    uint64_t wake_ms; /* when resume_wake() is to come; UINT64_MAX: not */
};

/* For what is to be done on the next turn, or when the time of somebody is up. */
static void arm(struct resume *resume)
{
    const struct claims *claims = &resume->claims;
    uint64_t now_ms = clock_ms(), due_ms = waiting_due_ms(&claims->waiting);

    if (daemons_has_more(claims->daemons) || due_ms < now_ms)
        due_ms = now_ms;
    if (due_ms >= resume->wake_ms)
        return;
    resume->wake_ms = due_ms;
    claims->ops->wake((unsigned)(due_ms - now_ms), claims->arg);
}

/* --- other daemons ---------------------------------------------------------------- */

static int on_publish(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                      void *arg)
{
    struct resume *resume = arg;

    return resume->claims.ops->publish(payload, done, done_arg, resume->claims.arg);
}

static void on_question(uint64_t from, const struct peer_question *question, void *arg)
{
    struct resume *resume = arg;

    claims_question(&resume->claims, from, question);
}

static void on_answer(uint64_t from, const struct peer_answer *answer, void *arg)
{
    struct resume *resume = arg;

    claims_answer(&resume->claims, from, answer);
}

static void on_echo(uint32_t id, void *arg)
{
    struct resume *resume = arg;

    claims_echo(&resume->claims, id);
}

static void on_unsent(void *arg)
{
    struct resume *resume = arg;

    claims_unsent(&resume->claims);
    arm(resume);
}

static const struct daemons_ops daemons_ops = {on_publish, on_question, on_answer, on_echo,
                                               on_unsent};

void resume_peer(struct resume *resume, struct slice payload)
{
    daemons_hear(resume->claims.daemons, payload);
    arm(resume);
}

void resume_ready(struct resume *resume)
{
    daemons_flush(resume->claims.daemons);
    arm(resume);
}

/* --- the beginning and the end ---------------------------------------------------- */

static void on_send(unsigned lane, const void *message, size_t len, void *arg)
{
    struct resume *resume = arg;

    resume->claims.ops->send(lane, message, len, resume->claims.arg);
}

static void set_parts(struct claims *claims)
{
    claims->reclaim.route = relay_route(claims->parts->relay);
    claims->reclaim.sessions = claims->parts->sessions;
    claims->reclaim.gone = claims->parts->gone;
}

struct resume *resume_new(const struct conf *conf, const struct resume_parts *parts,
                          const struct resume_ops *ops, void *arg)
{
    struct resume *resume = calloc(1, sizeof(*resume));
    struct claims *claims;

    if (resume == NULL)
        return NULL;
    claims = &resume->claims;
    *claims = (struct claims){.conf = conf,
                              .parts = parts,
                              .ops = ops,
                              .arg = arg,
                              .self = relay_epoch(parts->relay),
                              .reclaim = {.send = on_send, .arg = resume}};
    resume->wake_ms = UINT64_MAX;
    set_parts(claims);
    waiting_init(&claims->waiting);
    pidkeys_init(&claims->keys);
    claims->daemons = daemons_new(claims->self, &daemons_ops, resume);
    if (claims->daemons == NULL || pidkeys_derive(&claims->keys, conf) < 0)
        resume_free(&resume);
    return resume;
}

void resume_free(struct resume **resumep)
{
    struct resume *resume = *resumep;

    if (resume == NULL)
        return;
    daemons_free(&resume->claims.daemons);
    waiting_clear(&resume->claims.waiting);
    reclaim_clear(&resume->claims.reclaim);
    handover_clear(&resume->claims.handover);
    comeback_clear(&resume->maker);
    pidkeys_wipe(&resume->claims.keys);
    free(resume);
    *resumep = NULL;
}

void resume_wipe(struct resume *resume)
{
    pidkeys_wipe(&resume->claims.keys);
}

void resume_configure(struct resume *resume, const struct conf *conf)
{
    struct claims *claims = &resume->claims;

    claims->conf = conf;
    set_parts(claims);
    if (pidkeys_derive(&claims->keys, conf) < 0)
        log_event(ERROR, "session_keys_kept",
                  "out of memory: sessions are proven by the keys of before");
    if (!conf->recovery)
        claims_release(claims);
}

/* --- a client --------------------------------------------------------------------- */

void resume_admit(struct resume *resume, const struct admit *admit)
{
    struct claims *claims = &resume->claims;

    if (!claims->conf->recovery || admit->session.len == 0 || admit->pid.len == 0) {
        relay_admit(claims->parts->relay, admit);
        return;
    }
    claims_admit(claims, admit);
    arm(resume);
}

const struct comeback *resume_comeback(struct resume *resume, const struct admit *admit)
{
    struct claims *claims = &resume->claims;
    const struct comeback_parts parts = {claims->conf, claims->parts->history, claims->parts->gone,
                                         relay_seq(claims->parts->relay), claims->self};
    enum resume_refusal why = comeback_make(&resume->maker, &parts, admit);

    if (why != RESUME_REFUSALS) {
        claims_refused(claims, why);
        return NULL;
    }
    gone_take(parts.gone, resume->maker.comeback.session);
    claims->stats.recovered++;
    return &resume->maker.comeback;
}

int resume_pid(struct resume *resume, const struct admit *admit, const struct comeback *comeback,
               uint64_t offset, uint8_t raw[PID_LEN])
{
    const struct claims *claims = &resume->claims;
    struct pid pid = {
        .daemon = claims->self, .offset = offset, .start_ms = (uint64_t)clock_wall_ms()};

    if (comeback != NULL) {
        memcpy(raw, admit->pid.ptr, PID_LEN);
        return 0;
    }
    if (!claims->conf->recovery || admit->session.len != SESSION_LEN)
        return -1;
    memcpy(pid.session, admit->session.ptr, SESSION_LEN);
    return pidkeys_make(&claims->keys, claims->conf, raw, &pid, admit->uid);
}

/* --- what happens meanwhile ------------------------------------------------------- */

void resume_worker_down(struct resume *resume, unsigned lane)
{
    claims_worker_down(&resume->claims, lane);
}

void resume_gap(struct resume *resume)
{
    struct claims *claims = &resume->claims;

    claims->since_ms = (uint64_t)clock_wall_ms();
    claims->is_pinging = 0;
    daemons_present(claims->daemons, claims->since_ms);
    arm(resume);
}

void resume_pong(struct resume *resume)
{
    claims_pong(&resume->claims);
    arm(resume);
}

void resume_wake(struct resume *resume)
{
    resume->wake_ms = UINT64_MAX;
    claims_expire(&resume->claims, clock_ms());
    daemons_flush(resume->claims.daemons);
    arm(resume);
}

struct resume_stats resume_stats(const struct resume *resume)
{
    const struct claims *claims = &resume->claims;
    struct resume_stats stats = claims->stats;

    stats.takeovers = claims->reclaim.takeovers;
    stats.dropped += daemons_dropped(claims->daemons);
    stats.waiting = claims->waiting.n;
    return stats;
}
