/* redis_commands - what redis is told on a connection of ours. */
#ifndef MASTER_REDIS_COMMANDS_H
#define MASTER_REDIS_COMMANDS_H

#include "base/buf.h"
#include "base/slice.h"
#include "conf.h"
#include "master/redis_fault.h"
#include "master/redis_tls.h"
#include "master/topics.h"

/* Come back behind all that was published before. */
#define REDIS_SYNC "sync"
#define REDIS_ECHO "echo"

struct bufferevent;

/* A connection in the eyes of redis, which has both only while it is that one: numbers begin
 * again when redis does. */
struct redis_client { /* texts; empty: not known */
    char id[24];
    char addr[80];
};

/* Where conf has a user or a password: AUTH, before all else, and at once.  Returns how many +OK
 * are to come, or -1 where it noted a fault. */
int redis_commands_auth(const struct conf_redis *conf, const struct redis_wire *wire,
                        struct redis_fault *fault);

/* Where it is not the first database: SELECT.  Returns how many +OK are to come, or -1
 * without memory. */
int redis_commands_select(struct bufferevent *bev, int database);

/* The others return 0, or -1 without memory. */

/* n topics, which are neighbours and either all patterns or none; or the end of one. */
int redis_commands_subscribe(struct bufferevent *bev, const struct topics *topics, enum topic first,
                             int n);
int redis_commands_unsubscribe(struct bufferevent *bev, const struct topics *topics,
                               enum topic topic);

/* CLIENT INFO, and CLIENT KILL of the connection that has both. */
int redis_commands_info(struct bufferevent *bev);
int redis_commands_kill(struct bufferevent *bev, const struct redis_client *client);

/* What the answer to CLIENT INFO says of it; empty where that is of another kind. */
void redis_commands_client(struct redis_client *client, struct slice info);

/* PING, to which the answer is a pong, with nothing else. */
int redis_commands_ping(struct bufferevent *bev);

/* PING, to which the answer is a pong with REDIS_SYNC; or with REDIS_ECHO. */
int redis_commands_sync(struct bufferevent *bev);
int redis_commands_echo(struct bufferevent *bev);

/* CLUSTER MYID, to which the answer is the id of the node, or an error where there is no
 * Cluster. */
int redis_commands_node(struct bufferevent *bev);

/* ROLE, to which the answer is an array: "master" or "slave", and more. */
int redis_commands_role(struct bufferevent *bev);

/* What a sentinel is asked of the master of that name: SENTINEL GET-MASTER-ADDR-BY-NAME, to which
 * the answer is an array of two or nil, and SENTINEL MASTER, with an array of names and values or
 * an error. */
int redis_commands_master(struct bufferevent *bev, const char *name);

/* SUBSCRIBE (on is 1) or UNSUBSCRIBE, of one channel. */
int redis_commands_hear(struct bufferevent *bev, const char *channel, int on);

/* PUBSUB NUMSUB, to which the answer is an array of the channel and how many have subscribed to
 * it. */
int redis_commands_numsub(struct bufferevent *bev, const char *channel);

/* PUBLISH, into a buffer; and all of it but the payload and what ends the command. */
int redis_commands_publish(struct buf *out, struct slice channel, struct slice payload);
int redis_commands_publish_head(struct bufferevent *bev, struct slice channel, size_t len);

#endif
