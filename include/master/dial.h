/* dial - a host name, an address or a Unix path -> a connected socket, without
 * blocking.  Every address of a name is tried in turn. */
#ifndef MASTER_DIAL_H
#define MASTER_DIAL_H

struct dial;
struct event_base;

#define DIAL_WHY_MAX 256

struct dial_ops {
    /* The end of it, never from within dial_new: fd is a connected, non-blocking
     * socket that is now the caller's, or -1 and why is dial_why().  dial_free is
     * allowed here. */
    void (*done)(int fd, const char *why, void *arg);
};

/* To path if it is not NULL, else to host and port.  ops is borrowed, the strings
 * are not kept.  Returns NULL, with errno set, where it cannot start.  There is no
 * deadline but a short one for an address that has others after it: dial_free()
 * when you have waited enough. */
struct dial *dial_new(struct event_base *base, const char *path, const char *host, int port,
                      const struct dial_ops *ops, void *arg);

/* What has kept it from being connected up to now, in a few words: the address of a name
 * that was tried last and its error, and those of the others, each once.  Borrowed until
 * the next call and the end. */
const char *dial_why(struct dial *dial);

void dial_free(struct dial **dial);

#endif
