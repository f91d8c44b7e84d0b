#include "net/close.h"

const char *close_reason_name(enum close_reason why)
{
    static const char *const names[] = {
        [CLOSE_CLIENT] = "client",
        [CLOSE_PING_TIMEOUT] = "ping timeout",
        [CLOSE_CONNECT_TIMEOUT] = "connect timeout",
        [CLOSE_SEND_TIMEOUT] = "send timeout",
        [CLOSE_SEND_BUFFER] = "send buffer full",
        [CLOSE_PROTOCOL] = "protocol error",
        [CLOSE_TOO_BIG] = "message too big",
        [CLOSE_REFUSED] = "refused",
        [CLOSE_EXPIRED] = "token expired",
        [CLOSE_LEFT] = "client left",
        [CLOSE_REPLACED] = "replaced by a newer connection",
        [CLOSE_TAKEN] = "session taken by another connection",
        [CLOSE_DISCONNECTED] = "disconnected by request",
        [CLOSE_OVERRUN] = "history overrun",
        [CLOSE_EVICTED] = "evicted for want of a token",
        [CLOSE_SHUTDOWN] = "shutdown",
        [CLOSE_NO_MEMORY] = "no memory",
    };
    return names[why];
}

int close_may_return(enum close_reason why)
{
    switch (why) {
    case CLOSE_SHUTDOWN:
    case CLOSE_PING_TIMEOUT:
    case CLOSE_SEND_TIMEOUT:
    case CLOSE_SEND_BUFFER:
    case CLOSE_OVERRUN:
    case CLOSE_EVICTED:
    case CLOSE_NO_MEMORY:
        return 1;
    default:
        return 0;
    }
}
