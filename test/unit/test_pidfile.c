#include "master/pidfile.h"

#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/test_pidfile.XXXXXX";
static char file[64];

static void put(const char *text)
{
    FILE *out = fopen(file, "w");

    if (out == NULL || fputs(text, out) < 0 || fclose(out) != 0)
        exit(1);
}

/* By another process: a lock goes when its process closes the file, wherever. */
static const char *content(void)
{
    static char text[64];
    char command[80];
    FILE *in;

    snprintf(command, sizeof(command), "cat %s", file);
    in = popen(command, "r");
    if (in == NULL)
        return "(none)";
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    pclose(in);
    return text;
}

/* Runs fn in a child, for locks never hold against their own process. */
static int in_child(int (*fn)(void))
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(fn());
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static char want[128];

static int is_refused(void)
{
    struct buf error = {0};
    struct pidfile pidfile = {.fd = -1};
    int rc;

    if (pidfile_check(file, &error) == 0 || pidfile_write(&pidfile, file, &error) == 0)
        return 1;
    buf_putc(&error, '\0');
    rc = strstr((char *)error.data, want) == NULL;
    buf_free(&error);
    return rc;
}

static int is_free(void)
{
    struct buf error = {0};

    return pidfile_check(file, &error) != 0;
}

int main(void)
{
    struct pidfile pidfile = {.fd = -1};
    struct buf error = {0};
    struct stat st;
    char own[32], other[64];

    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(file, sizeof(file), "%s/pid", dir);
    snprintf(own, sizeof(own), "%ld\n", (long)getpid());
    umask(077);

    is_int(pidfile_check(file, &error), 0, "no file: free");
    is_int(pidfile_write(&pidfile, file, &error), 0, "written");
    is_str(content(), own, "with our number");
    is_int(stat(file, &st) == 0 ? st.st_mode & 07777 : 0, 0644, "for all to read");
    snprintf(want, sizeof(want), "is running already, pid %ld", (long)getpid());
    is_int(in_child(is_refused), 0, "another process is refused, and told who holds it");
    pidfile_remove(&pidfile);
    is_int(access(file, F_OK), -1, "removed");
    pidfile_remove(&pidfile);
    ok(pidfile.fd == -1, "a second time does nothing");

    /* Left behind by a process that was killed; its number is in use again. */
    put("1\n1234567890\n");
    is_int(in_child(is_free), 0, "a file that nobody holds is free, whatever is in it");
    is_int(pidfile_write(&pidfile, file, &error), 0, "and taken");
    is_str(content(), own, "with nothing left of the old");
    unlink(file);
    put("another's\n");
    pidfile_remove(&pidfile);
    is_str(content(), "another's\n", "a file that has taken its place stays");
    unlink(file);

    is_int(symlink("/nowhere/else", file), 0, "a symbolic link in its place");
    is_int(pidfile_write(&pidfile, file, &error), -1, "is not followed");
    unlink(file);
    is_int(error.len > 0, 1, "and said so");
    buf_reset(&error);
    snprintf(other, sizeof(other), "%s/other", dir);
    put("of somebody else\n");
    is_int(rename(file, other) == 0 && link(other, file) == 0, 1, "a second name of another file");
    is_int(pidfile_write(&pidfile, file, &error), -1, "is not taken");
    is_str(content(), "of somebody else\n", "and that stays as it is");
    unlink(file);
    unlink(other);
    buf_reset(&error);
    is_int(pidfile_write(&pidfile, "/nowhere/pid", &error), -1, "a directory that is not there");
    buf_free(&error);
    rmdir(dir);
    return tap_done();
}
