/* resume_stats - what is counted of clients that want their session back. */
#ifndef MASTER_RESUME_STATS_H
#define MASTER_RESUME_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Why a client that came with a pid or an offset is not recovered.  It hears of none of them: to
 * it they are all the same (resume.h). */
enum resume_refusal {
    RESUME_PID,       /* malformed, forged, another user's, or of another secret */
    RESUME_OFFSET,    /* not in the history: too old, unknown, malformed */
    RESUME_AWAY,      /* away for longer than maxDisconnectionDuration */
    RESUME_GAP,       /* the session began before something was missed */
    RESUME_ENDED,     /* it is over: its client left, or was put out */
    RESUME_UNKNOWN,   /* nothing is known of it any more */
    RESUME_ELSEWHERE, /* its daemon has not answered, and it cannot do without */
    RESUME_ROOMS,     /* since when it is in its rooms cannot be said */
    RESUME_HOLE,      /* it comes from another daemon, and what it missed was refused here */
    RESUME_BUSY,      /* too many wait, or there was no memory */
    RESUME_REFUSALS
};

/* "pid", "offset", "away", ...; never NULL. */
const char *resume_refusal_name(enum resume_refusal why);

struct resume_stats {
    uint64_t recovered;
    uint64_t refused[RESUME_REFUSALS];
    uint64_t takeovers; /* connections here whose session has gone on in another */
    uint64_t asked;     /* sessions that other daemons were asked for */
    uint64_t answered;  /* questions of others, about sessions that this one knows */
    uint64_t silent;    /* sessions for which no daemon has answered in time */
    uint64_t dropped;   /* messages of other daemons that are none, or not to be heeded */
    size_t waiting;     /* clients, for another daemon or for redis */
};

#endif
