#include "master/daemons.h"

#include "base/log.h"
#include "tap.h"

#define SELF 7

static struct {
    struct buf said[8];
    size_t nsaid;
    int fails; /* so many more */
    void (*done)(int ok, void *arg);
    void *done_arg;
    unsigned questions, answers, echos, unsent;
    uint64_t from;
    uint32_t id;
} heard;

static struct daemons *daemons;

static int on_publish(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                      void *arg)
{
    (void)arg;
    if (heard.fails > 0) {
        heard.fails--;
        return -1;
    }
    if (heard.nsaid == 8)
        abort();
    heard.said[heard.nsaid++] = *payload;
    *payload = (struct buf){0};
    heard.done = done;
    heard.done_arg = done_arg;
    return 0;
}

static void on_question(uint64_t from, const struct peer_question *question, void *arg)
{
    (void)arg;
    heard.questions++;
    heard.from = from;
    heard.id = question->id;
}

static void on_answer(uint64_t from, const struct peer_answer *answer, void *arg)
{
    (void)arg;
    heard.answers++;
    heard.from = from;
    heard.id = answer->id;
}

static void on_echo(uint32_t id, void *arg)
{
    (void)arg;
    heard.echos++;
    heard.id = id;
}

static void on_unsent(void *arg)
{
    (void)arg;
    heard.unsent++;
}

static const struct daemons_ops ops = {on_publish, on_question, on_answer, on_echo, on_unsent};

static void forget_said(void)
{
    for (size_t i = 0; i < heard.nsaid; i++)
        buf_free(&heard.said[i]);
    heard.nsaid = 0;
}

static void confirm(int ok)
{
    heard.done(ok, heard.done_arg);
}

static uint8_t pid[PID_LEN] = {1};

static struct peer_question question_to(uint64_t to, uint32_t id)
{
    return (struct peer_question){.to = to, .id = id, .pid = pid, .uid = SLICE("ann")};
}

static void hear(const struct buf *message)
{
    daemons_hear(daemons, (struct slice){(const char *)message->data, message->len});
}

static void hear_question(uint64_t from, uint64_t to, uint32_t id)
{
    struct peer_question question = question_to(to, id);
    struct buf message = {0};

    peer_begin(&message, from);
    peer_put_question(&message, &question);
    hear(&message);
    buf_free(&message);
}

static void hear_answer(uint64_t from, uint64_t to)
{
    struct buf message = {0};

    peer_begin(&message, from);
    peer_put_answer(&message, &(struct peer_answer){.to = to, .id = 5, .result = PEER_ENDED});
    hear(&message);
    buf_free(&message);
}

static void hear_presence(uint64_t from, uint64_t gap_ms)
{
    struct buf message = {0};

    peer_begin(&message, from);
    peer_put_presence(&message, &(struct peer_presence){gap_ms});
    hear(&message);
    buf_free(&message);
}

static void up(void)
{
    memset(&heard, 0, sizeof(heard));
    daemons = daemons_new(SELF, &ops, NULL);
    if (daemons == NULL)
        abort();
}

static void down(void)
{
    forget_said();
    daemons_free(&daemons);
}

static void test_saying(void)
{
    struct peer_question question = question_to(8, 1);
    struct peer peer;

    up();
    ok(!daemons_has_more(daemons), "there is nothing to say");
    daemons_flush(daemons);
    is_int(heard.nsaid, 0, "so nothing is said");
    is_int(daemons_ask(daemons, &question), 0, "a question");
    is_int(daemons_answer(daemons, &(struct peer_answer){.to = 8, .result = PEER_ENDED}), 0,
           "an answer");
    ok(daemons_has_more(daemons), "they wait");
    daemons_flush(daemons);
    ok(heard.nsaid == 1 && !daemons_has_more(daemons), "they are one message");
    hear(&heard.said[0]);
    ok(heard.echos == 1 && heard.id == 1, "which comes back");
    is_int(heard.questions + heard.answers, 0, "and is for others");
    is_int(peer_read(&peer, (struct slice){(const char *)heard.said[0].data, heard.said[0].len}), 0,
           "it is whole");
    ok(peer.from == SELF && peer_next(&peer) == PEER_QUESTION && peer_next(&peer) == PEER_ANSWER,
       "and in order");
    confirm(1);
    is_int(heard.unsent, 0, "redis has it");
    down();
}

static void test_long(void)
{
    struct buf rooms = {0};
    struct peer_answer answer = {.to = 8, .result = PEER_YOURS};
    struct peer peer;

    up();
    while (rooms.len < PEER_MAX / 3)
        peer_put_room(&rooms, &(struct peer_room){.name = SLICE("a room of many")});
    answer.rooms = (struct slice){(const char *)rooms.data, rooms.len};
    for (int i = 0; i < 5; i++)
        is_int(daemons_answer(daemons, &answer), 0, "a long answer");
    daemons_flush(daemons);
    is_int(heard.nsaid, 3, "they are three messages");
    for (size_t i = 0; i < heard.nsaid; i++)
        ok(heard.said[i].len <= PEER_MAX &&
               peer_read(&peer,
                         (struct slice){(const char *)heard.said[i].data, heard.said[i].len}) == 0,
           "each is whole");
    while (rooms.len <= PEER_MAX)
        peer_put_room(&rooms, &(struct peer_room){.name = SLICE("a room of many")});
    answer.rooms = (struct slice){(const char *)rooms.data, rooms.len};
    is_int(daemons_answer(daemons, &answer), -1, "one that is too long is not said");
    daemons_flush(daemons);
    is_int(heard.nsaid, 3, "nor anything else");
    buf_free(&rooms);
    for (int i = 0; i < 3; i++)
        confirm(1);
    down();
}

static void test_unsent(void)
{
    struct peer_question question = question_to(8, 1);

    up();
    daemons_present(daemons, 100);
    heard.fails = 1;
    daemons_flush(daemons);
    ok(heard.unsent == 1 && heard.nsaid == 0, "what cannot be published is told");
    ok(!daemons_has_more(daemons), "and does not wait: nobody looks again and again");
    daemons_ask(daemons, &question);
    daemons_flush(daemons);
    is_int(heard.nsaid, 1, "the next time its presence is said, too");
    confirm(0);
    is_int(heard.unsent, 2, "redis has refused it");
    forget_said();
    daemons_flush(daemons);
    is_int(heard.nsaid, 1, "the presence is said again");
    confirm(1);
    forget_said();
    daemons_flush(daemons);
    is_int(heard.nsaid, 0, "once it is confirmed it is not");
    down();
}

static void test_hearing(void)
{
    struct daemons_known known;

    up();
    known = daemons_known(daemons, 8, 0);
    ok(!known.has_spoken && !known.is_silent && !known.is_sought && known.gap_ms == 0,
       "nothing is known of who has not spoken");
    hear_question(8, SELF, 3);
    ok(heard.questions == 1 && heard.from == 8 && heard.id == 3, "a question");
    ok(daemons_known(daemons, 8, 0).has_spoken, "it has spoken");
    hear_question(8, 9, 4);
    ok(heard.questions == 2, "one for another is heard as well");
    ok(daemons_known(daemons, 9, 0).is_sought && !daemons_known(daemons, 9, 0).has_spoken,
       "that one is sought");
    hear_answer(8, SELF);
    ok(heard.answers == 1 && heard.id == 5, "an answer");
    hear_answer(8, 9);
    is_int(heard.answers, 1, "one for another is not");
    hear_answer(SELF, SELF);
    is_int(heard.answers, 1, "nor one that says it is from here");
    hear_presence(8, 100);
    hear_presence(8, 50);
    is_int(daemons_known(daemons, 8, 0).gap_ms, 100, "the latest gap counts");
    daemons_note_silent(daemons, 8, 1000);
    ok(daemons_known(daemons, 8, 1000 + DAEMONS_SILENT_MS - 1).is_silent, "one that is silent");
    ok(!daemons_known(daemons, 8, 1000 + DAEMONS_SILENT_MS).is_silent, "for so long");
    daemons_hear(daemons, SLICE("junk"));
    is_int(daemons_dropped(daemons), 1, "junk is counted");
    down();
}

/* Whoever comes hears of who is there. */
static void test_presence(void)
{
    up();
    hear_presence(8, 100);
    ok(!daemons_has_more(daemons), "one that sees nothing yet is not present");
    daemons_present(daemons, 200);
    daemons_flush(daemons);
    is_int(heard.nsaid, 1, "it tells all when it does");
    hear_presence(8, 300);
    ok(!daemons_has_more(daemons), "who is known has heard it");
    hear_presence(9, 300);
    ok(daemons_has_more(daemons), "who is new has not");
    daemons_flush(daemons);
    is_int(heard.nsaid, 2, "it is told");
    confirm(1);
    confirm(1);
    down();
}

static void test_many(void)
{
    up();
    hear_presence(8, 100);
    for (uint64_t from = 100; from < 100 + DAEMONS_MAX - 1; from++)
        hear_presence(from, 100);
    ok(daemons_known(daemons, 8, 0).has_spoken, "so many are known");
    hear_presence(99, 100);
    ok(!daemons_known(daemons, 8, 0).has_spoken, "of one more all are forgotten");
    ok(daemons_known(daemons, 99, 0).has_spoken, "but of that one");
    down();
}

/* What was published is under way when all is over. */
static void test_end(void)
{
    struct peer_question question = question_to(8, 1);

    up();
    daemons_ask(daemons, &question);
    daemons_flush(daemons);
    daemons_free(&daemons);
    ok(daemons == NULL, "it is over");
    confirm(0);
    is_int(heard.unsent, 0, "nobody is told");
    down();
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    test_saying();
    test_long();
    test_unsent();
    test_hearing();
    test_presence();
    test_many();
    test_end();
    return tap_done();
}
