/* How connections come in: the pace that workers settle among them, and what happens where
 * there are no descriptors. */
#include "net/net.h"

#include "ipc/balance.h"
#include "loopback.h"
#include "peer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

enum { CLIENTS = 40 };

static int clients[CLIENTS], listener, port;

static void begin(struct balance *balance)
{
    peer_options.balance = balance;
    net_up(NULL, NULL);
    net_speaks(net, &speaker, NULL, 60000);
    listener = loopback_listen(SOCK_NONBLOCK, &port);
    is_int(net_listen(net, listener, 0), 0, "it listens");
}

static void end(int n)
{
    for (int i = 0; i < n; i++)
        close(clients[i]);
    net_down();
    close(listener);
    peer_options.balance = NULL;
}

/* The others have nobody: who has many already leaves the next ones to them, and while it
 * does nobody counts on it. */
static void test_rest(void)
{
    struct balance *balance = balance_new(3);
    int n = 0;

    if (balance == NULL)
        abort();
    balance_accepts(balance, 1, 1);
    balance_accepts(balance, 2, 1);
    begin(balance);
    is_int(balance_awake(balance, 1), 2, "three workers: two others would take one");
    while (n < CLIENTS && net->accepting) {
        clients[n++] = loopback_dial(port);
        for (int i = 0; i < 50 && net->accepting && (int)net->nconns < n; i++)
            turns(1);
    }
    ok(!net->accepting && net->nconns > 1 && (int)net->nconns < CLIENTS,
       "with %zu more than the others it accepts nobody for a while", net->nconns);
    is_int(balance_awake(balance, 1), 1, "and is not counted on");
    for (uint64_t end_ms = clock_ms() + PEER_WAIT_MS; !net->accepting && clock_ms() < end_ms;)
        turns(1);
    is_int(net->accepting, 1, "then it accepts again");
    is_int(balance_awake(balance, 1), 2, "and is counted on");
    end(n);
    balance_free(&balance);
}

/* The listening socket stays readable: the loop must not spin over it. */
static void test_no_descriptors(void)
{
    struct rlimit limit, none;
    int free_fd;

    begin(NULL);
    clients[0] = loopback_dial(port);
    free_fd = dup(0);
    close(free_fd);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = (rlim_t)free_fd;
    (void)setrlimit(RLIMIT_NOFILE, &none);
    for (int i = 0; i < 200 && net->stats.accept_failures == 0; i++)
        turns(1);
    turns(20);
    is_int((long)net->stats.accept_failures, 1, "it fails once, and waits");
    is_int(net->accepting, 0, "without listening");
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    clients[1] = loopback_dial(port); /* valgrind takes the first one, and closes it */
    for (uint64_t end_ms = clock_ms() + PEER_WAIT_MS; net->nconns == 0 && clock_ms() < end_ms;)
        turns(1);
    ok(net->nconns > 0, "with descriptors clients come in");
    end(2);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)log_open(LOG_TO_FILE, "/dev/null", LOG_TEXT);
    test_rest();
    test_no_descriptors();
    event_base_free(base);
    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    return tap_done();
}
