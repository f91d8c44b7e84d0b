#include "master/privileges.h"

#include "base/caps.h"
#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_MAX (UINT32_MAX - 1L) /* what is above stands for "no change" */

/* "1000" -> 1000; -1 if text is no number of a user or a group. */
static long number(const char *text)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    return *text == '\0' || *end != '\0' || errno != 0 || value < 0 || value > ID_MAX ? -1 : value;
}

static int user_find(struct privileges *found, const char *user, struct buf *error)
{
    const struct passwd *pw = getpwnam(user);
    long uid = number(user);

    if (pw == NULL && uid >= 0)
        pw = getpwuid((uid_t)uid);
    if (pw == NULL) {
        (void)buf_printf(error, "user %s is not known", user);
        return -1;
    }
    found->user = user;
    found->uid = pw->pw_uid;
    found->gid = pw->pw_gid;
    return 0;
}

static int group_find(struct privileges *found, const char *group, struct buf *error)
{
    const struct group *gr = getgrnam(group);
    long gid = number(group);

    if (gr == NULL && gid < 0) {
        (void)buf_printf(error, "group %s is not known", group);
        return -1;
    }
    found->gid = gr != NULL ? gr->gr_gid : (gid_t)gid;
    return 0;
}

static int is_low(int port)
{
    return port > 0 && port < IPPORT_RESERVED;
}

static int has_low_ports(const struct conf *conf)
{
    for (size_t i = 0; i < conf->nlisten; i++)
        if (conf->listen[i].unix_path == NULL && is_low(conf->listen[i].port))
            return 1;
    return conf->admin_host != NULL && is_low(conf->admin_port);
}

static int ids_find(struct privileges *found, const char *user, const char *group,
                    struct buf *error)
{
    if (user != NULL && user_find(found, user, error) < 0)
        return -1;
    return group != NULL ? group_find(found, group, error) : 0;
}

int privileges_named(struct privileges *found, const char *user, const char *group, char **groups,
                     struct buf *error)
{
    *found = (struct privileges){.uid = geteuid(), .gid = getegid(), .groups = groups};
    found->change = geteuid() == 0 && (user != NULL || group != NULL || groups != NULL);
    for (struct privileges one; groups != NULL && *groups != NULL; groups++)
        if (group_find(&one, *groups, error) < 0)
            return -1;
    return ids_find(found, user, group, error);
}

int privileges_known(const struct conf *conf, struct buf *error)
{
    struct privileges found;

    return ids_find(&found, conf->user, conf->group, error);
}

int privileges_find(struct privileges *found, const struct conf *conf, struct buf *error)
{
    const char *user = conf->user, *group = conf->group;

    *found =
        (struct privileges){.uid = geteuid(), .gid = getegid(), .low_ports = has_low_ports(conf)};
    if (ids_find(found, user, group, error) < 0)
        return -1;
    found->change = geteuid() == 0 && (user != NULL || group != NULL);
    if (geteuid() == 0 || (found->uid == geteuid() && found->gid == getegid()))
        return 0;
    (void)buf_printf(error, "only root can become user %s, group %s",
                     user != NULL ? user : "(as now)", group != NULL ? group : "(its own)");
    return -1;
}

static int no_way_back(const struct privileges *found)
{
    uid_t uids[3];
    gid_t gids[3];

    if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0)
        return 0;
    for (int i = 0; i < 3; i++)
        if (uids[i] != found->uid || gids[i] != found->gid)
            return 0;
    /* Root can go anywhere, and was asked for by name. */
    return found->uid == 0 || (setuid(0) < 0 && seteuid(0) < 0 && setgroups(0, NULL) < 0);
}

/* To those that the process has; they are known.  Returns 0, or -1 with errno. */
static int groups_add(char **groups)
{
    struct privileges one = {0};
    struct buf error = {0};
    int n = getgroups(0, NULL), more = 0, rc = -1;
    gid_t *gids;

    while (groups[more] != NULL)
        more++;
    gids = n < 0 ? NULL : calloc((size_t)n + (size_t)more, sizeof(*gids));
    if (gids != NULL && getgroups(n, gids) == n) {
        for (int i = 0; i < more; i++) {
            (void)group_find(&one, groups[i], &error);
            gids[n + i] = one.gid;
        }
        rc = setgroups((size_t)n + (size_t)more, gids);
    }
    free(gids);
    buf_free(&error);
    return rc;
}

static int become(const struct privileges *found, struct buf *error)
{
    int rc = found->uid == 0 ? 0 : caps_keep();

    if (rc == 0)
        rc = found->user != NULL ? initgroups(found->user, found->gid) : setgroups(1, &found->gid);
    if (rc == 0 && found->groups != NULL)
        rc = groups_add(found->groups);
    if (rc < 0 || setresgid(found->gid, found->gid, found->gid) < 0 ||
        setresuid(found->uid, found->uid, found->uid) < 0) {
        (void)buf_printf(error, "cannot become uid %ld, gid %ld: %s", (long)found->uid,
                         (long)found->gid, strerror(errno));
        return -1;
    }
    return 0;
}

int privileges_drop(const struct privileges *found, struct buf *error)
{
    if (found->change && become(found, error) < 0)
        return -1;
    /* What counts is what is left, not who was in the way of giving it up. */
    if (found->uid != 0 && caps_limit(found->low_ports) < 0 &&
        !caps_are_limited(found->low_ports)) {
        (void)buf_printf(error, "cannot give up all capabilities: %s", strerror(errno));
        return -1;
    }
    if (!found->change || no_way_back(found))
        return 0;
    (void)buf_printf(error, "became uid %ld, but could become root again", (long)found->uid);
    return -1;
}

void privileges_harden(void)
{
    const struct rlimit none = {0, 0};

    umask(077);
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        log_event(WARN, "core_dumps_unlimited", "cannot limit core dumps[: {}]", LOG_ERRNO());
    if (prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0)
        log_event(WARN, "core_dumps_on", "cannot switch core dumps off[: {}]", LOG_ERRNO());
    if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
        log_event(WARN, "setuid_kept", "cannot give up setuid programs[: {}]", LOG_ERRNO());
}
