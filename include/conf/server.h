/* conf/server - a redis as it is configured: copies, and whether two are the same. */
#ifndef CONF_SERVER_H
#define CONF_SERVER_H

#include "conf.h"

/* Copies all of from, texts and lists too.  Returns 0, or -1 without memory: server_clear()
 * undoes either. */
int server_copy(struct conf_redis *to, const struct conf_redis *from);

/* Overwrites what is secret, and frees all: it is zero then. */
void server_clear(struct conf_redis *server);

/* Overwrites what is secret, for whoever has no use for it. */
void server_wipe(struct conf_redis *server);

/* 1 if nothing of both differs. */
int server_eq(const struct conf_redis *a, const struct conf_redis *b);

/* The same of the lists of sentinels. */
int server_eq_sentinels(const struct conf_redis *a, const struct conf_redis *b);

#endif
