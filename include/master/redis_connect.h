/* redis_connect - from a host name, an address or a Unix path to a connected socket,
 * without blocking.  Every address of a name is tried in turn. */
#ifndef MASTER_REDIS_CONNECT_H
#define MASTER_REDIS_CONNECT_H

struct redis_connect;
struct event_base;

#define REDIS_CONNECT_WHY_MAX 256

struct redis_connect_ops {
    /* The end of it, never from within redis_connect_new: fd is a connected, non-blocking
     * socket that is now the caller's, or -1 and why is redis_connect_why().
     * redis_connect_free is allowed here. */
    void (*done)(int fd, const char *why, void *arg);
};

/* To path if it is not NULL, else to host and port.  ops is borrowed, the strings
 * are not kept.  Returns NULL, with errno set, where it cannot start.  There is no
 * deadline but a short one for an address that has others after it: redis_connect_free()
 * when you have waited enough. */
struct redis_connect *redis_connect_new(struct event_base *base, const char *path, const char *host,
                                        int port, const struct redis_connect_ops *ops, void *arg);

/* What has kept it from being connected up to now, in a few words: the address of a name
 * that was tried last and its error, and those of the others, each once.  Borrowed until
 * the next call and the end. */
const char *redis_connect_why(struct redis_connect *attempt);

void redis_connect_free(struct redis_connect **attempt);

#endif
