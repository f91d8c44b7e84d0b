/* close - why a connection or session ended. */
#ifndef NET_CLOSE_H
#define NET_CLOSE_H

enum close_reason {
    CLOSE_CLIENT, /* the client closed, or its connection broke */
    CLOSE_PING_TIMEOUT,
    CLOSE_CONNECT_TIMEOUT,
    CLOSE_SEND_TIMEOUT, /* its oldest output waited for too long */
    CLOSE_SEND_BUFFER,  /* too much output waited */
    CLOSE_PROTOCOL,     /* it broke a protocol's rules */
    CLOSE_TOO_BIG,
    CLOSE_REFUSED,      /* by the application */
    CLOSE_EXPIRED,      /* its deadline (socket_expire) has come */
    CLOSE_LEFT,         /* the client left the namespace; its connection may go on */
    CLOSE_REPLACED,     /* by a newer connection of the same user */
    CLOSE_TAKEN,        /* another connection has recovered its session */
    CLOSE_DISCONNECTED, /* by a backend's request */
    CLOSE_OVERRUN,      /* the history has lost what it was still to be sent of it */
    CLOSE_EVICTED,      /* it had no good token, and others without one came */
    CLOSE_SHUTDOWN,
    CLOSE_NO_MEMORY,
    CLOSE_REASONS /* how many there are */
};

/* For the log. */
const char *close_reason_name(enum close_reason why);

/* 1 if that is no fault of the client, which is to come back: its WebSocket just ends
 * then.  Clients in Java stop reading at a close frame and wait for their ping timeout,
 * one in C++ comes back after none without a code.  For one that polls see polling.c. */
int close_may_return(enum close_reason why);

#endif
