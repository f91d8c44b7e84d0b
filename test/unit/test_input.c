#include "notify/input.h"

#include "notify/say.h"
#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX 200000

static void stdin_is(const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);

    (void)dup2(fd, STDIN_FILENO);
    close(fd);
}

/* Standard input becomes a pipe that another process writes so many bytes into, in two goes. */
static pid_t feed(size_t len)
{
    int ends[2];
    pid_t pid;

    if (pipe(ends) < 0 || (pid = fork()) < 0)
        abort();
    if (pid == 0) {
        (void)close(ends[0]);
        (void)signal(SIGPIPE, SIG_DFL);
        for (size_t i = 0; i < len; i++)
            if (write(ends[1], &"abcdefghijklmnopqrstuvwxyz"[i % 26], 1) != 1)
                _exit(1);
        _exit(0);
    }
    close(ends[1]);
    (void)dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

static void check(size_t len, int want, const char *name)
{
    struct buf text = {.secret = 1};
    pid_t pid = feed(len);
    size_t wrong = 0;

    buf_puts(&text, "before");
    is_int(input_read(&text, MAX, "a token"), want, name);
    stdin_is("/dev/null"); /* who writes yet has an end */
    waitpid(pid, NULL, 0);
    if (want == 0 && is_int(text.len, 6 + len, "all of it, behind what was there")) {
        for (size_t i = 0; i < len; i++)
            wrong += text.data[6 + i] != 'a' + i % 26;
        is_int(wrong, 0, "as it came");
    }
    buf_free(&text);
}

static void test_trim(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"a", "a"}, {" \t\r\na b\r\n ", "a b"}, {"", ""}, {" \n ", ""}, {"\va\f", "\va\f"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice got = input_trim(slice_str(cases[i].text));

        is_mem(got.ptr, got.len, cases[i].want, strlen(cases[i].want), "trimmed");
    }
}

int main(void)
{
    struct buf text = {0};

    if (freopen("/dev/null", "w", stderr) == NULL) /* what is said is tools.test.js's */
        return 1;
    check(0, 0, "nothing");
    check(70000, 0, "more than comes at once");
    check(MAX - 6, 0, "as much as may be");
    check(MAX - 5, EXIT_FAILED, "and one more");
    stdin_is("/");
    is_int(input_read(&text, MAX, "a token"), EXIT_FAILED, "a directory");
    close(STDIN_FILENO);
    is_int(input_read(&text, MAX, "a token"), EXIT_FAILED, "closed");
    is_int(text.len, 0, "nothing came of it");
    buf_free(&text);
    test_trim();
    return tap_done();
}
