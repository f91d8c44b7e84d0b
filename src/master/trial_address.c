#include "master/trial_address.h"

#include "conf/file.h"
#include "master/pidfile.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAEMON    "axr-notifyd"
#define BACKLOG   4096 /* what current kernels have: fewer is somebody's wish, or an old kernel's */
#define SHOWN_MAX 320

/* One address while it is tried. */
struct trying {
    struct trial *trial;
    const struct trial_addresses *what;
    char name[SHOWN_MAX]; /* "127.0.0.1:3000" */
    const char *key;      /* that it is of */
};

/* --- who has it ------------------------------------------------------------------- */

/* 1 if it has another configuration for sure. */
static int is_another(const struct owner *owner, const char *file)
{
    return file != NULL && owner->file[0] == '/' && !file_is_same(owner->file, file);
}

static void say_taken(const struct trying *trying, const struct owner *owner)
{
    const char *name = trying->name;
    pid_t running;

    if (owner->pid != 0 && strncmp(owner->name, DAEMON, sizeof(DAEMON) - 1) == 0) {
        if (is_another(owner, trying->what->file))
            trial_say(trying->trial, TRIAL_BAD,
                      "%s: %s is in use by another " DAEMON ", pid %ld, with -c %s", trying->key,
                      name, (long)owner->pid, owner->file);
        else
            trial_say(trying->trial, TRIAL_GOOD, "%s: the " DAEMON " that runs has it, pid %ld",
                      name, (long)owner->pid);
        return;
    }
    if (owner->pid != 0) {
        trial_say(trying->trial, TRIAL_BAD,
                  "%s: %s is in use by %s, pid %ld: end that, or choose another", trying->key, name,
                  owner->name, (long)owner->pid);
        return;
    }
    running = owners_named(DAEMON);
    if (running != 0)
        trial_say(trying->trial, TRIAL_ODD,
                  "%s: %s is in use, and " DAEMON " runs, pid %ld; only root sees whose it is",
                  trying->key, name, (long)running);
    else
        trial_say(trying->trial, TRIAL_BAD,
                  "%s: %s is in use by another program, which root sees with ss -ltnp or ss -lxp",
                  trying->key, name);
}

/* --- TCP -------------------------------------------------------------------------- */

static int port_of(const struct sockaddr *addr)
{
    /* the port is where sockaddr_in has it */
    return ntohs(((const struct sockaddr_in *)(const void *)addr)->sin_port);
}

/* Who starts the daemon may, and we may not. */
static void say_untried(const struct trying *trying)
{
    const struct passwd *user = getpwuid(geteuid());
    const char *name = user != NULL ? user->pw_name : "NAME";

    trial_say(
        trying->trial, TRIAL_ODD,
        "%s: %s cannot be tried: nobody listens there, but a port below %d is for root, and "
        "for the service, to which %s gives CAP_NET_BIND_SERVICE; this is tried as the user "
        "%s, without it. To try that, too, as root: setpriv --reuid %s --regid %u --init-groups "
        "--inh-caps +net_bind_service --ambient-caps +net_bind_service " DAEMON
        " -t --connect -c %s",
        trying->key, trying->name, IPPORT_RESERVED, trying->what->low_ports, name, name,
        (unsigned)getegid(), trying->what->file != NULL ? trying->what->file : CONF_DEFAULT_FILE);
}

static void say_unbound(const struct trying *trying, const struct sockaddr *addr, int error)
{
    struct owner owner = {0};

    switch (error) {
    case EADDRINUSE:
        (void)owners_find(trying->what->owners, addr, &owner);
        say_taken(trying, &owner);
        return;
    case EADDRNOTAVAIL:
        trial_say(trying->trial, TRIAL_BAD,
                  "%s: %s: this machine has no such address; ip address lists those it has",
                  trying->key, trying->name);
        return;
    case EACCES:
        if (owners_find(trying->what->owners, addr, &owner))
            say_taken(trying, &owner);
        else if (port_of(addr) < IPPORT_RESERVED && trying->what->low_ports != NULL)
            say_untried(trying);
        else
            trial_say(trying->trial, TRIAL_BAD,
                      "%s: %s: a port below %d needs root at the start, or CAP_NET_BIND_SERVICE: "
                      "start as root with user set, or choose another",
                      trying->key, trying->name, IPPORT_RESERVED);
        return;
    default:
        trial_say(trying->trial, TRIAL_BAD, "%s: cannot bind %s: %s", trying->key, trying->name,
                  strerror(error));
        return;
    }
}

/* Returns 0, or errno.  The flags are those of the daemon; nobody is listened to. */
static int bind_once(const struct sockaddr *addr, socklen_t len, int v6only)
{
    int one = 1, fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;

    if (fd < 0)
        return errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        (addr->sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0) ||
        bind(fd, addr, len) < 0)
        error = errno;
    close(fd);
    return error;
}

static void say_tried(const struct trying *trying, const struct sockaddr *addr, int error)
{
    if (error != 0)
        say_unbound(trying, addr, error);
    else
        trial_say(trying->trial, TRIAL_GOOD, "%s: it is free", trying->name);
}

static void try_everywhere(const struct trying *trying, int port)
{
    const struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int error = bind_once((const struct sockaddr *)&six, sizeof(six), 0);

    if (error != EAFNOSUPPORT && error != EADDRNOTAVAIL)
        say_tried(trying, (const struct sockaddr *)&six, error);
    else
        say_tried(trying, (const struct sockaddr *)&four,
                  bind_once((const struct sockaddr *)&four, sizeof(four), 0));
}

/* Of several addresses of a name some may not be here. */
static void try_host(const struct trying *trying, const char *host, int port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list;
    const struct addrinfo *bad = NULL;
    char service[16];
    int rc, error = 0, good = 0;

    (void)snprintf(service, sizeof(service), "%d", port);
    rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0) {
        trial_say(trying->trial, TRIAL_BAD, "%s: %s cannot be looked up: %s; getent hosts %s",
                  trying->key, host, gai_strerror(rc), host);
        return;
    }
    for (const struct addrinfo *one = list; one != NULL; one = one->ai_next) {
        int failed = bind_once(one->ai_addr, one->ai_addrlen, 1);

        good += failed == 0;
        if (failed != 0 && (bad == NULL || error == EADDRNOTAVAIL || error == EAFNOSUPPORT)) {
            bad = one;
            error = failed;
        }
    }
    if (bad != NULL && (good == 0 || (error != EADDRNOTAVAIL && error != EAFNOSUPPORT)))
        say_unbound(trying, bad->ai_addr, error);
    else
        trial_say(trying->trial, TRIAL_GOOD, "%s: it is free", trying->name);
    freeaddrinfo(list);
}

static void name_tcp(struct trying *trying, const char *host, int port)
{
    const char *shown = host != NULL ? host : "*";
    int is_six = strchr(shown, ':') != NULL;

    if (port == 0)
        (void)snprintf(trying->name, sizeof(trying->name), "any port of %s", shown);
    else
        (void)snprintf(trying->name, sizeof(trying->name), is_six ? "[%s]:%d" : "%s:%d", shown,
                       port);
}

static void try_tcp(struct trying *trying, const char *host, int port)
{
    name_tcp(trying, host, port);
    if (host != NULL)
        try_host(trying, host, port);
    else
        try_everywhere(trying, port);
}

/* --- Unix sockets ----------------------------------------------------------------- */

/* Directory of path. */
static void directory_of(const char *path, char *dst, size_t cap)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        (void)snprintf(dst, cap, ".");
    else if (slash == path)
        (void)snprintf(dst, cap, "/");
    else
        (void)snprintf(dst, cap, "%.*s", (int)(slash - path), path);
}

/* The directory is there, and one may make a file in it; or it is made with the start. */
static int try_directory(const struct trying *trying, const char *path)
{
    const char *made = trying->what->made_dirs;
    char dir[4096];

    directory_of(path, dir, sizeof(dir));
    if (access(dir, W_OK | X_OK) == 0)
        return 0;
    if (errno == ENOENT && made != NULL && strcmp(made, dir) == 0)
        return 0;
    trial_say(trying->trial, TRIAL_BAD, "%s: %s: cannot make a file in %s: %s", trying->key, path,
              dir,
              errno == ENOENT ? "it is not there: mkdir it, and give it to the daemon's user"
                              : strerror(errno));
    return -1;
}

static void try_path(struct trying *trying, const char *path)
{
    struct owner owner;
    struct stat st;

    (void)snprintf(trying->name, sizeof(trying->name), "unix:%.300s", path);
    if (owners_find_path(trying->what->owners, path, &owner))
        say_taken(trying, &owner);
    else if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        trial_say(trying->trial, TRIAL_BAD,
                  "%s: %s: what is there is no socket, and is not replaced: move it away",
                  trying->key, trying->name);
    else if (try_directory(trying, path) == 0)
        trial_say(trying->trial, TRIAL_GOOD, "%s: it is free", trying->name);
}

/* --- the machine ------------------------------------------------------------------ */

static long read_number(const char *name)
{
    FILE *file = fopen(name, "re");
    char text[32] = "";
    long number = -1;

    if (file != NULL && fgets(text, sizeof(text), file) != NULL)
        number = strtol(text, NULL, 10);
    if (file != NULL)
        (void)fclose(file);
    return number;
}

static void try_limits(struct trial *trial, const struct trial_addresses *what)
{
    const struct conf *conf = what->conf;
    long backlog = read_number("/proc/sys/net/core/somaxconn");
    const char *plural = conf->workers == 1 ? "" : "s";
    const char *whose = what->is_unit ? " of the unit (LimitNOFILE)" : "";
    const char *how = what->is_unit
                          ? "raise LimitNOFILE there, in a drop-in (systemctl edit axr-notifyd)"
                          : "raise their hard limit for who starts the daemon (LimitNOFILE of its "
                            "unit, ulimit -Hn)";
    size_t reserved = CONF_FILES_RESERVED + 2 * (size_t)conf->workers;
    struct rlimit files = {0};

    (void)getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max != RLIM_INFINITY && conf->connections_max + reserved > files.rlim_max)
        trial_say(trial, TRIAL_ODD,
                  "limits:connections: of %zu clients in each of %d worker%s only %llu find a "
                  "place, with %llu open files%s: %s",
                  conf->connections_max, conf->workers, plural,
                  (unsigned long long)(files.rlim_max > reserved ? files.rlim_max - reserved : 0),
                  (unsigned long long)files.rlim_max, whose, how);
    else
        trial_say(trial, TRIAL_GOOD,
                  "limits: %zu clients in each of %d worker%s, with %llu open files%s",
                  conf->connections_max, conf->workers, plural, (unsigned long long)files.rlim_max,
                  whose);
    if (backlog >= 0 && backlog < BACKLOG)
        trial_say(trial, TRIAL_ODD,
                  "net.core.somaxconn is %ld: so many clients may wait to be let in, and after a "
                  "restart all come at once: sysctl -w net.core.somaxconn=65535",
                  backlog);
}

static void try_pid_file(const struct trying *trying)
{
    const char *path = trying->what->conf->pid_file;
    struct buf error = {0};
    const char *running;

    if (path == NULL)
        return;
    if (pidfile_check(path, &error) == 0) {
        if (try_directory(trying, path) == 0)
            trial_say(trying->trial, TRIAL_GOOD, "%s: no daemon runs with this pid file", path);
        return;
    }
    (void)buf_putc(&error, '\0');
    running = error.failed ? NULL : strstr((const char *)error.data, "running already, pid ");
    if (running != NULL)
        trial_say(trying->trial, TRIAL_GOOD, "%s: the daemon is %s", path, running);
    else
        trial_say(trying->trial, TRIAL_BAD, "%s",
                  error.failed ? "out of memory" : (const char *)error.data);
    buf_free(&error);
}

/* --- each other ------------------------------------------------------------------- */

static int is_same_host(const char *one, const char *two)
{
    static const char *const all[] = {"0.0.0.0", "::", "*"};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if ((one != NULL && strcmp(one, all[i]) == 0) || (two != NULL && strcmp(two, all[i]) == 0))
            return 1;
    return one == NULL || two == NULL || strcmp(one, two) == 0;
}

/* What is free may yet be wanted twice: one that only is bound is in nobody's way. */
static void try_twice(const struct trying *trying, const char *host, int port, size_t before)
{
    const struct conf *conf = trying->what->conf;

    for (size_t i = 0; i < before && port != 0; i++)
        if (conf->listen[i].unix_path == NULL && conf->listen[i].port == port &&
            is_same_host(conf->listen[i].host, host)) {
            trial_say(trying->trial, TRIAL_BAD,
                      "%s: port %d is wanted twice: by number %zu of listen (or port), too",
                      trying->key, port, i + 1);
            return;
        }
}

/* --- all of it -------------------------------------------------------------------- */

void trial_addresses(struct trial *trial, const struct trial_addresses *what)
{
    const struct conf *conf = what->conf;
    struct trying trying = {.trial = trial, .what = what, .key = "listen"};

    for (size_t i = 0; i < conf->nlisten; i++)
        if (conf->listen[i].unix_path != NULL)
            try_path(&trying, conf->listen[i].unix_path);
        else {
            try_tcp(&trying, conf->listen[i].host, conf->listen[i].port);
            try_twice(&trying, conf->listen[i].host, conf->listen[i].port, i);
        }
    trying.key = "admin";
    if (conf->admin_host != NULL) {
        try_tcp(&trying, conf->admin_host, conf->admin_port);
        try_twice(&trying, conf->admin_host, conf->admin_port, conf->nlisten);
    }
    trying.key = "pidFile";
    try_pid_file(&trying);
    try_limits(trial, what);
}
