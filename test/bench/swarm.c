/* swarm - many Socket.IO clients at once, a publisher, and what a server under them uses.
 *
 *     swarm --port PORT [OPTION]... [COMMAND]...
 *
 * Commands come as arguments, or else one a line on standard input, and each is
 * answered with one line of JSON.  Between them the clients are served on: heartbeats,
 * and acknowledgements of what is to be acknowledged (asked, in each answer, of all time).
 *
 *   connect clients=N [at_once=N]   N more clients; at_once of them are on their way (512)
 *           [resume=1]              with --tls 1: by short handshakes, with what the first client
 *                                   of all was told
 *   publish messages=N|seconds=S [window=N] [rate=N] [payload=BYTES] [direct=1]
 *                                   publishes to all clients (direct: each note to one) and
 *                                   waits for the deliveries.  window: messages on their way
 *                                   at any time (1); rate: messages a second instead
 *           [cut=S away=S [spread=S] [share=SHARE]]
 *                                   cut: S after the beginning all connections (or that share)
 *                                   are cut, and come back after away and up to spread more
 *                                   (--returns 1)
 *   hear messages=N                 waits for N messages at each client that another swarm sends
 *   probe seconds=S                 connects one client alone and closes it, again and again
 *   memory                          PSS of the server
 *   close                           closes all clients
 *
 * Options: --port, --redis PORT, --key, --nsp, --path, --secret, --prefix (of the user ids),
 * --tls 1, --returns 1 (who loses the connection comes back, and recovers), --source ADDRESS (where
 * the clients come from; further ones follow it), --pid (of the server, whose whole tree is
 * accounted for; given again, of one more), --nice N, --patience SECONDS (without progress). Times
 * in answers are microseconds, memory is KB. */
#include "crowd.h"
#include "note.h"
#include "usage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS    UINT64_C(1000000000)
#define POLL_MS      5
#define FILES_SPARED 64 /* descriptors that are no clients */
#define SERVERS      4

struct command {
    char *name;
    double clients, at_once, messages, seconds, window, rate, payload, direct;
    double cut, away, spread, share, resume;
};

struct swarm {
    struct crowd crowd;
    const char *key;
    int redis; /* or -1 */
    struct secure secure;
    pid_t servers[SERVERS];
    int nservers;
    uint64_t patience_ns;
    uint32_t number; /* of the next note */

    struct tree tree; /* while a command runs */
    uint64_t began_ns, cpu_ns, own_ns;
    uint64_t moved, moved_ns; /* the last progress, and when it was seen */
};

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "swarm: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t own_cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * SECOND_NS + (uint64_t)used.tv_nsec;
}

/* --- what every command has: beginning, patience, an answer --- */

static void begin(struct swarm *swarm)
{
    usage_tree(&swarm->tree, swarm->servers, swarm->nservers);
    swarm->own_ns = own_cpu_ns();
    swarm->cpu_ns = usage_cpu_ns(&swarm->tree);
    swarm->began_ns = swarm->moved_ns = note_now_ns();
    swarm->moved = 0;
}

/* done grows with every step of progress.  Returns 1 once it has not for too long. */
static int is_stuck(struct swarm *swarm, uint64_t done, uint64_t now)
{
    if (done != swarm->moved) {
        swarm->moved = done;
        swarm->moved_ns = now;
    }
    return now - swarm->moved_ns > swarm->patience_ns;
}

/* Begins the answer with what all have in common; a process that has come since does count. */
static void answer(struct swarm *swarm, const char *name)
{
    uint64_t now = note_now_ns(), own = own_cpu_ns(), cpu;

    usage_tree(&swarm->tree, swarm->servers, swarm->nservers);
    cpu = usage_cpu_ns(&swarm->tree);
    printf("{\"command\":\"%s\",\"seconds\":%.6f,\"cpu_us\":%.3f,\"own_cpu_us\":%.3f", name,
           (double)(now - swarm->began_ns) / 1e9, ((double)cpu - (double)swarm->cpu_ns) / 1e3,
           (double)(own - swarm->own_ns) / 1e3);
}

static void answer_times(const char *name, const struct hist *hist)
{
    printf(",\"%s\":{\"n\":%llu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}",
           name, (unsigned long long)hist->n, (double)hist_quantile(hist, 0.5) / 1e3,
           (double)hist_quantile(hist, 0.9) / 1e3, (double)hist_quantile(hist, 0.99) / 1e3,
           (double)hist_quantile(hist, 0.999) / 1e3, (double)hist->max_ns / 1e3);
}

static void answer_end(const struct crowd *crowd)
{
    printf(",\"clients\":%u,\"failed\":%u,\"gone\":%u,\"asked\":%llu,\"resumed\":%llu}\n",
           crowd->in, crowd->failed, crowd->gone, (unsigned long long)crowd->asked,
           (unsigned long long)crowd->resumed);
    fflush(stdout);
}

/* --- redis --- */

static int redis_open(int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        die("redis");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void publish(struct swarm *swarm, uint32_t pad, int direct)
{
    static char command[NOTE_CAP + 1024];
    struct note note = {.number = swarm->number++, .pad = pad};
    char room[64] = NOTE_ROOM, replies[4096];
    size_t len;

    if (direct) {
        uint32_t user = note_user(note.number, swarm->crowd.n);

        swarm->crowd.clients[user].due = note.number + 1;
        snprintf(room, sizeof(room), "%.40s%u", swarm->crowd.prefix, user);
    }
    note.sent_ns = note_now_ns();
    len = note_publish(command, &note, swarm->key, swarm->crowd.nsp, room);
    if (send(swarm->redis, command, len, MSG_NOSIGNAL) != (ssize_t)len)
        die("redis");
    /* Only that they do not pile up: who gets the notes is seen at the clients. */
    while (recv(swarm->redis, replies, sizeof(replies), MSG_DONTWAIT) > 0)
        ;
}

/* --- commands --- */

static void run_connect(struct swarm *swarm, const struct command *command)
{
    struct crowd *crowd = &swarm->crowd;
    uint32_t left = (uint32_t)command->clients;
    uint64_t before = crowd->in + crowd->failed;

    swarm->secure.resumes = command->resume > 0;
    memset(&crowd->joined, 0, sizeof(crowd->joined));
    begin(swarm);
    while (left > 0 || crowd->dialling > 0) {
        while (left > 0 && crowd->dialling < command->at_once) {
            crowd_dial(crowd);
            left--;
        }
        crowd_poll(crowd, POLL_MS);
        if (is_stuck(swarm, crowd->in + crowd->failed - before, note_now_ns()))
            break;
    }
    answer(swarm, command->name);
    answer_times("joined", &crowd->joined);
    answer_end(crowd);
}

static void answer_returns(const struct crowd *crowd)
{
    printf(",\"recovered\":%llu,\"forgotten\":%llu,\"away\":%u",
           (unsigned long long)crowd->recovered, (unsigned long long)crowd->forgotten, crowd->away);
    answer_times("caught", &crowd->caught);
    answer_times("missing", &crowd->missing);
}

static void answer_heard(struct swarm *swarm, const struct command *command, uint64_t sent,
                         uint64_t wanted)
{
    answer(swarm, command->name);
    printf(",\"sent\":%llu,\"wanted\":%llu,\"heard\":%llu,\"wrong\":%llu", (unsigned long long)sent,
           (unsigned long long)wanted, (unsigned long long)swarm->crowd.heard,
           (unsigned long long)swarm->crowd.wrong);
    answer_times("latency", &swarm->crowd.latency);
    if (swarm->crowd.returns)
        answer_returns(&swarm->crowd);
    answer_end(&swarm->crowd);
}

/* Whether it is time for another note when sent have been, each for per clients. */
static int is_due(const struct swarm *swarm, const struct command *command, uint64_t sent,
                  uint64_t per, uint64_t now)
{
    double seconds = (double)(now - swarm->began_ns) / 1e9;

    if (command->seconds > 0 ? seconds >= command->seconds : (double)sent >= command->messages)
        return 0;
    if (command->rate > 0)
        return (double)sent < 1 + seconds * command->rate;
    return (double)(sent * per) < (double)swarm->crowd.heard + command->window * (double)per;
}

static int is_over(const struct swarm *swarm, const struct command *command, uint64_t sent,
                   uint64_t now)
{
    if (command->seconds > 0)
        return (double)(now - swarm->began_ns) / 1e9 >= command->seconds;
    return (double)sent >= command->messages;
}

/* Cuts the connections when it is time, once.  Returns whether it has. */
static int cut(struct swarm *swarm, const struct command *command, int is_cut, uint64_t now)
{
    if (is_cut || command->cut == 0 || (double)(now - swarm->began_ns) / 1e9 < command->cut)
        return is_cut;
    crowd_cut(&swarm->crowd, (uint32_t)(command->share * swarm->crowd.n),
              (uint64_t)(command->away * 1e9), (uint64_t)(command->spread * 1e9));
    return 1;
}

static void run_publish(struct swarm *swarm, const struct command *command)
{
    struct crowd *crowd = &swarm->crowd;
    uint64_t sent = 0, now, per = command->direct > 0 ? 1 : crowd->in;
    int is_cut = 0;

    crowd_listen(crowd, command->direct > 0);
    begin(swarm);
    do {
        /* All that are due, before any are read: where clients are read more slowly than the
         * server writes, one for each round of reading would be far fewer than the window. */
        for (now = note_now_ns(); is_due(swarm, command, sent, per, now); now = note_now_ns()) {
            publish(swarm, (uint32_t)command->payload, command->direct > 0);
            crowd->published = swarm->number;
            sent++;
        }
        is_cut = cut(swarm, command, is_cut, now);
        crowd_poll(crowd, command->rate > 0 ? 1 : POLL_MS);
    } while ((!is_over(swarm, command, sent, now) || crowd->heard < sent * per) &&
             crowd->in + crowd->away + crowd->dialling > 0 && !is_stuck(swarm, crowd->heard, now));
    answer_heard(swarm, command, sent, sent * per);
}

static void run_hear(struct swarm *swarm, const struct command *command)
{
    struct crowd *crowd = &swarm->crowd;
    uint64_t wanted = (uint64_t)command->messages * crowd->in;

    crowd_listen(crowd, 0);
    begin(swarm);
    while (crowd->heard < wanted && !is_stuck(swarm, crowd->heard, note_now_ns()))
        crowd_poll(crowd, POLL_MS);
    answer_heard(swarm, command, 0, wanted);
}

static void run_probe(struct swarm *swarm, const struct command *command)
{
    struct crowd *crowd = &swarm->crowd;
    uint64_t end, tries = 0;
    struct hist joined;

    memset(&joined, 0, sizeof(joined));
    begin(swarm);
    for (end = swarm->began_ns + (uint64_t)(command->seconds * 1e9); note_now_ns() < end; tries++) {
        crowd_close(crowd);
        crowd_dial(crowd);
        while (crowd->dialling > 0 && !is_stuck(swarm, tries, note_now_ns()))
            crowd_poll(crowd, POLL_MS);
        if (crowd->in == 0)
            break;
        hist_add(&joined, crowd->joined.max_ns);
    }
    answer(swarm, command->name);
    answer_times("joined", &joined);
    answer_end(crowd);
}

static void run_memory(struct swarm *swarm, const struct command *command)
{
    begin(swarm);
    answer(swarm, command->name);
    printf(",\"processes\":%d,\"all_kb\":%llu,\"children_kb\":%llu", swarm->tree.n,
           (unsigned long long)usage_pss_kb(&swarm->tree, 0),
           (unsigned long long)usage_pss_kb(&swarm->tree, swarm->tree.roots));
    answer_end(&swarm->crowd);
}

static void run_close(struct swarm *swarm, const struct command *command)
{
    begin(swarm);
    crowd_close(&swarm->crowd);
    answer(swarm, command->name);
    answer_end(&swarm->crowd);
}

static const struct {
    const char *name;
    void (*run)(struct swarm *swarm, const struct command *command);
} commands[] = {
    {"connect", run_connect}, {"publish", run_publish}, {"hear", run_hear},
    {"probe", run_probe},     {"memory", run_memory},   {"close", run_close},
};

_Noreturn static void bad_command(const char *word)
{
    fprintf(stderr, "swarm: bad command: %s\n", word);
    exit(2);
}

/* Where the value of that name goes, or NULL. */
static double *field(struct command *command, const char *name)
{
    const struct {
        const char *name;
        double *value;
    } all[] = {
        {"clients", &command->clients},   {"at_once", &command->at_once},
        {"messages", &command->messages}, {"seconds", &command->seconds},
        {"window", &command->window},     {"rate", &command->rate},
        {"payload", &command->payload},   {"direct", &command->direct},
        {"cut", &command->cut},           {"away", &command->away},
        {"spread", &command->spread},     {"share", &command->share},
        {"resume", &command->resume},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].value;
    return NULL;
}

/* Takes a line apart, in place. */
static void parse(struct command *command, char *line)
{
    *command = (struct command){.at_once = 512, .window = 1, .payload = 100, .share = 1};
    command->name = strtok(line, " \n");
    for (char *word; (word = strtok(NULL, " \n")) != NULL;) {
        char *equals = strchr(word, '='), *end;
        double *value;

        if (equals == NULL)
            bad_command(word);
        *equals = '\0';
        value = field(command, word);
        if (value == NULL)
            bad_command(word);
        *value = strtod(equals + 1, &end);
        if (end == equals + 1 || *end != '\0' || *value < 0)
            bad_command(word);
    }
    if (command->payload > NOTE_PAD_MAX)
        bad_command("payload");
}

static void run(struct swarm *swarm, char *line)
{
    struct command command;

    parse(&command, line);
    for (size_t i = 0; command.name != NULL && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, command.name) == 0) {
            commands[i].run(swarm, &command);
            return;
        }
    }
    bad_command(command.name == NULL ? "(nothing)" : command.name);
}

/* Runs the commands on standard input; between them the clients are served. */
static void run_input(struct swarm *swarm)
{
    struct pollfd wait[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = swarm->crowd.epoll, .events = POLLIN}};
    char line[512];

    setvbuf(stdin, NULL, _IONBF, 0); /* poll() must see what has not been read */
    for (;;) {
        if (poll(wait, 2, -1) < 0)
            die("poll");
        if (wait[1].revents != 0)
            crowd_poll(&swarm->crowd, 0);
        if (wait[0].revents == 0)
            continue;
        if (fgets(line, sizeof(line), stdin) == NULL)
            return;
        run(swarm, line);
    }
}

static void address(struct sockaddr_in *addr, const char *text)
{
    if (inet_pton(AF_INET, text, &addr->sin_addr) != 1)
        bad_command(text);
}

static uint32_t raise_files(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max > 1 << 20)
        return 1 << 20;
    return limit.rlim_max > FILES_SPARED ? (uint32_t)limit.rlim_max - FILES_SPARED : 1;
}

static void set_defaults(struct swarm *swarm)
{
    struct crowd *crowd = &swarm->crowd;

    *swarm = (struct swarm){.key = "socket.io", .redis = -1, .patience_ns = 30 * SECOND_NS};
    crowd->server = (struct sockaddr_in){.sin_family = AF_INET};
    crowd->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address(&crowd->source, "127.0.1.1");
    crowd->path = "/notifications/";
    crowd->nsp = "/axr";
    crowd->secret = "secret";
    crowd->prefix = "user";
    crowd->cap = raise_files();
}

static void set_option(struct swarm *swarm, int option, const char *value)
{
    struct crowd *crowd = &swarm->crowd;

    switch (option) {
    case 'p':
        crowd->server.sin_port = htons((uint16_t)atoi(value));
        break;
    case 'r':
        swarm->redis = redis_open(atoi(value));
        break;
    case 'k':
        swarm->key = value;
        break;
    case 'n':
        crowd->nsp = value;
        break;
    case 'P':
        crowd->path = value;
        break;
    case 's':
        crowd->secret = value;
        break;
    case 'u':
        crowd->prefix = value;
        break;
    case 'S':
        address(&crowd->source, value);
        break;
    case 'i':
        if (swarm->nservers < SERVERS)
            swarm->servers[swarm->nservers++] = atoi(value);
        break;
    case 'N':
        setpriority(PRIO_PROCESS, 0, atoi(value)); /* as far as we may */
        break;
    case 'T':
        crowd->secure = atoi(value) > 0 ? &swarm->secure : NULL;
        break;
    case 'R':
        crowd->returns = atoi(value);
        break;
    case 't':
        swarm->patience_ns = (uint64_t)(atof(value) * 1e9);
        break;
    default:
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},   {"redis", 1, NULL, 'r'},    {"key", 1, NULL, 'k'},
        {"nsp", 1, NULL, 'n'},    {"path", 1, NULL, 'P'},     {"secret", 1, NULL, 's'},
        {"prefix", 1, NULL, 'u'}, {"source", 1, NULL, 'S'},   {"pid", 1, NULL, 'i'},
        {"nice", 1, NULL, 'N'},   {"patience", 1, NULL, 't'}, {"returns", 1, NULL, 'R'},
        {"tls", 1, NULL, 'T'},    {NULL, 0, NULL, 0},
    };
    static struct swarm swarm;
    int option;

    set_defaults(&swarm);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        set_option(&swarm, option, optarg);
    if (swarm.crowd.server.sin_port == 0) {
        fputs("swarm: --port is missing\n", stderr);
        return 2;
    }
    if (secure_init(&swarm.secure) != 0 || crowd_init(&swarm.crowd) != 0)
        die("start");
    for (int i = optind; i < argc; i++)
        run(&swarm, argv[i]);
    if (optind == argc)
        run_input(&swarm);
    return 0;
}
