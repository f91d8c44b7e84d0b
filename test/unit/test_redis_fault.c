#include "master/redis_fault.h"

#include "base/log.h"

#include "tap.h"

static char log_file[] = "/tmp/test_redis_fault.XXXXXX";

static int lines_with(const char *text)
{
    char line[512];
    int n = 0;
    FILE *in = fopen(log_file, "r");

    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        n += strstr(line, text) != NULL;
    if (in != NULL)
        fclose(in);
    return n;
}

static void test_note(void)
{
    struct redis_fault fault = {0};

    is_int(redis_fault_note(&fault, REDIS_FAULT_CLOSED, "no %d", 1), -1, "a fault");
    is_int(redis_fault_note(&fault, REDIS_FAULT_MEMORY, "no %d", 2), -1, "and what comes of it");
    ok(fault.is_found && fault.kind == REDIS_FAULT_CLOSED, "the first counts");
    is_str(fault.why, "no 1", "with its reason");
}

static void log_one(struct redis_fault *fault, enum redis_fault_kind kind, const char *why,
                    const char *where, uint64_t now_ms)
{
    fault->is_found = 0;
    (void)redis_fault_note(fault, kind, "%s", why);
    redis_fault_log(fault, where, now_ms);
}

static void test_log(void)
{
    struct redis_fault fault = {0};

    close(mkstemp(log_file));
    if (log_open(LOG_TO_FILE, log_file, LOG_TEXT) < 0)
        abort();
    log_one(&fault, REDIS_FAULT_CONNECT, "refused 1", "h:1", 1000);
    is_int(lines_with("redis not reachable at h:1: refused 1; retrying"), 1, "an attempt");
    log_one(&fault, REDIS_FAULT_CONNECT, "refused 2", "h:1", 60999);
    is_int(lines_with("refused 2"), 0, "the same kind is not logged again");
    log_one(&fault, REDIS_FAULT_LOADING, "loading", "h:1", 61000);
    is_int(lines_with("loading"), 1, "another is");
    log_one(&fault, REDIS_FAULT_CONNECT, "refused 3", "h:1", 120999);
    is_int(lines_with("refused 3"), 0, "which begins the minute anew");
    log_one(&fault, REDIS_FAULT_CONNECT, "refused 4", "h:1", 121000);
    is_int(lines_with("refused 4"), 1, "after it each is");
    log_one(&fault, REDIS_FAULT_CONNECT, "gone", NULL, 121001);
    is_int(lines_with("redis lost: gone; retrying"), 1, "and a subscription that is lost, always");
    redis_fault_over(&fault);
    log_one(&fault, REDIS_FAULT_CONNECT, "refused 5", "h:1", 121002);
    is_int(lines_with("refused 5"), 1, "after a success all begins anew");
    log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    unlink(log_file);
}

static void test_kinds(void)
{
    static const struct {
        const char *text;
        enum redis_fault_kind kind;
    } cases[] = {
        {"NOAUTH Authentication required.", REDIS_FAULT_PASSWORD},
        {"WRONGPASS invalid username-password pair", REDIS_FAULT_PASSWORD},
        {"ERR invalid password", REDIS_FAULT_PASSWORD},
        {"ERR AUTH <password> called without any password configured", REDIS_FAULT_PASSWORD},
        {"NOPERM this user has no permissions", REDIS_FAULT_PERMISSION},
        {"LOADING Redis is loading the dataset in memory", REDIS_FAULT_LOADING},
        {"ERR max number of clients reached", REDIS_FAULT_CLIENTS},
        {"ERR unknown command", REDIS_FAULT_ERROR},
        {"", REDIS_FAULT_ERROR},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ok(redis_fault_kind(cases[i].text) == cases[i].kind, "\"%s\"", cases[i].text);
}

int main(void)
{
    test_note();
    test_log();
    test_kinds();
    return tap_done();
}
