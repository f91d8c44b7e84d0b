#include "master/waiting.h"

#include <stdlib.h>
#include <string.h>

static struct claim *of_pid(struct table_node *node)
{
    return node != NULL ? (struct claim *)(void *)((char *)node - offsetof(struct claim, by_pid))
                        : NULL;
}

static struct claim *of_id(struct table_node *node)
{
    return node != NULL ? (struct claim *)(void *)((char *)node - offsetof(struct claim, by_id))
                        : NULL;
}

void waiting_init(struct waiting *waiting)
{
    *waiting = (struct waiting){0};
    table_init(&waiting->pids);
    table_init(&waiting->ids);
}

void waiting_clear(struct waiting *waiting)
{
    for (int stage = 0; stage < CLAIM_STAGES; stage++) {
        struct claim *claim;

        while ((claim = waiting->queues[stage].first) != NULL) {
            waiting_take(waiting, claim);
            claim_free(claim);
        }
    }
    table_clear(&waiting->pids);
    table_clear(&waiting->ids);
}

/* --- the queues ------------------------------------------------------------------- */

static void append(struct waiting *waiting, struct claim *claim, enum claim_stage stage,
                   uint64_t until_ms)
{
    struct claim *last = waiting->queues[stage].last;

    claim->stage = stage;
    claim->until_ms = until_ms;
    claim->prev = last;
    claim->next = NULL;
    *(last != NULL ? &last->next : &waiting->queues[stage].first) = claim;
    waiting->queues[stage].last = claim;
}

static void detach(struct waiting *waiting, struct claim *claim)
{
    enum claim_stage stage = claim->stage;

    *(claim->prev != NULL ? &claim->prev->next : &waiting->queues[stage].first) = claim->next;
    *(claim->next != NULL ? &claim->next->prev : &waiting->queues[stage].last) = claim->prev;
}

void waiting_move(struct waiting *waiting, struct claim *claim, enum claim_stage stage,
                  uint64_t until_ms)
{
    detach(waiting, claim);
    append(waiting, claim, stage, until_ms);
}

struct claim *waiting_expired(const struct waiting *waiting, enum claim_stage stage,
                              uint64_t now_ms)
{
    struct claim *first = waiting->queues[stage].first;

    return first != NULL && first->until_ms <= now_ms ? first : NULL;
}

uint64_t waiting_due_ms(const struct waiting *waiting)
{
    uint64_t due_ms = UINT64_MAX;

    for (int stage = 0; stage < CLAIM_STAGES; stage++) {
        const struct claim *first = waiting->queues[stage].first;

        if (first != NULL && first->until_ms < due_ms)
            due_ms = first->until_ms;
    }
    return due_ms;
}

/* --- one -------------------------------------------------------------------------- */

static int is_full(const struct waiting *waiting, size_t bytes)
{
    return waiting->n >= WAITING_MAX || bytes > WAITING_BYTES - waiting->bytes;
}

static void count(struct waiting *waiting, size_t bytes)
{
    waiting->n++;
    waiting->bytes += bytes;
}

static void uncount(struct waiting *waiting, size_t bytes)
{
    waiting->n--;
    waiting->bytes -= bytes;
}

static size_t admit_bytes(const struct admit *admit)
{
    return sizeof(*admit) + admit->rooms.n * sizeof(struct slice) + admit_names(admit);
}

static struct claim *claim_new(const struct claim *from, size_t bytes)
{
    struct claim *claim = malloc(sizeof(*claim));

    if (claim == NULL)
        return NULL;
    *claim = (struct claim){.copy = admit_copy(from->admit),
                            .pid = from->pid,
                            .is_proven = from->is_proven,
                            .is_unknown = from->is_unknown,
                            .holder = from->holder,
                            .asked_ms = from->asked_ms,
                            .bytes = bytes};
    if (claim->copy == NULL) {
        free(claim);
        return NULL;
    }
    claim->admit = claim->copy;
    claim->end = &claim->first;
    claim->by_pid.key = claim->admit->pid.ptr;
    claim->by_pid.key_len = PID_LEN;
    claim->by_id.key = (const char *)&claim->id;
    claim->by_id.key_len = sizeof(claim->id);
    return claim;
}

struct claim *waiting_put(struct waiting *waiting, const struct claim *claim,
                          enum claim_stage stage, uint64_t until_ms)
{
    size_t bytes = sizeof(*claim) + admit_bytes(claim->admit);
    struct claim *waits = is_full(waiting, bytes) ? NULL : claim_new(claim, bytes);

    if (waits == NULL)
        return NULL;
    if (table_insert(&waiting->pids, &waits->by_pid) < 0) {
        claim_free(waits);
        return NULL;
    }
    count(waiting, bytes);
    append(waiting, waits, stage, until_ms);
    return waits;
}

static void unnumber(struct waiting *waiting, struct claim *claim)
{
    if (claim->id != 0)
        table_remove(&waiting->ids, &claim->by_id);
    claim->id = 0;
}

int waiting_number(struct waiting *waiting, struct claim *claim)
{
    unnumber(waiting, claim);
    do {
        waiting->last_id += waiting->last_id == UINT32_MAX ? 2 : 1; /* never 0 */
    } while (waiting_id(waiting, waiting->last_id) != NULL);
    claim->id = waiting->last_id;
    if (table_insert(&waiting->ids, &claim->by_id) == 0)
        return 0;
    claim->id = 0;
    return -1;
}

struct claim *waiting_pid(const struct waiting *waiting, const uint8_t pid[PID_LEN])
{
    return of_pid(table_find(&waiting->pids, (const char *)pid, PID_LEN));
}

struct claim *waiting_id(const struct waiting *waiting, uint32_t id)
{
    return of_id(table_find(&waiting->ids, (const char *)&id, sizeof(id)));
}

void waiting_take(struct waiting *waiting, struct claim *claim)
{
    detach(waiting, claim);
    unnumber(waiting, claim);
    table_remove(&waiting->pids, &claim->by_pid);
    uncount(waiting, claim->bytes);
    for (const struct follower *follower = claim->first; follower != NULL;
         follower = follower->next)
        uncount(waiting, follower->bytes);
}

void claim_free(struct claim *claim)
{
    struct follower *follower;

    while ((follower = claim_follower(claim)) != NULL)
        follower_free(follower);
    free(claim->copy);
    free(claim);
}

/* --- followers -------------------------------------------------------------------- */

static void follow(struct waiting *waiting, struct claim *claim, struct follower *follower)
{
    *claim->end = follower;
    claim->end = &follower->next;
    claim->nfollowers++;
    count(waiting, follower->bytes);
}

static struct follower *follower_new(const struct waiting *waiting, const struct claim *claim,
                                     size_t bytes, size_t uid_len)
{
    struct follower *follower;

    bytes += sizeof(*follower) + uid_len;
    if (claim->nfollowers >= WAITING_FOLLOWERS || is_full(waiting, bytes))
        return NULL;
    follower = calloc(1, sizeof(*follower) + uid_len);
    if (follower != NULL)
        follower->bytes = bytes;
    return follower;
}

int waiting_follow_admit(struct waiting *waiting, struct claim *claim, const struct admit *admit,
                         uint64_t asked_ms)
{
    struct follower *follower = follower_new(waiting, claim, admit_bytes(admit), 0);

    if (follower == NULL)
        return -1;
    follower->asked_ms = asked_ms;
    follower->admit = admit_copy(admit);
    if (follower->admit == NULL) {
        free(follower);
        return -1;
    }
    follow(waiting, claim, follower);
    return 0;
}

int waiting_follow_question(struct waiting *waiting, struct claim *claim, uint64_t from,
                            const struct peer_question *question, uint64_t asked_ms)
{
    struct follower *follower = follower_new(waiting, claim, 0, question->uid.len);

    if (follower == NULL)
        return -1;
    follower->from = from;
    follower->asked_ms = asked_ms;
    follower->question = *question;
    memcpy(follower->pid, question->pid, PID_LEN);
    memcpy(follower->uid, question->uid.ptr, question->uid.len);
    follower->question.pid = follower->pid;
    follower->question.uid.ptr = follower->uid;
    follow(waiting, claim, follower);
    return 0;
}

struct follower *claim_follower(struct claim *claim)
{
    struct follower *follower = claim->first;

    if (follower == NULL)
        return NULL;
    claim->first = follower->next;
    if (claim->first == NULL)
        claim->end = &claim->first;
    return follower;
}

void follower_free(struct follower *follower)
{
    free(follower->admit);
    free(follower);
}

void claim_drop_lane(struct claim *claim, unsigned lane)
{
    claim->is_gone |= claim->admit->lane == lane;
    for (struct follower *follower = claim->first; follower != NULL; follower = follower->next)
        follower->is_gone |= follower->admit != NULL && follower->admit->lane == lane;
}

void waiting_drop_lane(struct waiting *waiting, unsigned lane)
{
    for (int stage = 0; stage < CLAIM_STAGES; stage++)
        for (struct claim *claim = waiting->queues[stage].first; claim != NULL; claim = claim->next)
            claim_drop_lane(claim, lane);
}
