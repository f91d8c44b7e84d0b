/* axr-notifyd: options, configuration, and over to the master. */
#include "base/buf.h"
#include "base/log.h"
#include "base/stdfds.h"
#include "base/wiping.h"
#include "conf.h"
#include "conf/args.h"
#include "master/check.h"
#include "master/health.h"
#include "master/master.h"
#include "worker/worker.h"

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/resource.h>
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
    int detach, test, connect, version, help, health, live;
};

enum {
    OPTION_DETACH = 1,
    OPTION_TEST,
    OPTION_CONNECT,
    OPTION_VERSION,
    OPTION_HELP,
    OPTION_HEALTH,
    OPTION_LIVE,
};

static const struct args_option own[] = {
    {"-d", OPTION_DETACH, 0},         {"-t", OPTION_TEST, 0},     {"-V", OPTION_VERSION, 0},
    {"--version", OPTION_VERSION, 0}, {"-h", OPTION_HELP, 0},     {"--help", OPTION_HELP, 0},
    {"--health", OPTION_HEALTH, 0},   {"--live", OPTION_LIVE, 0}, {"--connect", OPTION_CONNECT, 0},
};

static const char usage[] =
    "usage: axr-notifyd [-c FILE] [-d] [-t [--connect]] [-V] [-h] [--health] [--live] "
    "[--KEY VALUE | --KEY=VALUE]...\n";

static const char help[] =
    "\n"
    "  -c FILE        configuration file (" CONF_DEFAULT_FILE ", if it is there)\n"
    "  -d             detach and write the pid file\n"
    "  -t             check the configuration, print what is in force, exit\n"
    "  -t --connect   check it, and try redis, the addresses and the files: say what would not\n"
    "                 work, exit\n"
    "  -V, --version  print the versions of this program and its libraries\n"
    "  -h, --help     print this\n"
    "  --health       ask the daemon that runs with this configuration for /health: status 0 if\n"
    "                 it is well\n"
    "  --live         the same of /health/live\n"
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
    case OPTION_CONNECT:
        options->connect = 1;
        break;
    case OPTION_VERSION:
        options->version = 1;
        break;
    case OPTION_HELP:
        options->help = 1;
        break;
    case OPTION_HEALTH:
        options->health = 1;
        break;
    case OPTION_LIVE:
        options->live = 1;
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

/* Each client takes a descriptor, and the soft limit is for programs that use
 * select(). */
static void raise_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_event(WARN, "files_limit_kept", "cannot raise the limit of open files[: {}]",
                  LOG_ERRNO());
}

/* The log is not open yet, but it is known what it is to look like. */
static void complain(const struct conf *conf, const struct buf *warnings)
{
    static const struct log_entry entry = {"configuration_warning",
                                           "configuration[: {}]<: warning>"};

    if (conf == NULL || conf->log_format != LOG_JSON ||
        (conf->log_target != LOG_TO_STDERR && conf->log_target != LOG_TO_STDOUT)) {
        check_complain(warnings, LOG_LEVEL_WARN);
        return;
    }
    log_name("master", 0);
    if (log_open(conf->log_target, NULL, LOG_JSON) == 0)
        log_lines(LOG_LEVEL_WARN, entry, (const char *)warnings->data, warnings->len);
}

static int run(const struct conf_args *args, const struct options *options)
{
    struct buf errors = {0}, warnings = {0};
    struct conf *conf;
    int status = EXIT_CONFIG;

    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT); /* until it is known where to */
    raise_files();
    if (options->test)
        return check_run(args, options->connect);
    if (options->health || options->live)
        return health_run(args, options->live);
    conf = conf_load(args, CONF_FOR_DAEMON, &errors, &warnings);
    complain(conf, &warnings);
    check_complain(&errors, LOG_LEVEL_ERROR);
    if (conf != NULL)
        status = master_run(conf, args, options->detach, worker_run); /* takes conf */
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
        return EXIT_CONFIG; /* there is no descriptor to say so on */
    if (wiping_install() < 0) {
        (void)fputs("axr-notifyd: out of memory\n", stderr);
        return EXIT_CONFIG;
    }
    if (conf_args_split(&args, argc, argv, environ, own, sizeof(own) / sizeof(own[0]), visit,
                        &options, &errors) < 0) {
        check_complain(&errors, LOG_LEVEL_ERROR);
        (void)fputs(usage, stderr);
    } else if (options.connect && !options.test) {
        (void)fprintf(stderr, "axr-notifyd: --connect goes with -t\n%s", usage);
    } else if (options.help) {
        (void)fputs(usage, stdout);
        (void)fputs(help, stdout);
        status = check_flushed() < 0 ? EXIT_CONFIG : 0;
    } else if (options.version) {
        print_version();
        status = check_flushed() < 0 ? EXIT_CONFIG : 0;
    } else {
        status = run(&args, &options);
    }
    conf_args_clear(&args);
    buf_free(&errors);
    return status;
}
