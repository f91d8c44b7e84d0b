/* --health and --live, asking a daemon that is played. */
#include "master/health.h"

#include "conf.h"
#include "played_http.h"
#include "tap.h"

#include <fcntl.h>
#include <unistd.h>

/* The exit status, with what it prints to nobody. */
static int run(char *host, char *port, int live)
{
    char *options[] = {(char[]){"--admin:host"}, host, (char[]){"--admin:port"}, port};
    struct conf_args args = {.file = "/dev/null", .options = options, .noptions = 4};
    int out = dup(1), err = dup(2), null = open("/dev/null", O_WRONLY), status;

    fflush(stdout);
    dup2(null, 1);
    dup2(null, 2);
    status = health_run(&args, live);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    close(null);
    return status;
}

static void test_run(void)
{
    struct played played = {.text = "HTTP/1.1 200 OK\r\n\r\n{}"};
    char text[8];
    pthread_t thread;
    int port;

    for (int live = 0; live < 2; live++) {
        for (int well = 0; well < 2; well++) {
            played = (struct played){.text = well ? "HTTP/1.1 200 OK\r\n\r\n{}"
                                                  : "HTTP/1.1 503 No\r\n\r\n{}",
                                     .piece = 99};
            played.len = strlen(played.text);
            played.listener = loopback_listen(0, &port);
            snprintf(text, sizeof(text), "%d", port);
            pthread_create(&thread, NULL, play, &played);
            is_int(run((char[]){"127.0.0.1"}, text, live), !well, "the exit status");
            pthread_join(thread, NULL);
            close(played.listener);
            ok(strncmp(played.request, live ? "GET /health/live " : "GET /health ",
                       live ? 17 : 12) == 0,
               "what was asked for");
        }
    }
    is_int(run((char[]){"127.0.0.1"}, (char[]){"0"}, 0), 1, "a port that nobody knows");
    is_int(run((char[]){"off"}, (char[]){"3001"}, 0), 1, "no admin address");
    is_int(run((char[]){"127.0.0.1"}, (char[]){"many"}, 0), 1, "a bad configuration");
}

int main(void)
{
    test_run();
    return tap_done();
}
