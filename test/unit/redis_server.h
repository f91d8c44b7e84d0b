/* redis_server - redis servers of a test's own, on Unix sockets. */
#ifndef TEST_REDIS_SERVER_H
#define TEST_REDIS_SERVER_H

#include "base/clock.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REDIS_SERVER_MS 90000 /* for it to answer */

struct redis_server {
    pid_t pid;
    char path[128];
};

/* 1 if there is a redis to be started. */
static inline int redis_server_is_there(void)
{
    return system("command -v redis-server >/dev/null") == 0;
}

/* Starts one, which listens on NAME.sock in dir some time later; more: its options beside
 * those that all have, NULL-terminated, or NULL. */
static inline void redis_server_start(struct redis_server *server, const char *dir,
                                      const char *name, const char *const *more)
{
    const char *argv[32] = {"redis-server",
                            "--port",
                            "0",
                            "--unixsocket",
                            server->path,
                            "--save",
                            "",
                            "--dir",
                            dir,
                            "--appendonly",
                            "no",
                            "--unixsocketperm",
                            "700"};
    size_t argc = 13;

    snprintf(server->path, sizeof(server->path), "%s/%s.sock", dir, name);
    while (more != NULL && *more != NULL)
        argv[argc++] = *more++;
    server->pid = fork();
    if (server->pid == 0) {
        char *copy[32] = {NULL};
        if (freopen("/dev/null", "w", stdout) == NULL)
            _exit(126);
        for (size_t i = 0; i < argc; i++)
            copy[i] = strdup(argv[i]);
        execvp(copy[0], copy);
        _exit(127);
    }
}

/* A connection to it, as soon as it answers. */
static inline redisContext *redis_server_connect(const struct redis_server *server)
{
    uint64_t end = clock_ms() + REDIS_SERVER_MS;
    redisContext *context = NULL;

    do {
        if (context != NULL)
            redisFree(context);
        context = redisConnectUnix(server->path);
        usleep(10000);
    } while (context != NULL && context->err != 0 && clock_ms() < end);
    return context;
}

static inline void redis_server_stop(struct redis_server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    unlink(server->path);
}

#endif
