/* asking - what this daemon asks the servers of the cluster because somebody wants to know.
 *
 * A question is a request as any server sends (codec/request.h), under a name that only it has,
 * so that this daemon is one of those that are asked.  It has a connection of its own to redis,
 * on which it hears how many servers there are (PUBSUB NUMSUB) and subscribes to the channels
 * of answers; then it is published as all else, and all is over when everybody has answered, or
 * its time is.  Nothing is subscribed to while nothing is asked, and nothing here blocks. */
#ifndef MASTER_ASKING_H
#define MASTER_ASKING_H

#include "base/buf.h"
#include "base/slice.h"
#include "conf.h"

#define ASKING_QUESTIONS 8 /* at once */

struct asking;
struct event_base;
struct question;

struct asking_ops {
    /* As feed_publish(), on the connection in force. */
    int (*publish)(struct slice channel, struct buf *payload, void (*done)(int ok, void *done_arg),
                   void *done_arg, void *arg);
    /* What is in force, and where redis is: feed_server(). */
    const struct conf *(*conf)(void *arg);
    const struct conf_redis *(*server)(void *arg);
};

/* ops is borrowed.  NULL without memory. */
struct asking *asking_new(struct event_base *base, const struct asking_ops *ops, void *arg);
/* What is still asked is over, and has to be freed from within over(). */
void asking_free(struct asking **asking);

/* In a child, which has no use for them: gives up the secrets of connections. */
void asking_wipe(struct asking *asking);

/* This daemon publishes an answer to whoever asked: it is one of those that are heard. */
void asking_answers(struct asking *asking, struct slice payload);

/* Publishes a message for clients, or a request that is not answered: as feed_publish(). */
int asking_publish(struct asking *asking, struct slice channel, struct buf *payload,
                   void (*done)(int ok, void *done_arg), void *done_arg);

enum question_end {
    QUESTION_ANSWERED, /* all servers have */
    QUESTION_LATE,     /* what is known is what was known when its time was up */
    QUESTION_LOST,     /* the same when its connection was lost */
    QUESTION_UNASKED   /* redis has not taken it */
};

struct question_ops { /* question_free() is allowed in over() only */
    /* What may be an answer, as it has the question's id somewhere in it; is_own: of this
     * daemon.  Returns 1 if it is all that a server has to say. */
    int (*heard)(struct slice payload, int is_own, void *arg);
    /* 1 if nobody has more to say, once all servers have answered.  NULL: nobody has. */
    int (*is_whole)(void *arg);
    /* why: a sentence, of QUESTION_UNASKED and QUESTION_LOST. */
    void (*over)(enum question_end end, const char *why, void *arg);
};

/* One that may take ms from when it is published.  ops is borrowed.  NULL where there are max of
 * them already (ASKING_QUESTIONS at most), or no memory. */
struct question *question_new(struct asking *asking, unsigned max, unsigned ms,
                              const struct question_ops *ops, void *arg);
/* What it asks is of no interest any more. */
void question_free(struct question **question);

/* For the request: letters and digits. */
struct slice question_uid(const struct question *question);
struct slice question_id(const struct question *question);

/* Takes request (it is empty then).  over() follows, from the loop. */
void question_ask(struct question *question, struct buf *request);

/* Nobody wants the answers any more: it is over once redis has confirmed it, or has not. */
void question_leave(struct question *question);

/* How many servers there are, how many of them have answered, and how many subscribers redis says
 * that it has given the question to. */
unsigned question_servers(const struct question *question);
unsigned question_answered(const struct question *question);
unsigned question_subscribers(const struct question *question);

#endif
