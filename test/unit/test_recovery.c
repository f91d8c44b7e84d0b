/* socket.io:connectionStateRecovery: a word, an object, or members from several places;
 * and the secret of its file. */
#include "conf.h"

#include "scratch.h"
#include "tap.h"

#include <unistd.h>

#define SECRET   "0123456789abcdef0123456789abcdef"
#define RECOVERY "socket.io:connectionStateRecovery"

static struct buf errors, warnings, report;

static const char *text(struct buf *buf)
{
    buf_putc(buf, '\0');
    buf->len--;
    return (const char *)buf->data;
}

static int has(struct buf *buf, const char *part)
{
    return strstr(text(buf), part) != NULL;
}

#define WORDS 4

/* The value in the file (NULL: it is not there), variables and options. */
struct given {
    const char *file;
    const char *variables[WORDS];
    const char *options[WORDS];
};

static struct conf *load(const struct given *given, enum conf_for purpose)
{
    char *variables[WORDS + 1] = {NULL}, *options[WORDS] = {NULL};
    struct conf_args args = {
        .file = "t.conf", .environ = variables, .dir = scratch, .options = options};
    struct buf file = {0};
    struct conf *conf;

    for (size_t i = 0; i < WORDS && given->variables[i] != NULL; i++)
        variables[i] = strdup(given->variables[i]);
    while (args.noptions < WORDS && given->options[args.noptions] != NULL) {
        options[args.noptions] = strdup(given->options[args.noptions]);
        args.noptions++;
    }
    buf_reset(&errors);
    buf_reset(&warnings);
    buf_reset(&report);
    buf_puts(&file, "{\"auth\":{\"secret\":\"ffffffffffffffffffffffffffffffff\"},\n"
                    "\"socket.io\":{\"key\":\"k\"");
    if (given->file != NULL)
        buf_printf(&file, ",\n\"connectionStateRecovery\":%s", given->file);
    buf_puts(&file, "}}");
    conf = conf_load_text(&args, (char *)file.data, file.len, purpose, &errors, &warnings);
    if (conf != NULL)
        conf_print(conf, &report);
    ok(!has(&errors, SECRET) && !has(&warnings, SECRET) && !has(&report, SECRET),
       "no secret is shown");
    buf_free(&file);
    for (size_t i = 0; i < WORDS; i++) {
        free(variables[i]);
        free(options[i]);
    }
    return conf;
}

#define GIVEN(...) (&(struct given){__VA_ARGS__})

static void is_said(const struct given *given, const char *want, const char *name)
{
    struct conf *conf = load(given, CONF_FOR_DAEMON);
    char line[256];

    (void)snprintf(line, sizeof(line), RECOVERY " = %s\n", want);
    ok(conf != NULL && has(&report, line) && (conf->recovery != 0) == (*want == 't'), "%s: %s",
       name, want);
    if (conf == NULL || !has(&report, line))
        printf("#   %s%s", text(&errors), text(&report));
    conf_free(&conf);
}

static void is_refused(const struct given *given, const char *why)
{
    struct conf *conf = load(given, CONF_FOR_DAEMON);

    ok(conf == NULL && has(&errors, why), "refused: %s", why);
    if (conf != NULL || !has(&errors, why))
        printf("#   %s", text(&errors));
    conf_free(&conf);
}

/* --- on or off ---------------------------------------------------------------- */

#define ENV(tail) "socket.io__connectionStateRecovery" tail

static void test_words(void)
{
    is_said(GIVEN(0), "false  (default)", "nothing given");
    is_said(GIVEN(.file = "true"), "true  (file t.conf:3)", "the word");
    is_said(GIVEN(.file = "false"), "false  (file t.conf:3)", "the other");
    is_said(GIVEN(.file = "{}"), "true  (file t.conf:3)", "an object");
    is_said(GIVEN(.file = "{\"skipMiddlewares\":true}"), "true  (file t.conf:3)",
            "one with what means nothing here");
    ok(has(&report, "ignored: " RECOVERY ":skipMiddlewares  (file t.conf:3)"), "which is told");
    is_said(GIVEN(.options = {"--" RECOVERY "=true"}), "true  (command line)", "an option");
    is_said(GIVEN(.file = "{\"maxBytes\":2000000}", .options = {"--" RECOVERY "=false"}),
            "false  (command line)", "an option over the file");
    is_said(GIVEN(.variables = {"AXR_NOTIFYD__SOCKET_IO__CONNECTIONSTATERECOVERY=true"}),
            "true  (environment AXR_NOTIFYD__SOCKET_IO__CONNECTIONSTATERECOVERY)", "a variable");
    is_said(GIVEN(.variables = {ENV("={\"maxBytes\":2000000}")}),
            "true  (environment socket.io__connectionStateRecovery)", "an object in one");
}

static void test_members(void)
{
    is_said(GIVEN(.options = {"--" RECOVERY ":maxBytes", "2000000"}), "true  (command line)",
            "a member alone");
    ok(has(&report, RECOVERY ":maxBytes = 2000000  (command line)"), "which is taken");
    is_said(GIVEN(.options = {"--socket.io.connectionStateRecovery.maxBytes=2000000"}),
            "true  (command line)", "... with dots");
    is_said(GIVEN(.variables = {ENV("__maxDisconnectionDuration=1000")}),
            "true  (environment socket.io__connectionStateRecovery__maxDisconnectionDuration)",
            "a member in a variable");
    is_said(GIVEN(.file = "false", .variables = {ENV("__maxBytes=2000000")}),
            "true  (environment socket.io__connectionStateRecovery__maxBytes)",
            "a member over false in the file");
    is_said(GIVEN(.variables = {ENV("=false")}, .options = {"--" RECOVERY ":maxBytes=2000000"}),
            "true  (command line)", "... over false in a variable");
    is_said(GIVEN(.variables = {ENV("__maxBytes=2000000"), ENV("=false")}),
            "false  (environment socket.io__connectionStateRecovery)",
            "false beside a member in the environment");
    is_said(GIVEN(.options = {"--" RECOVERY ":maxBytes=2000000", "--" RECOVERY "=false"}),
            "false  (command line)", "... on the command line");
    is_said(GIVEN(.variables = {ENV("__maxBytes=2000000")}, .options = {"--" RECOVERY "=false"}),
            "false  (command line)", "... in what counts more");
    is_said(GIVEN(.file = "true", .options = {"--" RECOVERY ":maxBytes=2000000"}),
            "true  (file t.conf:3)", "true, and a member from elsewhere");
    is_said(GIVEN(.options = {"--" RECOVERY ":secretFile="}), "false  (default)",
            "a member that is empty");
    is_said(GIVEN(.options = {"--" RECOVERY ":skipMiddlewares=true"}), "false  (default)",
            "a member that means nothing here");
}

static void test_faults(void)
{
    struct conf *conf;

    is_refused(GIVEN(.file = "1"), RECOVERY ": found 1, wanted true, false or an object");
    is_refused(GIVEN(.file = "\"true\""), RECOVERY ": found \"true\", wanted true, false or an");
    is_refused(GIVEN(.file = "null"), RECOVERY ": found null, wanted");
    is_refused(GIVEN(.file = "{\"maxBytes\":1048575}"),
               RECOVERY ":maxBytes: found 1048575, wanted an integer from 1048576 to 4294967296");
    is_refused(GIVEN(.file = "{\"maxDisconnectionDuration\":\"2w\"}"),
               RECOVERY ":maxDisconnectionDuration: found \"2w\", wanted an integer");
    is_refused(GIVEN(.file = "{\"maxByte\":1}"), "did you mean \"" RECOVERY ":maxBytes\"?");
    is_refused(GIVEN(.options = {"--" RECOVERY "={\"maxBytes\":"}), RECOVERY ": column ");
    conf = load(GIVEN(.file = "{\"maxBytes\":1,\"secretFile\":\"none\"}"), CONF_FOR_NOTIFY);
    ok(conf != NULL && !conf->recovery, "axr-notify does not look at it");
    conf_free(&conf);
}

/* --- the secret --------------------------------------------------------------- */

static struct conf *with_file(const char *name)
{
    char object[128];

    (void)snprintf(object, sizeof(object), "{\"secretFile\":\"%s\"}", name);
    return load(GIVEN(.file = object), CONF_FOR_DAEMON);
}

static void is_secret(const struct conf *conf, const char *want, const char *name)
{
    ok(conf != NULL && conf->recovery_secret_len == strlen(want) &&
           memcmp(conf->recovery_secret, want, strlen(want)) == 0,
       "%s", name);
}

static void test_secret(void)
{
    struct conf *conf;

    scratch_write("good", SECRET "\r\n", 34, 0600);
    conf = with_file("good");
    is_secret(conf, SECRET, "a secret without the end of its line");
    is_int((long)warnings.len, 0, "there is nothing to warn of");
    ok(has(&report, RECOVERY ":secretFile = \""), "the file is shown");
    conf_free(&conf);
    scratch_write("short", "ab\0\n\n", 5, 0644);
    conf = with_file("short");
    ok(conf != NULL && conf->recovery_secret_len == 4 &&
           memcmp(conf->recovery_secret, "ab\0\n", 4) == 0,
       "any bytes are one");
    ok(has(&warnings, "t.conf:3: " RECOVERY ":secretFile: the secret has 4 bytes; fewer than 32"),
       "a short one is warned of");
    ok(has(&warnings, "short may be read by everyone"), "so is one that all may read");
    conf_free(&conf);
    scratch_write("empty", "\n", 1, 0600);
    conf = with_file("empty");
    ok(conf != NULL && conf->recovery && conf->recovery_secret == NULL, "an empty file");
    ok(has(&warnings, "empty is empty, so there is no secret"), "is warned of");
    conf_free(&conf);
    conf = with_file("");
    ok(conf != NULL && conf->recovery && conf->recovery_secret == NULL, "no name");
    is_int((long)warnings.len, 0, "is no file");
    conf_free(&conf);
    is_refused(GIVEN(.file = "{\"secretFile\":\"nowhere\"}"), "nowhere: No such file");
    is_refused(GIVEN(.file = "{\"secretFile\":\".\"}"), "secretFile: cannot read");
    conf = load(GIVEN(.file = "{\"secretFile\":\"nowhere\"}", .options = {"--" RECOVERY "=false"}),
                CONF_FOR_DAEMON);
    ok(conf != NULL && conf->recovery_file != NULL && conf->recovery_secret == NULL,
       "what is off reads no file");
    conf_free(&conf);
    for (const char *const *name = (const char *const[]){"good", "short", "empty", NULL};
         *name != NULL; name++)
        unlink(scratch_path(*name));
}

int main(void)
{
    scratch_make("recovery");
    test_words();
    test_members();
    test_faults();
    test_secret();
    rmdir(scratch);
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
    return tap_done();
}
