/* Certificates in force: their files are read again when they change, a fault is told when it
 * lasts, and an end that is near once a day. */
#include "master/certificates.h"

#include "certificate_make.h"
#include "scratch.h"
#include "tap.h"

#include <event2/event.h>
#include <time.h>
#include <unistd.h>

static struct made one, two, three;
static struct conf *conf;
static struct certificates *certificates;
static struct event_base *base;
static int calls;

static void put(const char *name, const char *bytes)
{
    scratch_write(name, bytes, strlen(bytes), 0600);
}

/* How often text is in the log, in lines of that level, which is emptied. */
static int logged_as(const char *level, const char *text)
{
    static char lines[16384];
    FILE *file = fopen(scratch_path("log"), "r+");
    size_t len = fread(lines, 1, sizeof(lines) - 1, file);
    int n = 0;

    lines[len] = '\0';
    if (ftruncate(fileno(file), 0) < 0)
        abort();
    (void)fclose(file);
    for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n"))
        n += strstr(line, level) != NULL && strstr(line, text) != NULL;
    return n;
}

static int logged(const char *text)
{
    return logged_as("", text);
}

static void on_change(void *arg)
{
    ok(arg == &calls, "whoever asked is told");
    calls++;
    (void)event_base_loopbreak(base);
}

static void start(const char *members)
{
    const struct conf_args args = {.file = "t.conf", .dir = scratch};
    struct buf errors = {0}, warnings = {0}, file = {0};

    buf_printf(&file, "{\"auth\":{\"secret\":\"0123456789abcdef0123456789abcdef\"},\"tls\":{%s}}",
               members);
    conf = conf_load_text(&args, (char *)file.data, file.len, CONF_FOR_DAEMON, &errors, &warnings);
    buf_free(&file);
    buf_free(&errors);
    buf_free(&warnings);
    certificates = certificates_new(base, NULL, on_change, &calls);
    is_int(certificates_watch(certificates, conf), 0, "watched");
}

static void stop(void)
{
    certificates_free(&certificates);
    conf_free(&conf);
}

#define PAIR   "\"certFile\":\"a.crt\",\"keyFile\":\"a.key\""
#define SECOND ",\"certificates\":[{\"certFile\":\"b.pem\"}]"

static const char *name_of(size_t i)
{
    return conf->tls.at[i].names[0];
}

static void test_changes(void)
{
    put("a.crt", one.cert);
    put("a.key", one.pem_key);
    put("b.pem", strcat(strcat(strcpy((char[9000]){""}, two.cert), two.pem_key), ""));
    start(PAIR SECOND);
    is_int(certificates_look(certificates), 0, "nothing has changed");
    put("a.crt", three.cert);
    is_int(certificates_look(certificates), 0, "its key is still to come");
    is_int(logged("stays"), 0, "which is no fault yet");
    put("a.key", three.pem_key);
    is_int(certificates_look(certificates), 1, "then it is there");
    is_str(name_of(0), "three.example", "and in force");
    is_int(logged("another certificate is in force: three.example: valid until 20"), 1, "told");
    is_int((long)certificates_stats(certificates).good, 1, "and counted");
    is_int(certificates_look(certificates), 0, "once");
    put("a.crt", "-----BEGIN CERTIFICATE-----\nMII");
    for (int i = 0; i < 6; i++)
        is_int(certificates_look(certificates), 0, "half a file");
    is_int(logged("the certificate stays as it is: tls:certFile: "), 1,
           "a fault that lasts is told");
    is_int((long)certificates_stats(certificates).failed, 1, "and counted once");
    is_str(name_of(0), "three.example", "what there was is in force");
    put("a.crt", three.cert);
    is_int(certificates_look(certificates), 0, "whole again");
    is_int(logged("a.crt is good again"), 1, "which is told");
    (void)unlink(scratch_path("b.pem"));
    for (int i = 0; i < 6; i++)
        (void)certificates_look(certificates);
    is_int(logged("b.pem: cannot read it: No such file"), 1, "the other has gone");
    put("a.crt", one.cert);
    put("a.key", one.pem_key);
    is_int(certificates_look(certificates), 1, "which does not keep the first from changing");
    stop();
}

/* As certbot has it: names are links, and both are turned. */
static void test_links(void)
{
    put("1.crt", one.cert);
    put("1.key", one.pem_key);
    put("2.crt", two.cert);
    put("2.key", two.pem_key);
    (void)unlink(scratch_path("a.crt"));
    (void)unlink(scratch_path("a.key"));
    if (symlink("1.crt", scratch_path("a.crt")) < 0 || symlink("1.key", scratch_path("a.key")) < 0)
        abort();
    start(PAIR);
    is_int(certificates_look(certificates), 0, "links");
    (void)unlink(scratch_path("a.crt"));
    is_int(certificates_look(certificates), 0, "the first is being turned");
    if (symlink("2.crt", scratch_path("a.crt")) < 0)
        abort();
    is_int(certificates_look(certificates), 0, "it is turned");
    (void)unlink(scratch_path("a.key"));
    if (symlink("2.key", scratch_path("a.key")) < 0)
        abort();
    is_int(certificates_look(certificates), 1, "both are");
    is_str(name_of(0), "two.example", "the other is in force");
    is_int(logged("stays"), 0, "without a word of what was between");
    stop();
}

/* As nobody, who may not read what is root's; that is no news where it was so from the
 * beginning. */
static void test_forbidden(void)
{
    if (geteuid() != 0) {
        ok(1, "needs root # SKIP");
        return;
    }
    (void)chmod(scratch, 0755);
    (void)unlink(scratch_path("a.crt"));
    (void)unlink(scratch_path("a.key"));
    put("a.crt", one.cert);
    put("a.key", one.pem_key);
    for (int before = 0; before < 2; before++) {
        start(PAIR);
        if (seteuid(65534) < 0)
            abort();
        if (before)
            (void)certificates_watch(certificates, conf);
        for (int i = 0; i < 4; i++)
            is_int(certificates_look(certificates), 0, "it may not be read");
        if (seteuid(0) < 0)
            abort();
        is_int(logged("a.crt: Permission denied"), !before, before ? "known" : "which is told");
        is_int((long)certificates_stats(certificates).failed, !before, "and counted");
        put("a.crt", two.cert);
        put("a.key", two.pem_key);
        is_int(certificates_look(certificates), 1, "until it may");
        put("a.crt", one.cert);
        put("a.key", one.pem_key);
        stop();
    }
    (void)logged("");
}

static void test_timer(void)
{
    calls = 0;
    start(PAIR);
    put("2.crt", three.cert);
    put("2.key", three.pem_key);
    (void)event_base_dispatch(base);
    is_int(calls, 1, "noticed by itself");
    is_str(name_of(0), "three.example", "what changed before the first look");
    is_int(certificates_watch(certificates, NULL), 0, "no more of it");
    is_int(certificates_look(certificates), 0, "nothing to look at");
    stop();
    is_int(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0, "nothing is left behind");
}

static void test_ends(void)
{
    int64_t end, day = 86400;

    start(PAIR);
    end = conf->tls.at[0].not_after;
    certificates_remind(certificates, end - 14 * day - 1);
    is_int(logged("tls: a certificate"), 0, "an end that is far");
    certificates_remind(certificates, end - 14 * day + 1);
    is_int(
        logged_as(" warn ", "tls: a certificate expires in 13 days: three.example: valid until 20"),
        1, "near");
    certificates_remind(certificates, end - 13 * day);
    is_int(logged("tls: a certificate"), 0, "not told again");
    certificates_remind(certificates, end - 13 * day + 1);
    is_int(logged("expires in 12 days"), 1, "but a day later");
    certificates_remind(certificates, end - 2 * day);
    is_int(logged_as(" error ", "tls: a certificate expires in 2 days"), 1, "nearer");
    certificates_remind(certificates, end + 1);
    is_int(logged_as(" error ", "tls: a certificate has expired: three.example"), 1, "over");
    certificates_remind(certificates, end - 5 * day);
    is_int(logged("expires in 5 days"), 1, "the clock was set back");
    certificates_count(certificates, 1);
    certificates_count(certificates, 0);
    is_int((long)certificates_stats(certificates).good, 1, "what a reload has brought is counted");
    is_int((long)certificates_stats(certificates).failed, 1, "and what it could not");
    stop();
}

int main(void)
{
    static const char *const names[] = {"a.crt", "a.key", "b.pem", "1.crt",
                                        "1.key", "2.crt", "2.key", "log"};

    scratch_make("test_certificates");
    base = event_base_new();
    one = make((struct make){.name = "1", .names = "DNS:one.example"});
    two = make((struct make){.name = "2", .names = "DNS:two.example"});
    three = make((struct make){.name = "3", .names = "DNS:three.example"});
    if (log_open(LOG_TO_FILE, scratch_path("log"), LOG_TEXT) < 0)
        abort();
    test_changes();
    test_links();
    test_forbidden();
    if (symlink("2.crt", scratch_path("link")) < 0)
        abort();
    (void)rename(scratch_path("link"), scratch_path("a.crt"));
    if (symlink("2.key", scratch_path("link")) < 0)
        abort();
    (void)rename(scratch_path("link"), scratch_path("a.key"));
    test_timer();
    test_ends();
    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(scratch_path(names[i]));
    (void)rmdir(scratch);
    made_free(&one);
    made_free(&two);
    made_free(&three);
    event_base_free(base);
    libevent_global_shutdown();
    return tap_done();
}
