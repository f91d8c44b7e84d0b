/* live - what there is at this moment, as JSON for who watches: event "now" of GET /events. */
#ifndef MASTER_LIVE_H
#define MASTER_LIVE_H

#include "base/buf.h"

struct news;
struct sample;
struct status;

struct live { /* all of it is borrowed */
    const struct status *status;
    const struct news *news;
    const struct sample *now;
    const struct sample *before; /* the one that rates are since; NULL: none, and they are null */
    const struct sample *long_before; /* likewise, for how long deliveries took */
};

/* One object, without a newline. */
void live_put(const struct live *live, struct buf *out);

#endif
