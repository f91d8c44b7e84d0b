/* change - what a reload changes: the settings by class, and MSG_SETTINGS, in which
 * those that live workers take travel to them. */
#ifndef IPC_CHANGE_H
#define IPC_CHANGE_H

#include "base/buf.h"
#include "conf.h"
#include "ipc/msg.h"

enum change_class { /* bits */
                    CHANGE_LIVE =
                        1 << 0, /* master and live workers take it; nobody is disconnected */
                    /* Only the master has use for it, and takes it. */
                    CHANGE_MASTER = 1 << 1,
                    CHANGE_WORKERS = 1 << 2, /* needs new workers */
                    CHANGE_RESTART = 1 << 3, /* needs another daemon */
};

/* Appends to keys, separated by ", ", those of these classes (bits) that are not the
 * same.  Returns how many; no value is shown. */
int change_diff(const struct conf *now, const struct conf *wanted, unsigned classes,
                struct buf *keys);

/* Copies the settings of class RESTART from now, where they are in force, to wanted.
 * Returns 0, or -1 without memory (some may be copied). */
int change_keep(const struct conf *now, struct conf *wanted);

/* Appends a MSG_SETTINGS with every setting of class LIVE.  Returns 0, or -1 without
 * memory (out is as it was).  out is secret from then on: there are keys in it. */
int change_put(struct buf *out, const struct conf *conf);

/* 1 if both have the same chains and keys in the same order, whatever their files are
 * called. */
int change_same_certificates(const struct conf_tls *a, const struct conf_tls *b);

/* Takes one apart: a configuration in which nothing but those settings is filled in,
 * to be freed with conf_free().  NULL if a field is missing, of another kind or out of
 * range, if bytes are left over, or without memory. */
struct conf *change_get(struct msg *msg);

/* Sets all settings of class LIVE in to, whose texts and keys are then borrowed from
 * from: to is not one for conf_free(). */
void change_apply(struct conf *to, const struct conf *from);

#endif
