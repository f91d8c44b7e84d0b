#include "base/mem.h"
#include "tap.h"

#include <sys/wait.h>

/* Runs what must end the process, with its log line out of sight. */
static int exit_status_of(void (*run)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(9);
        run();
        _exit(8);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static volatile size_t too_much = SIZE_MAX / 2;

static void too_much_xmalloc(void)
{
    free(xmalloc(too_much));
}

static void too_much_xcalloc(void)
{
    free(xcalloc(too_much, 4));
}

static void too_much_xrealloc(void)
{
    free(xrealloc(NULL, too_much));
}

int main(void)
{
    char *str;
    unsigned char *bytes;
    int sum = 0;

    str = xstrdup("worker");
    is_str(str, "worker", "xstrdup copies");
    str = xrealloc(str, 100);
    is_str(str, "worker", "xrealloc keeps");
    free(str);
    str = xstrndup("worker", 4);
    is_str(str, "work", "xstrndup cuts");
    free(str);
    str = xstrndup("ab", 40);
    is_str(str, "ab", "xstrndup stops at the end");
    free(str);

    bytes = xcalloc(10, 10);
    for (int i = 0; i < 100; i++)
        sum += bytes[i];
    is_int(sum, 0, "xcalloc clears");
    free(bytes);
    bytes = xmalloc(0);
    ok(bytes != NULL, "xmalloc(0) is a pointer");
    free(bytes);
    bytes = xcalloc(0, 0);
    ok(bytes != NULL, "xcalloc(0, 0) is a pointer");
    free(bytes);
    bytes = xrealloc(NULL, 0);
    ok(bytes != NULL, "xrealloc(NULL, 0) is a pointer");
    free(bytes);

    is_int(exit_status_of(too_much_xmalloc), 1, "xmalloc ends the process");
    is_int(exit_status_of(too_much_xcalloc), 1, "xcalloc ends the process, product past SIZE_MAX");
    is_int(exit_status_of(too_much_xrealloc), 1, "xrealloc ends the process");
    return tap_done();
}
