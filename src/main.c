/* axr-notifyd: options, configuration, and over to the master. */
#include "base/buf.h"
#include "base/log.h"
#include "base/logfile.h"
#include "base/stdfds.h"
#include "conf.h"
#include "conf/args.h"
#include "master/master.h"
#include "master/privileges.h"
#include "worker/worker.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

/* Their headers say nothing; the Makefile asks pkg-config. */
#ifndef AXR_WSLAY_VERSION
#define AXR_WSLAY_VERSION "unknown"
#endif
#ifndef AXR_JWT_VERSION
#define AXR_JWT_VERSION "unknown"
#endif

#define EXIT_CONFIG 1
#define EXIT_USAGE  2

struct options {
    int detach, test, version, help;
};

enum { OPTION_DETACH = 1, OPTION_TEST, OPTION_VERSION, OPTION_HELP };

static const struct args_option own[] = {
    {"-d", OPTION_DETACH, 0},         {"-t", OPTION_TEST, 0}, {"-V", OPTION_VERSION, 0},
    {"--version", OPTION_VERSION, 0}, {"-h", OPTION_HELP, 0}, {"--help", OPTION_HELP, 0},
};

static const char usage[] =
    "usage: axr-notifyd [-c FILE] [-d] [-t] [-V] [-h] [--KEY VALUE | --KEY=VALUE]...\n";

static const char help[] =
    "\n"
    "  -c FILE        configuration file (" CONF_DEFAULT_FILE ", if it is there)\n"
    "  -d             detach and write the pid file\n"
    "  -t             check the configuration, print what is in force, exit\n"
    "  -V, --version  print the versions of this program and its libraries\n"
    "  -h, --help     print this\n"
    "  --KEY VALUE    set a key of the configuration: --socket.io:redis:host r1\n"
    "\n"
    "The keys are in axr-notifyd.conf(5), signals and files in axr-notifyd(8).\n";

static int visit(int id, const char *value, void *arg, struct buf *errors)
{
    struct options *options = arg;

    switch (id) {
    case OPTION_DETACH:
        options->detach = 1;
        break;
    case OPTION_TEST:
        options->test = 1;
        break;
    case OPTION_VERSION:
        options->version = 1;
        break;
    case OPTION_HELP:
        options->help = 1;
        break;
    default:
        buf_printf(errors, "no argument is wanted, found \"%.100s\"\n", value);
        return -1;
    }
    return 0;
}

static void print_version(void)
{
    printf("axr-notifyd %s\n", AXR_VERSION);
    printf("libevent %s\n", event_get_version());
    printf("wslay %s\n", AXR_WSLAY_VERSION);
    printf("hiredis %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    printf("cJSON %s\n", cJSON_Version());
    printf("libjwt %s\n", AXR_JWT_VERSION);
    printf("jansson %s\n", jansson_version_str());
    printf("OpenSSL %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
    printf("zlib %s\n", zlibVersion());
}

/* Each line of text to standard error, after the name of the program. */
static void complain(const struct buf *text, enum log_level level)
{
    const char *mark = log_mark(level), *kind = level == LOG_LEVEL_WARN ? "warning: " : "";
    const char *at = (const char *)text->data, *end = at + text->len;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;

        (void)fprintf(stderr, "%saxr-notifyd: %s%.*s\n", mark, kind, (int)(stop - at), at);
        at = stop + 1;
    }
}

/* What was printed has arrived, or the exit status says that it has not. */
static int flushed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    (void)fprintf(stderr, "axr-notifyd: cannot write to standard output\n");
    return EXIT_CONFIG;
}

/* Each client takes a descriptor, and the soft limit is for programs that use
 * select(). */
static void raise_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("cannot raise the limit of open files");
}

static int print_conf(const struct conf *conf)
{
    struct buf out = {0};

    conf_print(conf, &out);
    (void)fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
    return flushed();
}

/* Reads everything once more as the user that the daemon will be then. */
static void read_as(const struct privileges *privileges, const struct conf_args *args)
{
    struct buf errors = {0}, warnings = {0};
    struct conf *conf = NULL;

    if (privileges_drop(privileges, &errors) < 0)
        buf_putc(&errors, '\n');
    else
        conf = conf_load(args, CONF_FOR_DAEMON, &errors, &warnings);
    if (conf && conf->log_target == LOG_TO_FILE && access(conf->log_file, F_OK) == 0 &&
        logfile_check(conf->log_file) < 0)
        (void)fprintf(stderr,
                      "axr-notifyd: warning: log:target: the user that the daemon runs as cannot "
                      "open %s again: %s\n",
                      conf->log_file, strerror(errno));
    if (!conf) {
        (void)fputs("axr-notifyd: warning: a reload will fail: the user that the daemon runs as "
                    "cannot read all it needs\n",
                    stderr);
        complain(&errors, LOG_LEVEL_WARN);
    }
    conf_free(&conf);
    buf_free(&errors);
    buf_free(&warnings);
}

/* Root may read every file; the user that the daemon becomes has to, with the first
 * reload.  Unknown to us, it may yet be known where the daemon runs. */
static void check_reload(const struct conf *conf, const struct conf_args *args)
{
    struct privileges privileges;
    struct buf error = {0};
    pid_t pid;

    if (geteuid() != 0)
        return;
    if (privileges_find(&privileges, conf, &error) < 0) {
        buf_putc(&error, '\n');
        complain(&error, LOG_LEVEL_WARN);
    } else if (privileges.change) {
        pid = fork();
        if (pid == 0) {
            read_as(&privileges, args);
            _exit(0);
        }
        if (pid < 0 || waitpid(pid, NULL, 0) < 0)
            log_warn("cannot check what the user that the daemon runs as may read");
    }
    buf_free(&error);
}

/* The start opens the log; nothing is made here.  Where root is to start it, another
 * user cannot tell.  Returns 0, or -1 where the start would fail. */
static int check_log(const struct conf *conf)
{
    int others = geteuid() != 0 && conf->user;

    if (conf->log_target != LOG_TO_FILE || logfile_check(conf->log_file) == 0)
        return 0;
    (void)fprintf(stderr, "axr-notifyd: %slog:target: cannot write to %s: %s\n",
                  others ? "warning: " : "", conf->log_file, strerror(errno));
    return others ? 0 : -1;
}

static int run(const struct conf_args *args, const struct options *options)
{
    struct buf errors = {0}, warnings = {0};
    struct conf *conf;
    int status = EXIT_CONFIG;

    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT); /* until it is known where to */
    raise_files();
    conf = conf_load(args, CONF_FOR_DAEMON, &errors, &warnings);
    complain(&warnings, LOG_LEVEL_WARN);
    complain(&errors, LOG_LEVEL_ERROR);
    if (conf && options->test) {
        if (check_log(conf) == 0) {
            check_reload(conf, args);
            status = print_conf(conf);
        }
    } else if (conf) {
        status = master_run(conf, args, options->detach, worker_run); /* takes conf */
    }
    if (options->test)
        conf_free(&conf);
    buf_free(&errors);
    buf_free(&warnings);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct conf_args args;
    struct buf errors = {0};
    int status = EXIT_USAGE;

    if (stdfds_open() < 0)
        return EXIT_CONFIG; /* and nowhere to say so */
    if (conf_args_split(&args, argc, argv, environ, own, sizeof(own) / sizeof(own[0]), visit,
                        &options, &errors) < 0) {
        complain(&errors, LOG_LEVEL_ERROR);
        (void)fputs(usage, stderr);
    } else if (options.help) {
        (void)fputs(usage, stdout);
        (void)fputs(help, stdout);
        status = flushed();
    } else if (options.version) {
        print_version();
        status = flushed();
    } else {
        status = run(&args, &options);
    }
    conf_args_clear(&args);
    buf_free(&errors);
    return status;
}
