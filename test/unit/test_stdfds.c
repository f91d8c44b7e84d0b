#include "base/stdfds.h"
#include "tap.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child without them: 0 if all three are open afterwards and no more. */
static int without(int closed)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        for (int fd = 0; fd < 3; fd++)
            if (closed & 1 << fd)
                close(fd);
        if (stdfds_open() < 0)
            _exit(1);
        for (int fd = 0; fd < 3; fd++)
            if (fcntl(fd, F_GETFD) < 0)
                _exit(2);
        int next = dup(0);
        _exit(next > STDERR_FILENO ? 0 : 3);
    }
    waitpid(pid, &status, 0);
    return status;
}

int main(void)
{
    for (int closed = 0; closed < 8; closed++)
        is_int(without(closed), 0, "all three are open, and no number among them is free");
    return tap_done();
}
