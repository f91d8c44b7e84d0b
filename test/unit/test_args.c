/* Command lines of both programs, split. */
#include "conf/args.h"

#include "tap.h"

#define WORDS_MAX 16

static const struct args_option own[] = {
    {"-d", 'd', 0},   {"-t", 't', 0}, {"--version", 'V', 0},
    {"--to", 'o', 1}, {"-o", 'o', 1}, {"--volatile", 'v', 0},
};

struct run {
    char *argv[WORDS_MAX];
    int argc;
    struct conf_args args;
    char seen[256]; /* t=VALUE; for each own option and operand */
    struct buf errors;
    int result;
};

static int visit(int id, const char *value, void *arg, struct buf *errors)
{
    struct run *run = arg;
    size_t n = strlen(run->seen);

    if (value != NULL && strcmp(value, "refuse") == 0) {
        buf_puts(errors, "refused\n");
        return -1;
    }
    (void)snprintf(run->seen + n, sizeof(run->seen) - n, "%c=%s;", id ? id : '-',
                   value != NULL ? value : "NULL");
    return 0;
}

/* line is split at blanks; "''" is an empty word. */
static void start(struct run *run, const char *line)
{
    static char *env[] = {NULL, NULL};
    char *copy = strdup(line), *save = NULL;

    memset(run, 0, sizeof(*run));
    run->argv[run->argc++] = strdup("prog");
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        run->argv[run->argc++] = strdup(strcmp(word, "''") == 0 ? "" : word);
    free(copy);
    env[0] = strdup("A=1");
    run->result = conf_args_split(&run->args, run->argc, run->argv, env, own,
                                  sizeof(own) / sizeof(own[0]), visit, run, &run->errors);
    free(env[0]);
    buf_putc(&run->errors, '\0');
}

static void end(struct run *run)
{
    for (int i = 0; i < run->argc; i++)
        free(run->argv[i]);
    conf_args_clear(&run->args);
    buf_free(&run->errors);
}

/* The options kept, joined by blanks. */
static const char *kept(const struct run *run)
{
    static char out[512];
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < run->args.noptions; i++)
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s", i ? " " : "", run->args.options[i]);
    return out;
}

static const struct {
    const char *line, *file, *kept, *seen;
} lines[] = {
    {"", NULL, "", ""},
    {"-c a.conf", "a.conf", "", ""},
    {"-ca.conf -c b.conf", "b.conf", "", ""},
    {"-dt", NULL, "", "d=NULL;t=NULL;"},
    {"-tdc x", "x", "", "t=NULL;d=NULL;"},
    {"-oroom -o r2", NULL, "", "o=room;o=r2;"},
    {"--version", NULL, "", "V=NULL;"},
    {"--port 3000 --host=a", NULL, "--port 3000 --host a", ""},
    {"--socket.io:key=a=b", NULL, "--socket.io:key a=b", ""},
    {"--socket.io:key ''", NULL, "--socket.io:key ", ""},
    {"--socket.io:key=", NULL, "--socket.io:key ", ""},
    {"--port -d", NULL, "--port -d", ""},
    {"--port --host", NULL, "--port --host", ""},
    {"--to r1 msg {} --to=r2 --port 1 --volatile - -5 -.", NULL, NULL, NULL},
    {"msg -5 - {}", NULL, "", "-=msg;-=-5;-=-;-={};"},
    {"--to r1 msg --port 1 {} --to=r2 --volatile", NULL, "--port 1",
     "o=r1;-=msg;-={};o=r2;v=NULL;"},
    {"-- --port 1 -d", NULL, "", "-=--port;-=1;-=-d;"},
    {"--to=", NULL, "", "o=;"},
    {"--unknown x", NULL, "--unknown x", ""},
};

static void test_lines(void)
{
    struct run run;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        start(&run, lines[i].line);
        if (lines[i].seen == NULL) {
            is_int(run.result, -1, lines[i].line);
        } else if (is_int(run.result, 0, lines[i].line)) {
            is_str(run.args.file, lines[i].file, "the file");
            is_str(kept(&run), lines[i].kept, "what is configuration");
            is_str(run.seen, lines[i].seen, "what is the program's");
            is_str(run.args.environ[0], "A=1", "the environment is copied");
            ok(run.args.dir != NULL && run.args.dir[0] == '/', "the directory is known");
        }
        end(&run);
    }
}

static const struct {
    const char *line, *want;
} broken[] = {
    {"-c", "a value is missing after -c\n"},
    {"-tc", "a value is missing after -c\n"},
    {"-x", "unknown option -x\n"},
    {"-dx", "unknown option -x\n"},
    {"--port", "a value is missing after --port\n"},
    {"--to", "a value is missing after --to\n"},
    {"--version=1", "no value is wanted by --version\n"},
    {"--=1", "unknown option --\n"},
    {"-t refuse", "refused\n"},
};

static void test_broken(void)
{
    struct run run;

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        start(&run, broken[i].line);
        is_int(run.result, -1, broken[i].line);
        is_str((char *)run.errors.data, broken[i].want, "says why");
        end(&run);
    }
}

static void test_secrets(void)
{
    static const struct {
        const char *line, *kept;
        int word;
        const char *shown;
    } secrets[] = {
        {"--auth:secret hunter2", "--auth:secret hunter2", 2, "*******"},
        {"--auth.password=hunter2", "--auth.password hunter2", 1, "--auth.password=*******"},
        {"--auth {\"secret\":1}", "--auth {\"secret\":1}", 2, "************"},
        {"--socket.io:redis:url=x", "--socket.io:redis:url x", 1, "--socket.io:redis:url=*"},
        {"--socket.io.redis:password x", "--socket.io.redis:password x", 2, "*"},
        {"--auth:secert x", "--auth:secert x", 2, "*"},
        {"--cookie_secret x", "--cookie_secret x", 2, "*"},
        {"--auth:secretFile /x", "--auth:secretFile /x", 2, "/x"},
        {"--port 3000", "--port 3000", 2, "3000"},
    };
    struct run run;

    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        start(&run, secrets[i].line);
        is_str(kept(&run), secrets[i].kept, "is kept");
        is_str(run.argv[secrets[i].word], secrets[i].shown, "is overwritten where it is a secret");
        end(&run);
    }
}

static void test_environment(void)
{
    static const struct {
        const char *variable, *shown;
    } secrets[] = {
        {"AXR_NOTIFYD__AUTH__SECRET=hunter2", "AXR_NOTIFYD__AUTH__SECRET=*******"},
        {"axr_notifyd__socket_io__redis__url=x=y", "axr_notifyd__socket_io__redis__url=***"},
        {"AXR_NOTIFYD__AUTH={}", "AXR_NOTIFYD__AUTH=**"},
        {"AXR_NOTIFYD__AUTH__SECERT=x", "AXR_NOTIFYD__AUTH__SECERT=*"},
        {"socket.io__redis__password=x", "socket.io__redis__password=*"},
        {"AXR_NOTIFYD__AUTH__SECRETFILE=/x", "AXR_NOTIFYD__AUTH__SECRETFILE=/x"},
        {"AXR_NOTIFYD__PORT=3000", "AXR_NOTIFYD__PORT=3000"},
        {"PATH=/bin", "PATH=/bin"},
        {"AUTH__SECRET=x", "AUTH__SECRET=x"}, /* upper case: not ours */
        {"empty=", "empty="},
        {"none", "none"},
    };
    char *argv[] = {(char[]){"prog"}, NULL}, *env[] = {NULL, NULL};
    struct conf_args args;
    struct buf errors = {0};

    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        env[0] = strdup(secrets[i].variable);
        conf_args_split(&args, 1, argv, env, own, 0, visit, NULL, &errors);
        is_str(args.environ[0], secrets[i].variable, "is kept");
        is_str(env[0], secrets[i].shown, "is overwritten where it is a secret");
        conf_args_clear(&args);
        free(env[0]);
    }
}

int main(void)
{
    test_environment();
    test_lines();
    test_broken();
    test_secrets();
    return tap_done();
}
