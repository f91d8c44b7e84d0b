/* caller - one who calls the admin address: a connection, which serves one request.
 *
 * Own code over the head parser of the client port, for libevent's HTTP server
 * (2.1.12) limits neither connections nor the time that a request may take: its
 * deadline begins anew with each byte.  Here deadlines are absolute (CALLER_HEAD_MS for
 * the head, CALLER_BODY_MS for the body, CALLER_WRITE_MS for the answer), and when there
 * are as many as there may be a new one takes the place of the oldest, so that nobody can
 * keep others out.  Nothing here blocks.
 *
 * A request is answered at once, or later (caller_wait()), or when its body has come
 * (caller_body()), or without an end (caller_stream()).  HEAD is answered as GET, without
 * the body. */
#ifndef MASTER_CALLER_H
#define MASTER_CALLER_H

#include "base/address.h"
#include "base/buf.h"
#include "base/slice.h"
#include "codec/http.h"

#include <stddef.h>

#define CALLER_HEAD_BYTES   8192
#define CALLER_HEAD_MS      5000
#define CALLER_BODY_MS      30000
#define CALLER_WRITE_MS     10000
#define CALLER_LINGER_MS    1000        /* after the answer, for the caller to read it */
#define CALLER_STREAMS      8           /* there are at most */
#define CALLER_BEHIND_BYTES (256 << 10) /* a stream that has more waiting for ... */
#define CALLER_BEHIND_MS    10000       /* ... so long ends, or one that has ... */
#define CALLER_STREAM_MAX   (4 << 20)   /* ... so much waiting */
#define CALLER_JSON         "application/json"

struct event_base;
struct caller;
struct callers;

struct callers_ops {
    /* The head of a request, which is valid for the call.  It is answered from within this,
     * or one of caller_wait(), caller_body() and caller_stream() is called for it. */
    void (*request)(struct caller *caller, const struct http_request *req, void *arg);
};

/* As many as max, but for those of caller_keep() and streams.  ops is borrowed.  NULL without
 * memory. */
struct callers *callers_new(struct event_base *base, unsigned max, const struct callers_ops *ops,
                            void *arg);
/* Closes them; answers on their way are cut off. */
void callers_free(struct callers **callers);

/* Takes a connection that was accepted. */
void callers_add(struct callers *callers, int fd);

/* Where it calls from. */
const struct address *caller_address(const struct caller *caller);

/* Takes body (it is empty then).  headers: further lines, each with its \r\n, or NULL.  The caller
 * is nobody's from now on. */
void caller_answer(struct caller *caller, int status, const char *type, const char *headers,
                   struct buf *body);

/* {"error":REASON} or, with a message (a sentence), {"error":REASON,"message":MESSAGE}.
 * Likewise. */
void caller_refuse(struct caller *caller, int status, const char *headers, const char *message);

/* It is answered later, within ms, or its connection is closed.  gone: NULL, or called when the
 * caller ends before it is answered, but never from within a call to one of these; it is freed
 * then. */
void caller_wait(struct caller *caller, unsigned ms, void (*gone)(void *arg), void *arg);

/* One that may wait for long: that it says nothing more is taken for its end from now on, though it
 * might still read. */
void caller_heed(struct caller *caller);

/* It does not make place for others from now on: the owner knows how many of these there are. */
void caller_keep(struct caller *caller);

/* How many of these there are, from then until their connections have ended. */
unsigned callers_kept(const struct callers *callers);

/* Takes the body of req, at most max bytes, and has taken() called with it, which answers it or has
 * it wait; from the loop.  None is an empty one.  gone: as of caller_wait(), when the caller ends
 * before that, or its body cannot be taken and it was told so. */
void caller_body(struct caller *caller, const struct http_request *req, size_t max,
                 void (*taken)(struct caller *caller, struct slice body, void *arg),
                 void (*gone)(void *arg), void *arg);

struct caller_stream_ops {
    /* It has ended, or is broken: never from within a call to one of these. */
    void (*gone)(void *arg);
};

/* The head of an endless answer, which proxies are asked not to hold back.  Returns 0; or -1 where
 * there cannot be one, and it has been answered (503 where there are CALLER_STREAMS; HEAD has all
 * it wants): gone() is not called then. */
int caller_stream(struct caller *caller, const char *type, const struct caller_stream_ops *ops,
                  void *arg);

/* One that does not read, or for which there is no memory, is gone soon; until it is told so this
 * may be called. */
void caller_stream_put(struct caller *caller, const void *bytes, size_t len);

/* What waits is still written.  gone() is not called any more, and the caller is nobody's. */
void caller_stream_end(struct caller *caller);

#endif
