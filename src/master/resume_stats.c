#include "master/resume_stats.h"

const char *resume_refusal_name(enum resume_refusal why)
{
    /* Without a default, so that the compiler names what is left out. */
    switch (why) {
    case RESUME_PID:
        return "pid";
    case RESUME_OFFSET:
        return "offset";
    case RESUME_AWAY:
        return "away";
    case RESUME_GAP:
        return "gap";
    case RESUME_ENDED:
        return "ended";
    case RESUME_UNKNOWN:
        return "unknown";
    case RESUME_ELSEWHERE:
        return "elsewhere";
    case RESUME_ROOMS:
        return "rooms";
    case RESUME_HOLE:
        return "hole";
    case RESUME_BUSY:
        return "busy";
    case RESUME_REFUSALS:
        break;
    }
    return "unknown_reason";
}
