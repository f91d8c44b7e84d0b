/* The JWKS file is read again however it is changed, and bad ones change nothing. */
#include "master/keywatch.h"

#include "scratch.h"
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

static struct conf *conf;
static struct keywatch *watch;
static int calls;
static struct event_base *base;

static void make_link(const char *target, const char *name)
{
    if (symlink(target, scratch_path(name)) < 0)
        abort();
}

/* A time long ago: then the file has settled. */
static void set_time(const char *name, int seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000 + seconds}};

    (void)utimensat(AT_FDCWD, scratch_path(name), times, 0);
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
    scratch_text("jwks", SET(KEY("a")));
    start(scratch_path("jwks"));
    is_look(0, "a", "nothing has changed");
    set_time("jwks", 0);
    is_look(0, "a", "but its time");
    is_look(0, "a", "nor that");
    scratch_text("jwks", SET(KEY("a") "," KEY("b")));
    is_look(1, "ab", "written in place");
    is_look(0, "ab", "and not again");
    scratch_text("new", SET(KEY("c")));
    (void)rename(scratch_path("new"), scratch_path("jwks"));
    is_look(1, "c", "renamed over it");
    scratch_text("jwks", SET(KEY("d")));
    set_time("jwks", 1);
    is_look(1, "d", "as long as before");
    scratch_text("jwks", "{\"keys\":[");
    is_look(-1, "d", "cut off");
    is_look(-1, "d", "still cut off");
    scratch_text("jwks", SET(KEY("d")));
    is_look(0, "d", "whole again, and what it was");
    (void)unlink(scratch_path("jwks"));
    is_look(-1, "d", "gone");
    (void)mkdir(scratch_path("jwks"), 0700);
    is_look(-1, "d", "a directory");
    (void)rmdir(scratch_path("jwks"));
    (void)mkfifo(scratch_path("jwks"), 0600);
    is_look(-1, "d", "a fifo, which is not waited for");
    (void)unlink(scratch_path("jwks"));
    scratch_text("jwks", SET(""));
    is_look(-1, "d", "no key is left");
    scratch_text("jwks", SET(KEY("e")));
    is_look(1, "e", "another");
    stop();
    (void)unlink(scratch_path("jwks"));
}

/* How often text is in the log, which is emptied. */
static int logged(const char *text)
{
    static char lines[8192];
    FILE *file = fopen(scratch_path("log"), "r+");
    size_t len = fread(lines, 1, sizeof(lines) - 1, file);
    int n = 0;

    lines[len] = '\0';
    if (ftruncate(fileno(file), 0) < 0)
        abort();
    (void)fclose(file);
    for (const char *at = lines; (at = strstr(at, text)) != NULL; at += strlen(text))
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

    scratch_text("jwks", SET(KEY("a")));
    start(scratch_path("jwks"));
    if (log_open(LOG_TO_FILE, scratch_path("log"), LOG_TEXT) < 0)
        abort();
    for (int i = 0; i < 3; i++) {
        scratch_text("jwks", sets[i]);
        is_look(-1, "a", "no key is left");
        is_int(logged(says[i]), 1, "the log says why");
        is_look(-1, "a", "the same again");
        is_int(logged("keys"), 0, "is not logged again");
    }
    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    stop();
    (void)unlink(scratch_path("jwks"));
    (void)unlink(scratch_path("log"));
}

static int opens = -1; /* where the opening of files is told */

/* How often jwks was opened since the last call. */
static int opened(void)
{
    struct inotify_event events[64];
    ssize_t n;

    if (opens < 0)
        opens = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    n = read(opens, events, sizeof(events)); /* no names: each has the size of the struct */
    (void)inotify_add_watch(opens, scratch_path("jwks"), IN_OPEN);
    return n < 0 ? 0 : (int)(n / (ssize_t)sizeof(events[0]));
}

/* What a look costs: a bad file is not read again before it changes. */
static void test_reads(void)
{
    scratch_text("jwks", SET(KEY("a")));
    set_time("jwks", 0);
    start(scratch_path("jwks"));
    (void)opened();
    is_look(0, "a", "the first look");
    is_int(opened(), 1, "reads it");
    is_look(0, "a", "the second");
    is_int(opened(), 0, "does not");
    scratch_text("jwks", "{\"keys\":[");
    set_time("jwks", 1);
    (void)opened();
    is_look(-1, "a", "a bad one");
    is_int(opened(), 1, "is read");
    is_look(-1, "a", "and stays bad");
    is_int(opened(), 0, "unread");
    scratch_text("jwks", SET(KEY("a")));
    (void)opened();
    is_look(0, "a", "one that has just been written");
    is_int(opened(), 1, "is read");
    is_look(0, "a", "and may be written to in the same moment");
    is_int(opened(), 1, "so it is read again");
    scratch_text("jwks", "{\"keys\":[");
    set_time("jwks", 1);
    is_look(-1, "a", "a bad one again");
    (void)opened();
    set_time("jwks", (int)(time(NULL) - 1000000000) + 86400);
    is_look(-1, "a", "a time to come");
    is_int(opened(), 1, "is a change");
    is_look(-1, "a", "the same time to come");
    is_int(opened(), 0, "is none");
    stop();
    (void)unlink(scratch_path("jwks"));
}

/* Nothing of it changes, and yet it is to be read again. */
static void test_unread(void)
{
    struct rlimit files, none;

    (void)getrlimit(RLIMIT_NOFILE, &files);
    none = files;
    none.rlim_cur = 0;
    scratch_text("jwks", SET(KEY("a")));
    start(scratch_path("jwks"));
    scratch_text("jwks", SET(KEY("b")));
    set_time("jwks", 0);
    (void)setrlimit(RLIMIT_NOFILE, &none);
    is_look(-1, "a", "no descriptor is left");
    (void)setrlimit(RLIMIT_NOFILE, &files);
    is_look(1, "b", "and one is again");
    (void)rename(scratch_path("jwks"), scratch_path("away"));
    make_link("jwks", "jwks");
    is_look(-1, "b", "a link to itself");
    (void)unlink(scratch_path("jwks"));
    make_link("away", "jwks");
    (void)opened();
    is_look(0, "b", "the file that it was");
    is_int(opened(), 1, "is read, for it may be another that looks the same");
    stop();
    (void)unlink(scratch_path("jwks"));
    (void)unlink(scratch_path("away"));
}

/* As a Kubernetes volume does it: name -> ..data/name, ..data -> a directory. */
static void test_links(void)
{
    (void)mkdir(scratch_path("one"), 0700);
    (void)mkdir(scratch_path("two"), 0700);
    scratch_text("one/jwks", SET(KEY("a")));
    scratch_text("two/jwks", SET(KEY("b")));
    make_link("one", "data");
    make_link("data/jwks", "jwks");
    start(scratch_path("jwks"));
    is_look(0, "a", "by way of two links");
    make_link("two", "data2");
    (void)rename(scratch_path("data2"), scratch_path("data"));
    is_look(1, "b", "the directory's link turned");
    (void)unlink(scratch_path("data"));
    is_look(-1, "b", "a link to nothing");
    make_link("one", "data");
    is_look(1, "a", "turned back");
    stop();
    (void)unlink(scratch_path("jwks"));
    (void)unlink(scratch_path("data"));
    (void)unlink(scratch_path("one/jwks"));
    (void)unlink(scratch_path("two/jwks"));
    (void)rmdir(scratch_path("one"));
    (void)rmdir(scratch_path("two"));
}

/* By itself, with what changed before it began to look. */
static void test_timer(void)
{
    scratch_text("jwks", SET(KEY("a")));
    start(scratch_path("jwks"));
    scratch_text("jwks", SET(KEY("b")));
    (void)event_base_dispatch(base);
    is_int(calls, 1, "changed between the load and the first look");
    is_str(kids(), "b", "is noticed");
    keywatch_free(&watch);
    is_int(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0, "nothing is left behind");
    stop();
    (void)unlink(scratch_path("jwks"));
}

int main(void)
{
    scratch_make("test_keywatch");
    base = event_base_new();
    test_changes();
    test_told();
    test_reads();
    test_unread();
    test_links();
    test_timer();
    close(opens);
    (void)rmdir(scratch);
    event_base_free(base);
    return tap_done();
}
