#include "base/clock.h"
#include "base/log.h"
#include "base/logfile.h"
#include "log_say.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[] = "/tmp/test_log.XXXXXX";
static char path[64], moved[64];

/* What the log file holds, then empties it. */
static const char *contents(void)
{
    static char text[65536];
    int fd = open(path, O_RDWR);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    text[n > 0 ? n : 0] = '\0';
    if (ftruncate(fd, 0) < 0)
        perror("ftruncate");
    close(fd);
    return text;
}

static int matches(const char *text, const char *pattern)
{
    regex_t regex;
    int found;

    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return 0;
    found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    if (!found)
        tap_show("log  ", text, strlen(text));
    return found;
}

#define DATE "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

static void test_text(void)
{
    struct stat st;

    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "open a file");
    is_int(stat(path, &st) == 0 ? st.st_mode & 0777 : 0, 0640, "its mode");
    log_name("worker", 3);
    say(INFO, "clients=%d", 12);
    ok(matches(contents(), "^" DATE " info worker 3\\[[0-9]+\\]: clients=12\n$"), "a line");
    errno = ENOENT;
    say_errno(WARN, "open file=%s", "x");
    is_int(errno, ENOENT, "errno is kept");
    ok(matches(contents(), " warn worker 3.*: open file=x: No such file or directory\n$"),
       "warn adds errno");
    say(WARN, "odd");
    ok(matches(contents(), "warn .*: odd\n$"), "warnx does not");
    say_errno(ERROR, "bad");
    say(ERROR, "worse");
    ok(matches(contents(), "error .*: bad: No such file or directory\n.*error .*: worse\n$"),
       "error and errorx");
    say(INFO, "a\nb\r\x1b[0m\x7f\xff\xc2\x85\xc3\xa4 \\");
    ok(matches(contents(),
               ": a\\\\x0ab\\\\x0d\\\\x1b\\[0m\\\\x7f\\\\xff\\\\xc2\\\\x85\xc3\xa4 \\\\\n$"),
       "one line, whatever is in it");
    say(INFO, "\x1f ~\x7f\xc2\x80\xc2\x9f\xc2\xa0");
    ok(matches(contents(), ": \\\\x1f ~\\\\x7f\\\\xc2\\\\x80\\\\xc2\\\\x9f\xc2\xa0\n$"),
       "the first and the last of the control characters, and their neighbours");
    log_name("a name that is far longer than the thirty-one bytes there are", 0);
    say(INFO, "x");
    ok(matches(contents(), " a name that is far longer than \\["), "a long name is cut");
    log_name("worker", 3);
}

static void test_levels(void)
{
    enum log_level level = LOG_LEVEL_INFO;

    is_int(log_get_level(), LOG_LEVEL_INFO, "info at first");
    say(DEBUG, "hidden");
    is_str(contents(), "", "debug is not shown");
    log_set_level(LOG_LEVEL_DEBUG);
    say(DEBUG, "seen");
    ok(matches(contents(), "debug .*: seen\n$"), "but when asked for");
    log_set_level(LOG_LEVEL_ERROR);
    say(WARN, "hidden");
    say(INFO, "hidden");
    say(ERROR, "seen");
    ok(matches(contents(), "^[^\n]*error [^\n]*: seen\n$"), "error alone");
    log_set_level(LOG_LEVEL_INFO);
    is_int(log_level_parse("warn", &level), 0, "parse");
    is_int(level, LOG_LEVEL_WARN, "warn");
    is_int(log_level_parse("debug", &level), 0, "parse");
    is_int(level, LOG_LEVEL_DEBUG, "debug");
    is_int(log_level_parse("Info", &level), -1, "unknown level");
    is_int(level, LOG_LEVEL_DEBUG, "changes nothing");
}

static void test_long(void)
{
    static char text[6000];
    const char *line;

    memset(text, 'x', sizeof(text) - 1);
    say(INFO, "%s", text);
    line = contents();
    ok(strlen(line) >= 4090 && strlen(line) <= 4096, "a long line is cut at 4096");
    ok(matches(line, "xxx\\.\\.\\.\n$"), "and says so");
    memset(text, '\n', sizeof(text) - 1);
    say(INFO, "%s", text);
    line = contents();
    ok(strlen(line) > 4085 && strlen(line) <= 4096, "escapes count");
    ok(matches(line, "\\\\x0a\\.\\.\\.\n$"), "and are not torn");
    for (size_t i = 0; i + 1 < sizeof(text) - 1; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    say(INFO, "%s", text);
    ok(matches(contents(), "\xc3\xa4\\.\\.\\.\n$"), "nor is a character");
}

static void test_json(void)
{
    static char text[6000];
    const char *line;

    ok(log_is(LOG_TO_FILE, path, LOG_TEXT), "the log is a file");
    is_int(log_open(LOG_TO_FILE, path, LOG_JSON), 0, "open as JSON");
    ok(log_is(LOG_TO_FILE, path, LOG_JSON) && !log_is(LOG_TO_FILE, path, LOG_TEXT) &&
           !log_is(LOG_TO_FILE, "/dev/null", LOG_JSON) && !log_is(LOG_TO_STDERR, NULL, LOG_JSON),
       "and now in JSON");
    log_name("mas\"ter", 0);
    say(INFO, "q=\" b=\\ n=\n u=\xc3\xa4 bad=\xff c1=\xc2\x85");
    ok(matches(contents(),
               "^\\{\"time\":\"" DATE "\",\"level\":\"info\",\"process\":\"mas\\\\\"ter\","
               "\"pid\":[0-9]+,\"message\":\"said\",\"event\":\"kind\",\"text\":\"q=\\\\\" "
               "b=\\\\\\\\ n=\\\\u000a u=\xc3\xa4 "
               "bad=\\\\\\\\xff c1=\\\\u0085\"\\}\n$"),
       "a line of JSON");
    memset(text, '"', sizeof(text) - 1);
    say(INFO, "%s", text);
    line = contents();
    ok(strlen(line) > 2048 && strlen(line) <= 4096, "a long one is cut");
    ok(matches(line, "[^\\\\](\\\\\")+\\.\\.\\.\",\"cut\":true\\}\n$"), "and is still JSON");
    contents();
    log_name("worker", 3);
    log_event(INFO, "kind", "text[: user={} n={}]", LOG_WORD("user", "\xc3\xa4 \"", 4, 0),
              LOG_UINT("n", 7));
    ok(matches(contents(), ",\"message\":\"text\",\"event\":\"kind\",\"worker\":3,"
                           "\"user\":\"\xc3\xa4 \\\\\"\",\"n\":7\\}\n$"),
       "an event");
    log_name("master", 0);
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "back to text");
}

static const struct log_entry entries[] = {{"one", "first[: a={}]"}, {"two", "second[: a={}]"}};

static void test_events(void)
{
    int looked = 0;

    errno = ENOENT;
    log_event(WARN, "kind", "no fields");
    log_event(WARN, "kind", "open[: file={}][: {}]", LOG_STR("file", "x"), LOG_ERRNO());
    is_int(errno, ENOENT, "errno is kept");
    ok(matches(contents(), "warn worker 3\\[[0-9]+\\]: no fields\n[^\n]*warn [^\n]*: open: "
                           "file=x: No such file or directory\n$"),
       "events");
    for (int i = 0; i < 2; i++)
        log_entry_at(i ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, entries[i], LOG_INT("a", i));
    ok(matches(contents(), " info [^\n]*: first: a=0\n[^\n]* error [^\n]*: second: a=1\n$"),
       "those of a table, at a level that is computed");
    log_event(DEBUG, "kind", "text[: n={}]", LOG_INT("n", ++looked));
    log_event(INFO, "kind", "text[: n={}]", LOG_IF(looked > 0, LOG_INT("n", ++looked)));
    is_int(looked, 0, "what nobody wants to see is not looked at");
    ok(matches(contents(), "^[^\n]*: text\n$"), "nor written");
}

static void test_reopen(void)
{
    mode_t mask = umask(077);
    struct stat st;

    say(INFO, "before");
    is_int(rename(path, moved), 0, "rotate");
    say(INFO, "still there");
    is_int(log_reopen(), 0, "reopen");
    umask(mask);
    is_int(stat(path, &st) == 0 ? st.st_mode & 0777 : 0, 0640, "the mode is that of the old one");
    say(INFO, "after");
    ok(matches(contents(), "^[^\n]*: after\n$"), "new lines in the new file");
    is_int(rename(moved, path), 0, "look at the old one");
    ok(matches(contents(), ": before\n.*: still there\n$"), "old lines in the old one");
    is_int(log_reopen(), 0, "reopen again");

    is_int(rename(path, moved), 0, "a name that cannot be opened");
    is_int(mkdir(path, 0700), 0, "for it is a directory now");
    is_int(log_reopen(), -1, "reopen fails");
    is_int(errno, EISDIR, "and says why");
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), -1, "so does open");
    say(INFO, "kept");
    rmdir(path);
    is_int(rename(moved, path), 0, "back");
    ok(matches(contents(), ": kept\n$"), "the old descriptor stayed");
    ok(fcntl(STDERR_FILENO, F_GETFD) >= 0, "stderr is still open");
}

static uid_t owner(void)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_uid : (uid_t)-1;
}

/* Before the log goes there. */
static void test_try(void)
{
    mode_t mask = umask(077);
    struct stat st;

    is_int(logfile_check(moved), 0, "a file that is not there may be made");
    ok(access(moved, F_OK) < 0, "and is not");
    is_int(logfile_try(moved), 0, "a file that was not there");
    is_int(logfile_check(moved), 0, "one that is there is written to");
    umask(mask);
    is_int(stat(moved, &st) == 0 ? st.st_mode & 0777 : 0, 0640, "is made as the log would be");
    say(INFO, "here");
    ok(matches(contents(), ": here\n$"), "the log stays where it is");
    unlink(moved);
    is_int(symlink("none/there", moved), 0, "a link to where no file can be made");
    is_int(logfile_check(moved), -1, "is refused");
    is_int(errno, ENOENT, "and says why");
    unlink(moved);
    is_int(symlink("there", moved), 0, "a link to where one can");
    is_int(logfile_check(moved), 0, "is not");
    unlink(moved);
    is_int(logfile_try(dir), -1, "a directory");
    is_int(mkfifo(moved, 0600), 0, "a fifo that nobody reads");
    alarm(10); /* no wait for a reader */
    is_int(logfile_try(moved), -1, "is refused");
    is_int(errno, ENXIO, "and says why");
    is_int(log_open(LOG_TO_FILE, moved, LOG_TEXT), -1, "by open, too");
    alarm(0);
    unlink(moved);
}

/* Only a file that was made: another's name may point anywhere. */
static void test_give(void)
{
    const uid_t other = geteuid() == 0 ? 65534 : geteuid();

    is_int(log_give(other, (gid_t)-1), 0, "a file that was there is not given away");
    is_int(owner(), geteuid(), "it is whose it was");
    unlink(path);
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "another file");
    is_int(log_give(other, (gid_t)-1), 0, "a file that was made is given");
    is_int(owner(), other, "and is the other's");
    is_int(log_reopen(), 0, "reopen");
    is_int(log_give(geteuid(), (gid_t)-1), 0, "from then on it was there");
    is_int(owner(), other, "and stays the other's");
}

static int swaps;

/* While swaps: path is a file of root's for the time of a look at it by name. */
int lstat(const char *file, struct stat *st)
{
    char aside[sizeof(path) + 8];
    int rc;

    if (!swaps)
        return fstatat(AT_FDCWD, file, st, AT_SYMLINK_NOFOLLOW);
    snprintf(aside, sizeof(aside), "%s.aside", file);
    rename(file, aside);
    rc = fstatat(AT_FDCWD, "/", st, AT_SYMLINK_NOFOLLOW);
    rename(aside, file);
    return rc;
}

/* Opens path, which is a symbolic link of that user to a file called target that is
 * not there. */
static int open_link(const char *target, uid_t uid)
{
    unlink(path);
    if (symlink(target, path) < 0 || lchown(path, uid, (gid_t)-1) < 0)
        return -2;
    return log_open(LOG_TO_FILE, path, LOG_TEXT);
}

/* The directory may be another's, who could make root write wherever a link leads. */
static void test_link(void)
{
    const uid_t other = 65534;
    struct stat st;
    char target[sizeof(path) + 8], further[sizeof(path) + 9];

    snprintf(target, sizeof(target), "%s.target", path);
    if (geteuid() == 0) {
        is_int(open_link(target, other), -1, "another's link is not followed");
        is_int(errno, ELOOP, "and that is said");
        ok(lstat(target, &st) < 0, "nothing was made where it leads");
        is_int(log_reopen(), -1, "nor is it when the log is opened again");
        ok(lstat(target, &st) < 0, "as little then");
    }
    if (geteuid() == 0) {
        is_int(open_link(target, other), -1, "another's link");
        swaps = 1;
        is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), -1, "one that another takes the place of");
        swaps = 0;
        ok(lstat(target, &st) < 0, "nothing was made where that leads");
    }
    snprintf(further, sizeof(further), "%s.further", path);
    is_int(symlink(strrchr(target, '/') + 1, further), 0, "a link to a link");
    is_int(open_link(strrchr(further, '/') + 1, geteuid()), 0, "of ours is followed");
    ok(lstat(target, &st) == 0, "to where both lead");
    unlink(target);
    unlink(further);
    is_int(symlink(path, further), 0, "links in a circle");
    is_int(open_link(further, geteuid()), -1, "lead nowhere");
    is_int(errno, ELOOP, "and that is said");
    unlink(further);
    is_int(open_link(target, geteuid()), 0, "our own link is followed");
    ok(lstat(target, &st) == 0, "to where it leads");
    unlink(target);
    unlink(path);
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "back to a file");
}

/* A limit on the file's size stands for the disk that is full. */
static void test_lost(void)
{
    struct rlimit old, tight;
    const char *text;

    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    contents();
    say(INFO, "fits");
    is_int(log_lost(), 0, "nothing lost yet");
    tight = (struct rlimit){.rlim_cur = 80, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
    say(INFO, "this line is torn by the end of the room that there is");
    say(INFO, "this one is lost as a whole");
    setrlimit(RLIMIT_FSIZE, &old); /* before the next check: it may go to a file */
    is_int(log_lost(), 2, "both count");
    say(INFO, "again");
    say(INFO, "and again");
    text = contents();
    ok(matches(text, ": fits\n[^\n]*\n[^\n]* warn [^\n]*: log lines lost: count=2\n"
                     "[^\n]*: again\n[^\n]*: and again\n$"),
       "the loss is told once, on a line of its own");
    is_int(log_lost(), 2, "the count stays");
}

/* What the parent has lost is the parent's to tell. */
static void test_child(void)
{
    int status = -1;
    pid_t pid;

    contents();
    pid = fork();
    if (pid == 0) {
        log_name("child", 0);
        say(INFO, "a child's first");
        _exit(log_lost() == 0 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    is_int(status, 0, "a child has lost nothing");
    ok(matches(contents(), "^[^\n]* info child[^\n]*: a child's first\n$"), "and tells of nothing");
}

/* Nobody reads: say() must return all the same. */
static void test_full_pipe(void)
{
    int ends[2], saved = dup(STDERR_FILENO), lines = 0;
    char byte[65536];
    uint64_t lost = log_lost();
    ssize_t n;

    if (!ok(pipe(ends) == 0 && saved >= 0, "pipe"))
        return;
    dup2(ends[1], STDERR_FILENO);
    is_int(log_open(LOG_TO_STDERR, NULL, LOG_TEXT), 0, "open stderr");
    for (int i = 0; i < 3000; i++)
        say(INFO, "line=%d ........................................................", i);
    ok(log_lost() > lost, "a full pipe loses lines, and nothing waits");
    n = read(ends[0], byte, sizeof(byte));
    for (ssize_t i = 0; i < n; i++)
        lines += n - i > 6 && memcmp(byte + i, ": line=", 7) == 0;
    is_int(lines + (int)(log_lost() - lost), 3000, "each is there or counted");
    ok(n > 0 && byte[n - 1] == '\n', "none is torn");
    say(INFO, "room again");
    n = read(ends[0], byte, sizeof(byte) - 1);
    byte[n > 0 ? n : 0] = '\0';
    ok(matches(byte, "log lines lost: count=[0-9]+\n.*: room again\n$"), "the loss is told");

    close(ends[0]);
    lost = log_lost();
    say(INFO, "nobody there");
    is_int(log_lost() - lost, 1, "a pipe without a reader counts too");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "back to the file");
    test_child();
    say(INFO, "told");
    ok(matches(contents(), "count=1\n.*: told\n$"), "also in the next target");
}

/* The other stream, which others have, too: TAP goes there. */
static void test_stdout(void)
{
    int ends[2], saved, opened, is_same, is_open;
    char text[1024];
    ssize_t n;

    (void)fflush(stdout);
    saved = dup(STDOUT_FILENO);
    if (!ok(pipe(ends) == 0 && saved >= 0, "pipe"))
        return;
    dup2(ends[1], STDOUT_FILENO);
    opened = log_open(LOG_TO_STDOUT, NULL, LOG_TEXT);
    is_same = log_is(LOG_TO_STDOUT, NULL, LOG_TEXT) && !log_is(LOG_TO_STDERR, NULL, LOG_TEXT);
    say(INFO, "out");
    is_open = (fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK) == 0;
    n = read(ends[0], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    (void)log_open(LOG_TO_FILE, path, LOG_TEXT);
    is_open = is_open && fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    is_int(opened, 0, "open stdout");
    ok(is_same, "it is the target");
    ok(matches(text, "^" DATE " info [^\n]*: out\n$"), "a line");
    ok(is_open, "it stays open, and waits for whoever else writes there");
}

/* Until *stop, which is shared. */
static void write_lines(const volatile int *stop)
{
    for (int line = 0; !*stop; line++)
        say(INFO, "line=%d %0100d", line, 0);
    _exit(log_lost() > 0 ? 0 : 1);
}

/* Processes that share a pipe race for its last room: none may wait for a reader. */
static void test_shared(int is_socket)
{
    enum { WRITERS = 8, READS = 2000 };
    int ends[2], saved = dup(STDERR_FILENO), good = 0, status;
    volatile int *stop =
        mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char page[4096];
    pid_t pids[WRITERS];

    if (!ok((is_socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends)) == 0 && saved >= 0,
            "%s", is_socket ? "socket" : "pipe"))
        return;
    dup2(ends[1], STDERR_FILENO);
    is_int(log_open(LOG_TO_STDERR, NULL, LOG_TEXT), 0, "open stderr");
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            write_lines(stop);
    }
    for (int i = 0; i < READS; i++)
        good += read(ends[0], page, sizeof(page)) > 0;
    is_int(good, READS, "what is read is there");
    usleep(100000); /* it fills up: who waits now waits for ever */
    *stop = 1;
    alarm(60);
    good = 0;
    for (int i = 0; i < WRITERS; i++)
        good += waitpid(pids[i], &status, 0) > 0 && status == 0;
    alarm(0);
    is_int(good, WRITERS, "all come to their end, and have lost lines");
    is_int(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0, "what is shared blocks as before");
    munmap((void *)(uintptr_t)stop, sizeof(*stop));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "back to the file");
}

/* What test_journal() has caught on stderr since the last time. */
static const char *caught(int fd)
{
    static char text[4096];
    ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void log_one_each(void)
{
    log_set_level(LOG_LEVEL_DEBUG);
    say(ERROR, "a");
    say(WARN, "b");
    say(INFO, "c");
    say(DEBUG, "d");
    log_set_level(LOG_LEVEL_INFO);
}

/* systemd's journal is at the other end, or JOURNAL_STREAM names something else. */
static void test_journal(void)
{
    int ends[2], saved = dup(STDERR_FILENO);
    struct stat st;
    char name[64];

    if (!ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && saved >= 0, "socket"))
        return;
    dup2(ends[1], STDERR_FILENO);
    fstat(STDERR_FILENO, &st);
    snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", name, 1);
    is_int(log_open(LOG_TO_STDERR, NULL, LOG_TEXT), 0, "the journal's stream");
    log_one_each();
    ok(matches(caught(ends[0]), "^<3>error [^\n]*: a\n<4>warn [^\n]*: b\n"
                                "<6>info [^\n]*: c\n<7>debug [^\n]*: d\n$"),
       "priorities, and no time");
    is_str(log_mark(LOG_LEVEL_WARN), "<4>", "and for who writes there himself");
    is_int(log_open(LOG_TO_STDERR, NULL, LOG_JSON), 0, "JSON");
    say(WARN, "b");
    ok(matches(caught(ends[0]), "^<4>\\{\"level\":\"warn\",[^\n]*\"text\":\"b\"\\}\n$"),
       "the same");
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "a file");
    say(WARN, "b");
    ok(matches(contents(), "^" DATE " warn [^\n]*: b\n$"), "has the time and no priority");
    snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
    setenv("JOURNAL_STREAM", name, 1);
    is_int(log_open(LOG_TO_STDERR, NULL, LOG_TEXT), 0, "stderr is another stream");
    say(WARN, "b");
    ok(matches(caught(ends[0]), "^" DATE " warn [^\n]*: b\n$"), "and so is no journal");
    is_str(log_mark(LOG_LEVEL_WARN), "", "no mark");
    unsetenv("JOURNAL_STREAM");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "back to the file");
}

/* A file that is a FIFO is no different. */
static void test_fifo(void)
{
    char fifo[64];
    uint64_t lost = log_lost();
    int fd;

    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    is_int(mkfifo(fifo, 0600), 0, "FIFO");
    is_int(log_open(LOG_TO_FILE, fifo, LOG_TEXT), -1, "nobody reads it: it does not open");
    fd = open(fifo, O_RDONLY | O_NONBLOCK);
    is_int(log_open(LOG_TO_FILE, fifo, LOG_TEXT), 0, "now it does");
    for (int i = 0; i < 2000; i++)
        say(INFO, "line=%d %0100d", i, 0);
    ok(log_lost() > lost, "one that is full loses lines");
    is_int(log_open(LOG_TO_FILE, path, LOG_TEXT), 0, "back to the file");
    close(fd);
    unlink(fifo);
}

static void test_fatal(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        log_fatal("kind", "cannot [{}]", LOG_STR("what", "start"));
    waitpid(pid, &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "log_fatal() exits with 1");
    ok(matches(contents(), "error .*: cannot start\n$"), "and logs");
}

static void check_escape(const char *bytes, size_t len, size_t cap, const char *want)
{
    unsigned char *dst = tap_guard(NULL, cap), *src = tap_guard(bytes, len);

    is_str(log_escape((char *)dst, cap, src, len), want, "escape");
    tap_guard_free(dst, cap);
    tap_guard_free(src, len);
}

static void test_escape(void)
{
    check_escape("plain", 5, 6, "plain");
    check_escape("plain", 5, 5, "p...");
    check_escape("plain", 5, 4, "...");
    check_escape("plain", 5, 3, "..");
    check_escape("plain", 5, 1, "");
    check_escape("", 0, 1, "");
    check_escape("a\0\n\x1b\\\xc3\xa4~", 8, 64, "a\\x00\\x0a\\x1b\\x5c\\xc3\\xa4~");
    check_escape("\x1f !~\x7f\x80", 6, 64, "\\x1f !~\\x7f\\x80");
    check_escape("ab\n", 3, 7, "ab\\x0a");
    check_escape("ab\n", 3, 6, "ab...");
    check_escape("a\n\n", 3, 9, "a\\x0a...");
    check_escape("a\n\n", 3, 8, "a...");
    is_str(log_word((char[64]){""}, 64, "\x1f !\"~\x7f", 6), "\\x1f\\x20!\\x22~\\x7f",
           "a word likewise");
    is_str(log_escape(NULL, 0, "x", 1), "", "no room at all");
    is_str(log_escape((char[64]){""}, 64, "a \"b\"", 5), "a \"b\"", "what is plain");
    is_str(log_word((char[64]){""}, 64, "a b=\"c\"\\\n!~", 11), "a\\x20b=\\x22c\\x22\\x5c\\x0a!~",
           "a word has neither spaces nor quotes");
    is_str(log_word((char[5]){""}, 5, " ", 1), "\\x20", "which take room too");
    is_str(log_word((char[4]){""}, 4, " ", 1), "...", "or are cut");
}

static void test_lines(void)
{
    static const struct log_entry entry = {"kind", "conf[: {}]<iguration>"};
    log_open(LOG_TO_FILE, path, LOG_TEXT);
    say(INFO, "first"); /* and how many were lost before */
    (void)contents();
    log_lines(LOG_LEVEL_WARN, entry, "one\n\nthree 100%s\nlast", 21);
    ok(matches(contents(), "^" DATE " warn [^ ]+ conf: one\n" DATE " warn [^ ]+ conf: \n" DATE
                           " warn [^ ]+ conf: three 100%s\n" DATE " warn [^ ]+ conf: last\n$"),
       "a line of the log for each line, as it is");
    log_lines(LOG_LEVEL_WARN, entry, "one\n", 4);
    ok(matches(contents(), "^[^\n]* conf: one\n$"), "none behind the last newline");
    log_lines(LOG_LEVEL_WARN, entry, NULL, 0);
    is_str(contents(), "", "none for nothing");
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
}

static void test_due(void)
{
    struct log_every every = {0};
    uint64_t until;

    is_int(log_due(&every, 30), 1, "the first is due");
    is_int(log_due(&every, 30), 0, "the second is not");
    is_int(log_due(&every, 30), 0, "nor the third");
    until = clock_ms() + 35;
    while (clock_ms() < until)
        usleep(1000);
    is_int(log_due(&every, 30), 3, "later they are told");
    is_int(log_due(&every, 30), 0, "once");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(moved, sizeof(moved), "%s/log.1", dir);
    test_text();
    test_levels();
    test_long();
    test_events();
    test_json();
    test_reopen();
    test_try();
    test_give();
    test_link();
    test_lost();
    test_full_pipe();
    test_stdout();
    test_shared(0);
    test_shared(1);
    test_journal();
    test_fifo();
    test_fatal();
    test_escape();
    test_lines();
    test_due();
    is_int(log_open(LOG_TO_SYSLOG, NULL, LOG_TEXT), 0, "syslog opens");
    is_int(log_reopen(), 0, "nothing to reopen there");
    is_int(log_open(LOG_TO_STDERR, NULL, LOG_TEXT), 0, "and stderr");
    unlink(path);
    rmdir(dir);
    return tap_done();
}
