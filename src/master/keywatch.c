#include "master/keywatch.h"

#include "base/log.h"
#include "master/filewatch.h"

#include <event2/event.h>
#include <stdlib.h>

struct keywatch {
    struct conf *conf;
    keywatch_fn *fn;
    void *arg;
    struct filewatch *files;
};

static int on_reread(struct buf *errors, struct buf *warnings, void *arg)
{
    const struct keywatch *watch = arg;
    int changed = conf_reread_keys(watch->conf, errors, warnings);

    return changed == CONF_KEYS_UNREAD ? FILEWATCH_UNREAD : changed;
}

static void on_good(int changed, void *arg)
{
    const struct keywatch *watch = arg;

    if (changed)
        log_event(INFO, "keys_read", "keys read again[ from {}: there are {} now]",
                  LOG_STR("file", watch->conf->jwks_file),
                  LOG_UINT("key_count", token_keys_count(watch->conf->keys)));
    else
        log_event(INFO, "keys_good_again",
                  "[{}]<the file of keys> is good again, with the same keys",
                  LOG_STR("file", watch->conf->jwks_file));
}

static void on_changed(void *arg)
{
    struct keywatch *watch = arg;

    watch->fn(watch->arg);
}

static const struct filewatch_ops ops = {.reread = on_reread,
                                         .good = on_good,
                                         .changed = on_changed,
                                         .stays = {"keys_stay", "the keys stay as they are[: {}]"}};

int keywatch_look(struct keywatch *watch)
{
    return filewatch_look(watch->files);
}

struct keywatch *keywatch_new(struct event_base *base, struct conf *conf, keywatch_fn *fn,
                              void *arg)
{
    const char *const names[] = {conf->jwks_file};
    struct keywatch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL)
        return NULL;
    watch->conf = conf;
    watch->fn = fn;
    watch->arg = arg;
    watch->files = filewatch_new(base, names, 1, &ops, watch);
    if (watch->files == NULL)
        keywatch_free(&watch);
    return watch;
}

void keywatch_free(struct keywatch **watch)
{
    if (*watch == NULL)
        return;
    filewatch_free(&(*watch)->files);
    free(*watch);
    *watch = NULL;
}
