#include "master/filewatch.h"

#include "base/log.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LOOK_MS   2000
#define SETTLED_S 2 /* a file that was written so long ago is not written to now */

/* By which a change is noticed without reading the file. */
struct look {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec modified, changed;
};

struct looks {
    struct look at[FILEWATCH_FILES]; /* zero: it is to be read */
};

struct filewatch {
    const struct filewatch_ops *ops;
    void *arg;
    struct event *timer;
    size_t n;
    char *names[FILEWATCH_FILES];
    struct looks seen; /* as they were read */
    int bad;           /* they were */
    struct buf told;   /* why they are bad, as it was last logged; empty: they are good */
    struct buf why;    /* the fault that is not logged yet, and what was found beside it */
    struct buf beside;
    unsigned looks; /* that have found that fault */
};

/* Returns 0, or -1 if there is nothing that could be read. */
static int look_at(const char *name, struct look *look)
{
    struct stat st;

    /* A fifo would be waited for, and holds what it has but once. */
    if (stat(name, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    look->dev = st.st_dev;
    look->ino = st.st_ino;
    look->size = st.st_size;
    look->modified = st.st_mtim;
    look->changed = st.st_ctim;
    return 0;
}

/* What is written now may get the time that we have seen, for a file's clock ticks
 * every few milliseconds.  A time to come is as good as one long past. */
static int is_settled(const struct look *look)
{
    time_t age = time(NULL) - look->modified.tv_sec;

    return age > SETTLED_S || age < -SETTLED_S;
}

/* 1 if all are there. */
static int look_at_all(const struct filewatch *watch, struct looks *looks)
{
    int there = 1;

    memset(looks, 0, sizeof(*looks)); /* the holes between the members, too */
    for (size_t i = 0; i < watch->n; i++)
        if (look_at(watch->names[i], &looks->at[i]) < 0)
            there = 0;
    return there;
}

static int are_settled(const struct filewatch *watch, const struct looks *looks)
{
    size_t i = 0;

    while (i < watch->n && is_settled(&looks->at[i]))
        i++;
    return i == watch->n;
}

/* --- what is said --------------------------------------------------------------------- */

static void warn_lines(const struct buf *lines)
{
    static const struct log_entry entry = {"file_warning", "[{}]<a file that is watched is odd>"};

    log_lines(LOG_LEVEL_WARN, entry, (const char *)lines->data, lines->len);
}

static void copy(struct buf *dst, const struct buf *src)
{
    buf_reset(dst);
    if (src->len > 0)
        (void)buf_put(dst, src->data, src->len);
}

static int same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* 1 if it is what was logged last. */
static int is_told(const struct filewatch *watch)
{
    const struct buf *told = &watch->told, *why = &watch->why, *beside = &watch->beside;

    return told->len == why->len + beside->len && told->len > 0 &&
           memcmp(told->data, why->data, why->len) == 0 &&
           (beside->len == 0 || memcmp(told->data + why->len, beside->data, beside->len) == 0);
}

static void tell(struct filewatch *watch)
{
    if (is_told(watch))
        return;
    copy(&watch->told, &watch->why);
    if (watch->beside.len > 0)
        (void)buf_put(&watch->told, watch->beside.data, watch->beside.len);
    warn_lines(&watch->beside);
    log_lines(LOG_LEVEL_ERROR, watch->ops->stays, (const char *)watch->why.data, watch->why.len);
    if (watch->ops->bad != NULL)
        watch->ops->bad(watch->arg);
}

/* The fault is there, once more. */
static void suffer(struct filewatch *watch)
{
    if (watch->looks++ == watch->ops->patience)
        tell(watch);
}

static void find(struct filewatch *watch, const struct buf *why, const struct buf *beside)
{
    if (!same(&watch->why, why) || !same(&watch->beside, beside))
        watch->looks = 0;
    copy(&watch->why, why);
    copy(&watch->beside, beside);
    suffer(watch);
}

/* --- looking -------------------------------------------------------------------------- */

static void be_good(struct filewatch *watch, int changed, const struct buf *warnings)
{
    if (changed || watch->told.len > 0) {
        warn_lines(warnings);
        watch->ops->good(changed, watch->arg);
    }
    buf_reset(&watch->told);
    buf_reset(&watch->why);
}

static int reread(struct filewatch *watch)
{
    struct buf errors = {0}, warnings = {0};
    int changed = watch->ops->reread(&errors, &warnings, watch->arg);

    if (changed < 0)
        find(watch, &errors, &warnings);
    else
        be_good(watch, changed, &warnings);
    buf_free(&errors);
    buf_free(&warnings);
    return changed;
}

int filewatch_look(struct filewatch *watch)
{
    struct looks now;
    int there = look_at_all(watch, &now), changed;

    if (there && memcmp(&now, &watch->seen, sizeof(now)) == 0) {
        if (watch->bad)
            suffer(watch);
        return watch->bad ? -1 : 0;
    }
    changed = reread(watch);
    watch->bad = changed < 0;
    if (changed == FILEWATCH_UNREAD || !are_settled(watch, &now))
        memset(&now, 0, sizeof(now));
    watch->seen = now;
    return watch->bad ? -1 : changed;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct filewatch *watch = arg;

    (void)fd;
    (void)what;
    if (filewatch_look(watch) > 0)
        watch->ops->changed(watch->arg);
}

/* --- coming and going ----------------------------------------------------------------- */

struct filewatch *filewatch_new(struct event_base *base, const char *const *names, size_t n,
                                const struct filewatch_ops *ops, void *arg)
{
    const struct timeval every = {LOOK_MS / 1000, LOOK_MS % 1000 * 1000L};
    struct filewatch *watch = calloc(1, sizeof(*watch));
    int failed = 0;

    if (watch == NULL)
        return NULL;
    watch->ops = ops;
    watch->arg = arg;
    for (watch->n = 0; watch->n < n && watch->n < FILEWATCH_FILES; watch->n++)
        failed |= (watch->names[watch->n] = strdup(names[watch->n])) == NULL;
    watch->timer = event_new(base, -1, EV_PERSIST, on_timer, watch);
    if (failed || watch->timer == NULL || event_add(watch->timer, &every) < 0)
        filewatch_free(&watch);
    return watch;
}

void filewatch_free(struct filewatch **watchp)
{
    struct filewatch *watch = *watchp;

    if (watch == NULL)
        return;
    *watchp = NULL;
    if (watch->timer != NULL)
        event_free(watch->timer);
    for (size_t i = 0; i < watch->n; i++)
        free(watch->names[i]);
    buf_free(&watch->told);
    buf_free(&watch->why);
    buf_free(&watch->beside);
    free(watch);
}
