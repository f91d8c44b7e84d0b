/* published - what one message on a channel of redis is to an axr-notifyd, as a line for
 * axr-notify --watch. */
#ifndef NOTIFY_PUBLISHED_H
#define NOTIFY_PUBLISHED_H

#include "base/buf.h"
#include "base/slice.h"
#include "codec/emit.h"

/* Appends the line, with its newline, for who serves nsp with that key and
 * these limits; nothing where it is none of emitters or of who asks servers (answers, other
 * programs).  line->failed is set without memory. */
void published_line(struct buf *line, struct slice channel, struct slice payload, struct slice key,
                    struct slice nsp, const struct emit_limits *limits);

#endif
