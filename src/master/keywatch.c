#include "master/keywatch.h"

#include "base/log.h"

#include <errno.h>
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

struct keywatch {
    struct conf *conf;
    keywatch_fn *fn;
    void *arg;
    struct event *timer;
    struct look seen; /* of the file as it was read; zero: it is to be read */
    int bad;          /* it was */
    struct buf told;  /* why it is bad, as it was last logged; empty: it is good */
};

/* Returns NULL, or why it cannot be read. */
static const char *look_at(const char *name, struct look *look)
{
    struct stat st;

    memset(look, 0, sizeof(*look)); /* the holes between the members, too */
    if (stat(name, &st) < 0)
        return strerror(errno);
    /* A fifo would be waited for, and holds its keys but once. */
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? strerror(EISDIR) : "it is no regular file";
    look->dev = st.st_dev;
    look->ino = st.st_ino;
    look->size = st.st_size;
    look->modified = st.st_mtim;
    look->changed = st.st_ctim;
    return NULL;
}

static void warn_lines(const struct buf *lines)
{
    log_lines(log_warnx, "", (const char *)lines->data, lines->len);
}

/* Logs why, and what else was found, unless that is what was logged last. */
static void tell(struct keywatch *watch, const struct buf *why, const struct buf *beside)
{
    struct buf all = {0};
    int same;

    (void)buf_put(&all, why->data, why->len);
    if (beside->len > 0)
        (void)buf_put(&all, beside->data, beside->len);
    same = all.len > 0 && watch->told.len == all.len &&
           memcmp(watch->told.data, all.data, all.len) == 0;
    buf_free(&watch->told);
    watch->told = all;
    if (same)
        return;
    warn_lines(beside);
    log_lines(log_errorx, "the keys stay as they are: ", (const char *)why->data, why->len);
}

static int reread(struct keywatch *watch)
{
    struct buf errors = {0}, warnings = {0};
    int changed = conf_reread_keys(watch->conf, &errors, &warnings);

    if (changed < 0) {
        tell(watch, &errors, &warnings);
    } else {
        if (changed || watch->told.len > 0)
            warn_lines(&warnings);
        if (changed)
            log_info("keys read again from %s: there are %zu now", watch->conf->jwks_file,
                     token_keys_count(watch->conf->keys));
        else if (watch->told.len > 0)
            log_info("%s is good again, with the same keys", watch->conf->jwks_file);
        buf_reset(&watch->told);
    }
    buf_free(&errors);
    buf_free(&warnings);
    return changed;
}

/* What is written now may get the time that we have seen, for a file's clock ticks
 * every few milliseconds.  A time to come is as good as one long past. */
static int is_settled(const struct look *look)
{
    time_t age = time(NULL) - look->modified.tv_sec;

    return age > SETTLED_S || age < -SETTLED_S;
}

int keywatch_look(struct keywatch *watch)
{
    const char *name = watch->conf->jwks_file;
    struct buf why = {0}, nothing = {0};
    struct look now;
    const char *fault = look_at(name, &now);
    int changed;

    if (fault != NULL) {
        (void)buf_printf(&why, "auth:jwksFile: cannot read %s: %s\n", name, fault);
        tell(watch, &why, &nothing);
        buf_free(&why);
        memset(&watch->seen, 0, sizeof(watch->seen));
        return -1;
    }
    if (memcmp(&now, &watch->seen, sizeof(now)) == 0)
        return watch->bad ? -1 : 0;
    changed = reread(watch);
    watch->bad = changed < 0;
    if (changed == CONF_KEYS_UNREAD || !is_settled(&now))
        memset(&now, 0, sizeof(now));
    watch->seen = now;
    return watch->bad ? -1 : changed;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct keywatch *watch = arg;

    (void)fd;
    (void)what;
    if (keywatch_look(watch) > 0)
        watch->fn(watch->arg);
}

struct keywatch *keywatch_new(struct event_base *base, struct conf *conf, keywatch_fn *fn,
                              void *arg)
{
    const struct timeval every = {LOOK_MS / 1000, LOOK_MS % 1000 * 1000L};
    struct keywatch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL)
        return NULL;
    watch->conf = conf;
    watch->fn = fn;
    watch->arg = arg;
    watch->timer = event_new(base, -1, EV_PERSIST, on_timer, watch);
    if (watch->timer == NULL || event_add(watch->timer, &every) < 0)
        keywatch_free(&watch);
    return watch;
}

void keywatch_free(struct keywatch **watch)
{
    if (*watch == NULL)
        return;
    if ((*watch)->timer != NULL)
        event_free((*watch)->timer);
    buf_free(&(*watch)->told);
    free(*watch);
    *watch = NULL;
}
