/* In children: what is given up does not come back. */
#include "base/caps.h"
#include "tap.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define NOBODY 65534
#define BIND   0x400ULL /* CAP_NET_BIND_SERVICE */

/* A set of /proc/self/status. */
static unsigned long long set_of(const char *name)
{
    char line[256];
    unsigned long long value = ~0ULL;
    FILE *file = fopen("/proc/self/status", "r");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name) + 1, NULL, 16);
    if (file != NULL)
        fclose(file);
    return value;
}

static int sets_are(unsigned long long held, unsigned long long bounding)
{
    return set_of("CapPrm") == held && set_of("CapEff") == held && set_of("CapInh") == 0 &&
           set_of("CapAmb") == 0 && set_of("CapBnd") == bounding;
}

static int nothing_left(void)
{
    return caps_limit(0) == 0 && caps_are_limited(0) && sets_are(0, 0);
}

static int bind_left(void)
{
    return caps_limit(1) == 0 && caps_are_limited(1) && !caps_are_limited(0) && sets_are(BIND, 0);
}

static int bind_left_to_another(void)
{
    return caps_keep() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
           setresuid(NOBODY, NOBODY, NOBODY) == 0 && caps_limit(1) == 0 && sets_are(BIND, 0) &&
           setuid(0) < 0 && prctl(PR_GET_KEEPCAPS) == 0;
}

static int another_with_none(void)
{
    return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
           setresuid(NOBODY, NOBODY, NOBODY) == 0 && caps_limit(1) == 0 && set_of("CapPrm") == 0 &&
           caps_are_limited(0);
}

static int full(void)
{
    return !caps_are_limited(1);
}

static int in_child(int (*run)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(run() ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

int main(void)
{
    if (geteuid() != 0) {
        ok(in_child(another_with_none) || caps_are_limited(0), "nothing to give up");
        return tap_done();
    }
    ok(in_child(full), "root has more than it needs");
    ok(in_child(nothing_left), "all sets are empty");
    ok(in_child(bind_left), "but for the one that is kept");
    ok(in_child(bind_left_to_another), "which stays when root becomes somebody else");
    ok(in_child(another_with_none), "what a process has not it does not get");
    return tap_done();
}
