/* admission - the questions to the master whether clients may come in, in the order in which
 * they were sent. */
#ifndef WORKER_ADMISSION_H
#define WORKER_ADMISSION_H

#include "base/slice.h"
#include "base/slices.h"
#include "sio/claim.h"

#include <stdint.h>

struct client;
struct uplink;

/* A question.  It outlives its client: an answer that comes too late has to be taken back under
 * the same name. */
struct admission {
    struct admission *next;
    struct client *client; /* NULL: gone */
    uint64_t handle;
    struct sio_claim claim; /* what its last CONNECT said of its session */
    uint8_t changed;        /* its last CONNECT is not the one that was asked about */
    uint8_t ended;          /* it has left since: what it claimed is over */
    uint8_t uid_len;
    char uid[];
};

struct admissions {
    struct uplink *uplink; /* borrowed */
    struct admission *first, **end;
    struct slices rooms; /* for one; reused */
    int recovers;        /* clients may have their sessions back */
};

void admissions_init(struct admissions *admissions, struct uplink *uplink);

/* Frees those that were never answered. */
void admissions_clear(struct admissions *admissions);

/* Asks whether client may in, which has nothing else asked.  claim (copied): of its CONNECT.
 * Returns 0, or -1 without memory (nothing was asked). */
int admission_ask(struct admissions *admissions, struct client *client,
                  const struct sio_claim *claim);

/* The answer is not here yet, and its client has left and sent a CONNECT again. */
void admission_again(struct admission *admission, const struct sio_claim *claim);

/* The one that the master answers now; free() it.  NULL if that was not asked. */
struct admission *admission_take(struct admissions *admissions, uint64_t handle);

/* 1 if the client still waits for what was asked. */
int admission_stands(const struct admission *admission);

static inline struct slice admission_uid(const struct admission *admission)
{
    return (struct slice){admission->uid, admission->uid_len};
}

#endif
