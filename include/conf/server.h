/* conf/server - a redis as it is configured: copies, and whether two are the same. */
#ifndef CONF_SERVER_H
#define CONF_SERVER_H

#include "conf.h"

struct tls_client;

/* Copies all of from, texts and lists too.  Returns 0, or -1 without memory: server_clear()
 * undoes either. */
int server_copy(struct conf_redis *to, const struct conf_redis *from);

/* Overwrites what is secret, and frees all: it is zero then. */
void server_clear(struct conf_redis *server);

/* What sessions of TLS with that server have in common: for tls_client_free(), NULL where conf is
 * not on.  Returns 0; -1 and error (a line without its end) without memory, or where its texts,
 * which conf_load() has tried, are no good. */
int server_tls_client(struct tls_client **client, const struct conf_redis_tls *conf,
                      struct buf *error);

/* The name that its certificate is to have. */
const char *server_tls_name(const struct conf_redis *server);

/* Overwrites what is secret, for whoever has no use for it. */
void server_wipe(struct conf_redis *server);

/* 1 if nothing of both differs. */
int server_eq(const struct conf_redis *a, const struct conf_redis *b);

/* The same of the lists of sentinels. */
int server_eq_sentinels(const struct conf_redis *a, const struct conf_redis *b);

#endif
