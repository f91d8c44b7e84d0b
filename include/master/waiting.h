/* waiting - clients that want a session back and wait for redis or for another daemon, and who
 * wants the same session meanwhile.
 *
 * Each is in one of three queues, by what it waits for, in the order in which its time is up; and
 * is found by its pid, and by the id of its question.  What is kept is bounded. */
#ifndef MASTER_WAITING_H
#define MASTER_WAITING_H

#include "base/table.h"
#include "codec/peer.h"
#include "codec/pid.h"
#include "master/admit.h"

#include <stddef.h>
#include <stdint.h>

#define WAITING_MAX       100000
#define WAITING_BYTES     (64UL * 1024 * 1024)
#define WAITING_FOLLOWERS 16 /* of one session */

enum claim_stage {
    CLAIM_SYNCING, /* for all that redis has */
    CLAIM_ASKING,  /* for its question to come back */
    CLAIM_ASKED,   /* which it has: for an answer */
    CLAIM_STAGES
};

/* Who wants the session of a claim that waits: another client here (admit), or another daemon. */
struct follower {
    struct follower *next;
    struct admit *admit;
    uint64_t from;
    struct peer_question question; /* with pid and uid of its own */
    uint8_t pid[PID_LEN];
    int is_gone;       /* its worker is */
    uint64_t asked_ms; /* since then it wants it */
    size_t bytes;
    char uid[];
};

struct claim {
    const struct admit *admit;
    struct pid pid;  /* of it */
    int is_proven;   /* by a key of this daemon, or by the word of the pid's; then the offset of pid
                        is there */
    int is_unknown;  /* its daemon knows nothing of it */
    uint64_t holder; /* who has it, as another daemon says; 0: none does */
    uint64_t asked_ms; /* when its client came: newest.h */
    /* Of waiting: */
    struct admit *copy; /* what admit is then */
    struct table_node by_pid, by_id;
    struct claim *prev, *next;
    enum claim_stage stage;
    uint64_t until_ms;
    uint64_t ping;     /* CLAIM_SYNCING: for which one */
    uint32_t id;       /* of its question; 0: none yet */
    uint64_t requests; /* gone_requests() in the place of that */
    int is_gone;       /* its worker is: nobody waits for an answer */
    size_t bytes;
    struct follower *first, **end;
    unsigned nfollowers;
};

struct waiting {
    struct {
        struct claim *first, *last;
    } queues[CLAIM_STAGES];
    struct table pids, ids;
    uint32_t last_id;
    size_t n, bytes; /* with followers */
};

void waiting_init(struct waiting *waiting);
void waiting_clear(struct waiting *waiting); /* nobody is answered */

/* Claim waits (copied, with its admit); no other has its pid.  NULL if too many do, or without
 * memory. */
struct claim *waiting_put(struct waiting *waiting, const struct claim *claim,
                          enum claim_stage stage, uint64_t until_ms);

/* It waits for something else; until_ms is not less than that of those who do already. */
void waiting_move(struct waiting *waiting, struct claim *claim, enum claim_stage stage,
                  uint64_t until_ms);

/* It has a new id, by which it is found.  Returns 0, or -1 without memory: then it has none. */
int waiting_number(struct waiting *waiting, struct claim *claim);

/* By all of the pid, of which nobody but its client knows more than the session: whoever makes one
 * up is in nobody's way. */
struct claim *waiting_pid(const struct waiting *waiting, const uint8_t pid[PID_LEN]);
struct claim *waiting_id(const struct waiting *waiting, uint32_t id);

/* The first of that queue if its time is up, or NULL. */
struct claim *waiting_expired(const struct waiting *waiting, enum claim_stage stage,
                              uint64_t now_ms);
/* When the next one's is; UINT64_MAX: nobody waits. */
uint64_t waiting_due_ms(const struct waiting *waiting);

/* It does not wait any more: out of everything, but for claim_free(). */
void waiting_take(struct waiting *waiting, struct claim *claim);
/* With its followers that are left. */
void claim_free(struct claim *claim);

/* Behind claim; all is copied.  Returns 0, or -1 if too many are, or without memory. */
int waiting_follow_admit(struct waiting *waiting, struct claim *claim, const struct admit *admit,
                         uint64_t asked_ms);
int waiting_follow_question(struct waiting *waiting, struct claim *claim, uint64_t from,
                            const struct peer_question *question, uint64_t asked_ms);
/* Its first follower, the caller's: follower_free().  NULL: none.  claim has been taken. */
struct follower *claim_follower(struct claim *claim);
void follower_free(struct follower *follower);

/* Marks the clients of that worker as gone.  Takes none out. */
void waiting_drop_lane(struct waiting *waiting, unsigned lane);
/* Those of a claim that has been taken. */
void claim_drop_lane(struct claim *claim, unsigned lane);

#endif
