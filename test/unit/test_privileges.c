#include "conf.h"
#include "master/privileges.h"
#include "tap.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What privileges_find() says of a user and a group, without what only root could do. */
static const char *found(const char *user, const char *group, struct privileges *found)
{
    static struct buf error;
    struct conf conf = {.user = user != NULL ? strdup(user) : NULL,
                        .group = group != NULL ? strdup(group) : NULL};

    buf_reset(&error);
    (void)privileges_find(found, &conf, &error);
    free(conf.user);
    free(conf.group);
    (void)buf_putc(&error, '\0');
    return (const char *)error.data;
}

/* From now on the limits of this process stay as they are. */
static int forbid_limits(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prlimit64, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ||
                   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0
               ? -1
               : 0;
}

/* 1 if a process that hardens itself cannot be debugged by its user any more. */
static int hardens(int limits)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L);
        if (!limits && forbid_limits() < 0)
            _exit(2);
        privileges_harden();
        _exit(prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L) == 0 ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
    struct privileges privileges;

    is_str(found("4294967296", NULL, &privileges), "user 4294967296 is not known",
           "a user past the last is not root");
    is_str(found(NULL, "4294967296", &privileges), "group 4294967296 is not known",
           "nor is such a group");
    is_str(found(NULL, "4294967295", &privileges), "group 4294967295 is not known",
           "what stands for no change is no group");
    is_str(found("nosuch user", NULL, &privileges), "user nosuch user is not known",
           "a name that nobody has");
    is_str(found(NULL, "-1", &privileges), "group -1 is not known", "a negative number");
    (void)found(NULL, "4294967294", &privileges);
    is_int(privileges.gid, 4294967294, "the last group");
    (void)found("0", NULL, &privileges);
    is_int(privileges.uid, 0, "a user by its number");
    ok(hardens(1), "nobody may look into a process that is hardened");
    ok(hardens(0), "nor into one that could not limit its core dumps");
    return tap_done();
}
