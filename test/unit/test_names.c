/* Names under .test are looked up here: the children that ask have this getaddrinfo. */
#include "master/names.h"

#include "base/clock.h"

#include "tap.h"

#include <dlfcn.h>
#include <event2/event.h>
#include <netdb.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 30000

static struct event_base *base;
static struct names *names;
static int done;
static char said[600];

/* --- in place of libc's ------------------------------------------------------------ */

/* What happens if node is one of these; other names are as they are. */
static const struct {
    const char *node;
    const char *addresses[3];
    int error, hangs;
} answers[] = {
    {"one.test", {"192.0.2.7"}, 0, 0},
    {"two.test", {"127.0.0.1", "::1"}, 0, 0},
    {"none.test", {NULL}, EAI_NONAME, 0},
    {"hangs.test", {NULL}, 0, 1},
};

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    int numeric = hints != NULL && hints->ai_flags & AI_NUMERICHOST;

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    for (size_t i = 0; !numeric && i < sizeof(answers) / sizeof(*answers); i++) {
        struct addrinfo **end;
        if (strcmp(node, answers[i].node) != 0)
            continue;
        while (answers[i].hangs)
            pause();
        if (answers[i].error)
            return answers[i].error;
        /* Two lists made one: the child ends before it frees them. */
        end = found;
        for (const char *const *at = answers[i].addresses; *at != NULL;
             at++, end = &(*end)->ai_next)
            if (real(*at, service, hints, end) != 0)
                return EAI_FAIL;
        return 0;
    }
    return real(node, service, hints, found);
}

/* A second is 20 ms here. */
unsigned alarm(unsigned seconds)
{
    const struct itimerval after = {.it_value = {0, seconds * 20000L}};
    setitimer(ITIMER_REAL, &after, NULL);
    return 0;
}

/* --- what is told ------------------------------------------------------------------ */

static void on_done(const char *why, void *arg)
{
    (void)arg;
    done++;
    snprintf(said, sizeof(said), "%s", why != NULL ? why : "all");
}

static const struct names_ops ops = {on_done};

static void begin(void)
{
    done = 0;
    names = names_new(base, &ops, NULL);
    if (names == NULL)
        exit(1);
}

static const char *wait_done(void)
{
    const struct timeval tick = {0, 10000};
    uint64_t end = clock_ms() + DEADLINE_MS;

    while (!done && clock_ms() < end) {
        event_base_loopexit(base, &tick);
        event_base_dispatch(base);
    }
    return done == 1 ? said : "nothing";
}

/* Reaps all children.  Returns how many have had to wait for their alarm. */
static int overdue(void)
{
    int status, n = 0;

    while (waitpid(-1, &status, 0) > 0)
        n += WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    return n;
}

/* --- tests ------------------------------------------------------------------------- */

static void test_known(void)
{
    begin();
    is_int(names_add(names, "192.0.2.1"), 0, "an address");
    is_int(names_add(names, "::1"), 0, "and another");
    is_int(names_put(names, "old.test", "192.0.2.9\n"), 0, "a name that is known");
    is_int(names_waiting(names), 0, "nobody need be asked");
    is_str(names_find(names, "192.0.2.1"), "192.0.2.1", "an address is its own");
    is_str(names_find(names, "old.test"), "192.0.2.9\n", "a name has what it was given");
    ok(!names_find(names, "other.test"), "another has nothing");
    is_int(names_add(names, "old.test"), 0, "it is not asked for");
    is_int(names_waiting(names), 0, "again");
    names_free(&names);
    ok(!names, "freed");
}

static void test_asked(void)
{
    begin();
    is_int(names_add(names, "one.test"), 0, "a name");
    is_int(names_add(names, "two.test"), 0, "and one more");
    is_int(names_add(names, "one.test"), 0, "and the first again");
    is_int(names_waiting(names), 2, "two are looked up");
    is_int(done, 0, "which takes its time");
    ok(!names_find(names, "one.test"), "until then there is nothing");
    is_str(wait_done(), "all", "known");
    is_int(names_waiting(names), 0, "both");
    is_str(names_find(names, "one.test"), "192.0.2.7\n", "one address");
    is_str(names_find(names, "two.test"), "127.0.0.1\n::1\n", "two addresses");
    names_free(&names);
    is_int(overdue(), 0, "in time");
}

static void test_unknown(void)
{
    begin();
    names_add(names, "hangs.test");
    names_add(names, "none.test");
    is_str(wait_done(), "cannot look none.test up: Name or service not known", "one is not known");
    is_int(names_waiting(names), 0, "the other is given up");
    is_int(overdue(), 0, "and its child ends at once");
    names_free(&names);
}

static void test_hangs(void)
{
    begin();
    names_add(names, "hangs.test");
    names_add(names, "one.test");
    is_str(wait_done(), "cannot look hangs.test up: no answer", "nobody answers");
    is_int(overdue(), 1, "its child has had its time");
    names_free(&names);
    begin();
    names_add(names, "hangs.test");
    names_free(&names);
    is_int(overdue(), 0, "given up: the child ends at once");
    is_int(done, 0, "nobody hears of it");
}

int main(void)
{
    signal(SIGALRM, SIG_IGN); /* as whoever starts the daemon may have it */
    signal(SIGIO, SIG_IGN);
    base = event_base_new();
    test_known();
    test_asked();
    test_unknown();
    test_hangs();
    event_base_free(base);
    return tap_done();
}
