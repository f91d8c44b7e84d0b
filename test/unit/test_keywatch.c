/* The JWKS file is read again however it is changed, and bad ones change nothing. */
#include "master/keywatch.h"

#include "tap.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY(kid)                                                                                   \
    "{\"kty\":\"oct\",\"kid\":\"" kid "\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}"
#define SET(keys) "{\"keys\":[" keys "]}"

static char dir[] = "/tmp/test_keywatch.XXXXXX";
static struct conf *conf;
static struct keywatch *watch;
static int calls;
static struct event_base *base;

static const char *path_of(const char *name)
{
    static char paths[2][128];
    static unsigned turn;
    char *path = paths[turn++ % 2];
    (void)snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    (void)fputs(text, file);
    (void)fclose(file);
}

static void make_link(const char *target, const char *name)
{
    if (symlink(target, path_of(name)) < 0)
        abort();
}

/* A time long ago: then the file has settled. */
static void set_time(const char *name, int seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000 + seconds}};
    (void)utimensat(AT_FDCWD, path_of(name), times, 0);
}

/* The kids in force, without a separator. */
static const char *kids(void)
{
    static char text[64];
    struct buf out = {0};
    text[0] = '\0';
    for (size_t i = 0; i < token_keys_count(conf->keys); i++) {
        buf_reset(&out);
        token_keys_describe(conf->keys, i, &out);
        (void)strncat(text, (char *)out.data + 5, 1);
    }
    buf_free(&out);
    return text;
}

static struct conf *load(const char *jwks_file)
{
    char *options[] = {strdup("--auth:jwksFile"), strdup(jwks_file)};
    struct conf_args args = {.file = "t.conf", .options = options, .noptions = 2};
    struct buf errors = {0}, warnings = {0};
    struct conf *loaded = conf_load_text(&args, "", 0, CONF_FOR_DAEMON, &errors, &warnings);
    free(options[0]);
    free(options[1]);
    buf_free(&errors);
    buf_free(&warnings);
    return loaded;
}

static void on_change(void *arg)
{
    calls++;
    ok(arg == &calls, "whoever asked is told");
    (void)event_base_loopbreak(base);
}

static void start(const char *jwks_file)
{
    conf = load(jwks_file);
    watch = keywatch_new(base, conf, on_change, &calls);
}

static void stop(void)
{
    keywatch_free(&watch);
    conf_free(&conf);
}

static void is_look(int want, const char *want_kids, const char *name)
{
    is_int(keywatch_look(watch), want, name);
    is_str(kids(), want_kids, "the keys in force");
}

static void test_changes(void)
{
    write_file("jwks", SET(KEY("a")));
    start(path_of("jwks"));
    is_look(0, "a", "nothing has changed");
    set_time("jwks", 0);
    is_look(0, "a", "but its time");
    is_look(0, "a", "nor that");
    write_file("jwks", SET(KEY("a") "," KEY("b")));
    is_look(1, "ab", "written in place");
    is_look(0, "ab", "and not again");
    write_file("new", SET(KEY("c")));
    (void)rename(path_of("new"), path_of("jwks"));
    is_look(1, "c", "renamed over it");
    write_file("jwks", SET(KEY("d")));
    set_time("jwks", 1);
    is_look(1, "d", "as long as before");
    write_file("jwks", "{\"keys\":[");
    is_look(-1, "d", "cut off");
    is_look(-1, "d", "still cut off");
    write_file("jwks", SET(KEY("d")));
    is_look(0, "d", "whole again, and what it was");
    (void)unlink(path_of("jwks"));
    is_look(-1, "d", "gone");
    (void)mkdir(path_of("jwks"), 0700);
    is_look(-1, "d", "a directory");
    (void)rmdir(path_of("jwks"));
    (void)mkfifo(path_of("jwks"), 0600);
    is_look(-1, "d", "a fifo, which is not waited for");
    (void)unlink(path_of("jwks"));
    write_file("jwks", SET(""));
    is_look(-1, "d", "no key is left");
    write_file("jwks", SET(KEY("e")));
    is_look(1, "e", "another");
    stop();
    (void)unlink(path_of("jwks"));
}

/* How often text is in the log, which is emptied. */
static int logged(const char *text)
{
    static char lines[8192];
    FILE *file = fopen(path_of("log"), "r+");
    size_t len = fread(lines, 1, sizeof lines - 1, file);
    int n = 0;
    lines[len] = '\0';
    if (ftruncate(fileno(file), 0) < 0)
        abort();
    (void)fclose(file);
    for (const char *at = lines; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

/* Why no key is left, once for each reason. */
static void test_told(void)
{
    const char *const sets[] = {
        SET(""), SET("{\"kty\":\"OKP\"}"),
        SET("{\"kty\":\"oct\",\"use\":\"enc\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZg\"}")};
    const char *const says[] = {"found no key", "its \"kty\" is none", "its \"use\" is not"};
    write_file("jwks", SET(KEY("a")));
    start(path_of("jwks"));
    if (log_open(LOG_TO_FILE, path_of("log"), LOG_TEXT) < 0)
        abort();
    for (int i = 0; i < 3; i++) {
        write_file("jwks", sets[i]);
        is_look(-1, "a", "no key is left");
        is_int(logged(says[i]), 1, "the log says why");
        is_look(-1, "a", "the same again");
        is_int(logged("keys"), 0, "is not logged again");
    }
    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    stop();
    (void)unlink(path_of("jwks"));
    (void)unlink(path_of("log"));
}

/* How often jwks was opened since the last call. */
static int opened(void)
{
    static int fd = -1;
    struct inotify_event events[64];
    ssize_t n;
    if (fd < 0)
        fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    n = read(fd, events, sizeof events); /* no names: each has the size of the struct */
    (void)inotify_add_watch(fd, path_of("jwks"), IN_OPEN);
    return n < 0 ? 0 : (int)(n / (ssize_t)sizeof events[0]);
}

/* What a look costs: a bad file is not read again before it changes. */
static void test_reads(void)
{
    write_file("jwks", SET(KEY("a")));
    set_time("jwks", 0);
    start(path_of("jwks"));
    (void)opened();
    is_look(0, "a", "the first look");
    is_int(opened(), 1, "reads it");
    is_look(0, "a", "the second");
    is_int(opened(), 0, "does not");
    write_file("jwks", "{\"keys\":[");
    set_time("jwks", 1);
    (void)opened();
    is_look(-1, "a", "a bad one");
    is_int(opened(), 1, "is read");
    is_look(-1, "a", "and stays bad");
    is_int(opened(), 0, "unread");
    set_time("jwks", (int)(time(NULL) - 1000000000) + 86400);
    is_look(-1, "a", "a time to come");
    is_int(opened(), 1, "is a change");
    is_look(-1, "a", "the same time to come");
    is_int(opened(), 0, "is none");
    stop();
    (void)unlink(path_of("jwks"));
}

/* Nothing of it changes, and yet it is to be read again. */
static void test_unread(void)
{
    struct rlimit files, none;
    (void)getrlimit(RLIMIT_NOFILE, &files);
    none = files;
    none.rlim_cur = 0;
    write_file("jwks", SET(KEY("a")));
    start(path_of("jwks"));
    write_file("jwks", SET(KEY("b")));
    set_time("jwks", 0);
    (void)setrlimit(RLIMIT_NOFILE, &none);
    is_look(-1, "a", "no descriptor is left");
    (void)setrlimit(RLIMIT_NOFILE, &files);
    is_look(1, "b", "and one is again");
    (void)rename(path_of("jwks"), path_of("away"));
    make_link("jwks", "jwks");
    is_look(-1, "b", "a link to itself");
    (void)unlink(path_of("jwks"));
    make_link("away", "jwks");
    (void)opened();
    is_look(0, "b", "the file that it was");
    is_int(opened(), 1, "is read, for it may be another that looks the same");
    stop();
    (void)unlink(path_of("jwks"));
    (void)unlink(path_of("away"));
}

/* As a Kubernetes volume does it: name -> ..data/name, ..data -> a directory. */
static void test_links(void)
{
    (void)mkdir(path_of("one"), 0700);
    (void)mkdir(path_of("two"), 0700);
    write_file("one/jwks", SET(KEY("a")));
    write_file("two/jwks", SET(KEY("b")));
    make_link("one", "data");
    make_link("data/jwks", "jwks");
    start(path_of("jwks"));
    is_look(0, "a", "by way of two links");
    make_link("two", "data2");
    (void)rename(path_of("data2"), path_of("data"));
    is_look(1, "b", "the directory's link turned");
    (void)unlink(path_of("data"));
    is_look(-1, "b", "a link to nothing");
    make_link("one", "data");
    is_look(1, "a", "turned back");
    stop();
    (void)unlink(path_of("jwks"));
    (void)unlink(path_of("data"));
    (void)unlink(path_of("one/jwks"));
    (void)unlink(path_of("two/jwks"));
    (void)rmdir(path_of("one"));
    (void)rmdir(path_of("two"));
}

/* By itself, with what changed before it began to look. */
static void test_timer(void)
{
    write_file("jwks", SET(KEY("a")));
    start(path_of("jwks"));
    write_file("jwks", SET(KEY("b")));
    (void)event_base_dispatch(base);
    is_int(calls, 1, "changed between the load and the first look");
    is_str(kids(), "b", "is noticed");
    keywatch_free(&watch);
    is_int(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0, "nothing is left behind");
    stop();
    (void)unlink(path_of("jwks"));
}

int main(void)
{
    if (!mkdtemp(dir))
        abort();
    base = event_base_new();
    test_changes();
    test_told();
    test_reads();
    test_unread();
    test_links();
    test_timer();
    (void)rmdir(dir);
    event_base_free(base);
    return tap_done();
}
