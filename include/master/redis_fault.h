/* redis_fault - what is wrong with a connection to redis: noted where it is found, and acted
 * on once whoever still uses the connection has returned.  Each kind is logged once until
 * the next success, and then once a minute. */
#ifndef MASTER_REDIS_FAULT_H
#define MASTER_REDIS_FAULT_H

#include <stddef.h>
#include <stdint.h>

enum redis_fault_kind {
    REDIS_FAULT_CONNECT,
    REDIS_FAULT_DEADLINE,
    REDIS_FAULT_SILENT,
    REDIS_FAULT_CLOSED,
    REDIS_FAULT_PROTOCOL,
    REDIS_FAULT_TOO_LARGE,
    REDIS_FAULT_MEMORY,
    REDIS_FAULT_PASSWORD,
    REDIS_FAULT_PERMISSION,
    REDIS_FAULT_LOADING,
    REDIS_FAULT_CLIENTS,
    REDIS_FAULT_SENTINELS,       /* none of them answers */
    REDIS_FAULT_NAME,            /* those that do know no such master */
    REDIS_FAULT_MASTER,          /* it is none, or another one is */
    REDIS_FAULT_TLS,             /* no TLS comes about */
    REDIS_FAULT_CERTIFICATE,     /* that of redis does not hold */
    REDIS_FAULT_OUR_CERTIFICATE, /* ours does not please redis, or it wants one */
    REDIS_FAULT_WANTS_TLS,       /* it was spoken to in plain text */
    REDIS_FAULT_ERROR            /* another -ERR */
};

struct redis_fault { /* zero is none */
    int is_found;
    enum redis_fault_kind kind;
    char why[320];
    unsigned logged;    /* bits of the kinds that were logged since the last success */
    uint64_t logged_ms; /* when the last of them was */
};

/* Notes one; where there is one already that stays.  Returns -1. */
int redis_fault_note(struct redis_fault *fault, enum redis_fault_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Logs it: where it was tried to get a subscription (at debug if its kind was logged
 * already), or where is NULL and the subscription is lost. */
void redis_fault_log(struct redis_fault *fault, const char *where, uint64_t now_ms);

/* A success: the next of each kind is logged again. */
void redis_fault_over(struct redis_fault *fault);

/* What an error is that redis answers. */
enum redis_fault_kind redis_fault_kind(const char *error);

#endif
