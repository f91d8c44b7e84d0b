/* certfile - one certificate of the configuration, read from its files.  Private to
 * conf/. */
#ifndef CONF_CERTFILE_H
#define CONF_CERTFILE_H

#include "conf/settings.h"

/* Where it is set, for messages. */
struct certfile_place {
    struct settings *set;
    const struct source *source; /* or NULL: it is that of no source, but read again */
    const char *path;            /* "tls:" or "tls:certificates:1:", for certFile or keyFile */
};

enum certfile_result {
    CERTFILE_READ,
    CERTFILE_BAD,       /* reported */
    CERTFILE_UNREAD,    /* likewise: the system says no, for now */
    CERTFILE_FORBIDDEN, /* who we are may not read it: why is in *why, not reported */
};

/* Reads both files of certificate, whose names it has (taken), and fills in the rest; what
 * is wrong is reported, and what is to be remarked warned of.  Where it fails nothing but
 * the names is there. */
enum certfile_result certfile_read(const struct certfile_place *place,
                                   struct conf_certificate *certificate, struct buf *why);

/* The same but for their time. */
int certfile_is_timely(const struct conf_certificate *certificate, int64_t now);

void certfile_clear(struct conf_certificate *certificate);

#endif
