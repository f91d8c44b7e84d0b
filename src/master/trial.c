#include "master/trial.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1200

/* A line begins with one of these, by its kind. */
static const char marks[] = {[TRIAL_GOOD] = '+', [TRIAL_ODD] = '?', [TRIAL_BAD] = '-'};

void trial_say(struct trial *trial, enum trial_kind kind, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    trial->bad += kind == TRIAL_BAD;
    trial->odd += kind == TRIAL_ODD;
    buf_printf(&trial->lines, "%c%s\n", marks[kind], line);
}

/* One, without its end, as check_complain() does. */
static void print_line(const char *line, int len)
{
    int is_bad = *line == marks[TRIAL_BAD];

    if (*line == marks[TRIAL_GOOD])
        printf("ok: %.*s\n", len - 1, line + 1);
    else
        (void)fprintf(stderr, "%saxr-notifyd: %s%.*s\n",
                      log_mark(is_bad ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN),
                      is_bad ? "" : "warning: ", len - 1, line + 1);
    (void)fflush(stdout); /* in the order of the others, where both go to one place */
}

int trial_print(struct trial *trial)
{
    const char *at = (const char *)trial->lines.data, *end = at + trial->lines.len;
    int failed = trial->lines.failed || trial->bad > 0;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;

        if (stop > at)
            print_line(at, (int)(stop - at));
        at = stop + 1;
    }
    if (trial->lines.failed)
        (void)fprintf(stderr, "axr-notifyd: out of memory\n");
    buf_free(&trial->lines);
    return failed ? -1 : 0;
}

/* --- aside ------------------------------------------------------------------------ */

void aside_begin(struct aside *aside, const char *what, void (*run)(const void *arg, int fd),
                 const void *arg)
{
    int ends[2];

    *aside = (struct aside){.what = what, .pid = -1, .fd = -1};
    if (pipe(ends) < 0)
        return;
    aside->pid = fork();
    if (aside->pid == 0) {
        close(ends[0]);
        (void)signal(SIGPIPE, SIG_IGN);
        run(arg, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    if (aside->pid < 0)
        close(ends[0]);
    else
        aside->fd = ends[0];
}

/* Returns 1 if there may be more, 0 at the end, -1 if nothing has come by then. */
static int read_some(struct aside *aside, uint64_t until)
{
    struct pollfd poll_fd = {.fd = aside->fd, .events = POLLIN};
    uint64_t now = clock_ms();
    uint8_t *room = buf_reserve(&aside->bytes, 4096);
    ssize_t n;

    /* What is there by now counts, however late we come for it. */
    if (room == NULL || poll(&poll_fd, 1, now < until ? (int)(until - now) : 0) == 0)
        return -1;
    n = read(aside->fd, room, 4096);
    if (n < 0)
        return errno == EINTR ? 1 : -1;
    aside->bytes.len += (size_t)n;
    return n > 0;
}

int aside_end(struct aside *aside, uint64_t until)
{
    int rc = 1;

    if (aside->fd < 0)
        return -1;
    while (rc > 0)
        rc = read_some(aside, until);
    if (rc < 0)
        (void)kill(aside->pid, SIGKILL);
    close(aside->fd);
    aside->fd = -1;
    while (waitpid(aside->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return rc;
}

void trial_send(struct trial *trial, int fd)
{
    size_t sent = 0;

    while (sent < trial->lines.len) {
        ssize_t n = write(fd, trial->lines.data + sent, trial->lines.len - sent);

        if (n < 0 && errno != EINTR)
            break;
        sent += n > 0 ? (size_t)n : 0;
    }
    buf_free(&trial->lines);
}

void trial_take(struct trial *trial, struct aside *aside, uint64_t until)
{
    int rc = aside_end(aside, until);
    const char *text = (const char *)aside->bytes.data;

    for (size_t i = 0; i < aside->bytes.len; i++)
        if (i == 0 || text[i - 1] == '\n') {
            trial->bad += text[i] == marks[TRIAL_BAD];
            trial->odd += text[i] == marks[TRIAL_ODD];
        }
    if (aside->bytes.len > 0)
        buf_put(&trial->lines, aside->bytes.data, aside->bytes.len);
    if (rc < 0 || aside->bytes.len == 0)
        trial_say(trial, TRIAL_BAD,
                  "%s: nothing came of it in time: is it a name server that does "
                  "not answer?",
                  aside->what);
    buf_free(&aside->bytes);
}
