/* rerun - going through the history for some clients, from where the first of them was up to what
 * the worker has taken from the master: what has them get what they missed, or adds up what that
 * is. */
#ifndef WORKER_RERUN_H
#define WORKER_RERUN_H

#include "base/buf.h"
#include "ipc/counters.h"
#include "ipc/msg.h"
#include "worker/missed.h"

#include <stddef.h>
#include <stdint.h>

struct fanout;
struct history_view;
struct sio;

struct line { /* of those it is for; one that has gone leaves NULL.  Zero is an empty one */
    struct missing **at;
    size_t n, cap;
};

/* Returns its place, or -1 without memory. */
long line_put(struct line *line, struct missing *one);
void line_clear(struct line *line);
/* The position of the first entry that may be for one of them; UINT64_MAX: nobody is there. */
uint64_t line_lowest(const struct line *line);

struct rerun {
    const struct history_view *history; /* these are borrowed */
    struct sio *sio;
    void (*give_up)(struct missing *one, enum replay_result why, void *arg);
    void *arg;
    uint64_t taken;                 /* the number up to which all has been taken */
    uint64_t serial;                /* of the last entry that was chosen for somebody */
    struct buf message;             /* one; reused */
    struct msg_broadcast broadcast; /* likewise */
};

void rerun_clear(struct rerun *rerun);

/* One going through. */
struct group {
    const struct line *line;
    const struct missed *missed; /* made of it */
    uint64_t pos;                /* up to which it has come; at first line_lowest() */
    /* One of them has missed what is in fanout, whose number is seq.  Returns 0, or -1 if it cannot
     * have it: it is given up for want of memory. */
    int (*visit)(struct missing *one, struct fanout *fanout, uint64_t seq, void *arg);
    size_t failed; /* visits of one entry that have failed */
};

/* Goes on.  Those whose entries are lost (or for which there is no memory) are given up:
 * give_up() takes them out of the line, and may do so with others.  Returns 1 when it has
 * reached what has been taken, or nobody is left; 0 when it is until_ms, of clock_ms(). */
int rerun_go_on(struct rerun *rerun, struct group *group, uint64_t until_ms);

#endif
