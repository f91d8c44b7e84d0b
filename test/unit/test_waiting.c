#include "master/waiting.h"

#include "nomem_nth.h"
#include "tap.h"

static struct waiting waiting;

static struct admit admit_of(unsigned lane, uint64_t client)
{
    return (struct admit){.lane = lane, .client = client, .uid = SLICE("ann")};
}

static struct claim *put(uint8_t session, unsigned lane, enum claim_stage stage, uint64_t until_ms)
{
    struct admit admit = admit_of(lane, session);
    struct claim claim = {.admit = &admit, .is_proven = 1};
    const uint8_t raw[PID_LEN] = {session};

    admit.pid = (struct slice){(const char *)raw, PID_LEN};
    return waiting_put(&waiting, &claim, stage, until_ms);
}

static struct claim *find(uint8_t session)
{
    const uint8_t raw[PID_LEN] = {session};

    return waiting_pid(&waiting, raw);
}

static void drop(struct claim *claim)
{
    waiting_take(&waiting, claim);
    claim_free(claim);
}

static void test_queues(void)
{
    struct claim *a, *b, *c;

    waiting_init(&waiting);
    ok(waiting_due_ms(&waiting) == UINT64_MAX && find(1) == NULL, "nobody waits");
    a = put(1, 1, CLAIM_SYNCING, 100);
    b = put(2, 1, CLAIM_SYNCING, 110);
    c = put(3, 2, CLAIM_ASKING, 50);
    is_int(waiting.n, 3, "three do");
    ok(find(1) == a && find(2) == b && find(3) == c, "each is found by its pid");
    ok(a->is_proven && slice_eq(a->admit->uid, SLICE("ann")), "it is copied");
    is_int(waiting_due_ms(&waiting), 50, "the time of one is up first");
    ok(waiting_expired(&waiting, CLAIM_ASKING, 49) == NULL &&
           waiting_expired(&waiting, CLAIM_ASKING, 50) == c,
       "when it is");
    waiting_move(&waiting, a, CLAIM_ASKED, 300);
    ok(waiting_expired(&waiting, CLAIM_SYNCING, 200) == b, "another is the first then");
    ok(waiting_expired(&waiting, CLAIM_ASKED, 300) == a, "one has gone on");
    drop(c);
    is_int(waiting_due_ms(&waiting), 110, "one has gone");
    ok(find(3) == NULL, "and is not found");
    waiting_clear(&waiting);
}

static void test_numbers(void)
{
    struct claim *a, *b;
    uint32_t first;

    waiting_init(&waiting);
    a = put(1, 1, CLAIM_ASKING, 100);
    b = put(2, 1, CLAIM_ASKING, 100);
    ok(waiting_number(&waiting, a) == 0 && waiting_number(&waiting, b) == 0 && a->id != b->id,
       "two have two ids");
    ok(waiting_id(&waiting, a->id) == a && waiting_id(&waiting, b->id) == b, "they are found by");
    first = a->id;
    waiting.last_id = UINT32_MAX;
    waiting_number(&waiting, a);
    ok(a->id != 0 && a->id != b->id && waiting_id(&waiting, a->id) == a, "another, after the last");
    ok(first == a->id || waiting_id(&waiting, first) == NULL,
       "the one before is not its own any more");
    waiting_clear(&waiting);
}

static void test_followers(void)
{
    struct admit admit = admit_of(1, 9);
    uint8_t pid[PID_LEN] = {1, 2, 3};
    struct peer_question question = {.to = 4, .id = 5, .pid = pid, .uid = SLICE("bob")};
    struct follower *follower;
    struct claim *a;
    int n = 2;

    waiting_init(&waiting);
    a = put(1, 1, CLAIM_SYNCING, 100);
    is_int(waiting_follow_admit(&waiting, a, &admit, 6), 0, "a client behind it");
    is_int(waiting_follow_question(&waiting, a, 77, &question, 7), 0, "another daemon");
    is_int(waiting.n, 3, "they are counted");
    while (waiting_follow_admit(&waiting, a, &admit, 6) == 0)
        n++;
    is_int(n, WAITING_FOLLOWERS, "so many may be");
    waiting_drop_lane(&waiting, 1);
    ok(a->is_gone, "its worker has gone");
    waiting_take(&waiting, a);
    is_int(waiting.n, 0, "they do not wait any more");
    is_int(waiting.bytes, 0, "nor take a place");
    follower = claim_follower(a);
    ok(follower->admit != NULL && follower->admit->client == 9 && follower->is_gone,
       "the client was the first");
    follower_free(follower);
    follower = claim_follower(a);
    ok(follower->admit == NULL && follower->from == 77 && follower->asked_ms == 7 &&
           follower->question.id == 5 && memcmp(follower->question.pid, pid, PID_LEN) == 0 &&
           slice_eq(follower->question.uid, SLICE("bob")) && !follower->is_gone,
       "the question the next");
    follower_free(follower);
    claim_free(a);
    waiting_clear(&waiting);
}

static void test_bounds(void)
{
    struct claim *a, *b;

    waiting_init(&waiting);
    a = put(1, 1, CLAIM_SYNCING, 100);
    waiting.n = WAITING_MAX;
    ok(put(2, 1, CLAIM_SYNCING, 100) == NULL, "so many wait");
    waiting.n = 1;
    waiting.bytes += WAITING_BYTES - waiting.bytes;
    ok(put(2, 1, CLAIM_SYNCING, 100) == NULL, "so much");
    waiting.bytes = a->bytes;
    for (int nth = 1; nth <= 3; nth++) {
        nomem_nth = nth;
        b = put((uint8_t)(10 + nth), 1, CLAIM_SYNCING, 100);
        nomem_nth = 0;
        if (b == NULL)
            ok(find((uint8_t)(10 + nth)) == NULL && waiting.n == 1, "without memory nobody waits");
        else
            drop(b);
    }
    waiting_clear(&waiting);
    is_int(waiting.n + waiting.bytes, 0, "nothing is left");
}

int main(void)
{
    test_queues();
    test_numbers();
    test_followers();
    test_bounds();
    return tap_done();
}
