/* fake_redis - redis servers and sentinels in the loop of the test, on free ports of 127.0.0.1,
 * which answer what they are told to. */
#ifndef TEST_FAKE_REDIS_H
#define TEST_FAKE_REDIS_H

#include "base/clock.h"
#include "loopback.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_CLIENTS     16
#define FAKE_DEADLINE_MS 30000

struct fake {
    struct event_base *base;
    struct evconnlistener *listener;
    int port;
    struct bufferevent *clients[FAKE_CLIENTS];
    int hears[FAKE_CLIENTS]; /* subscribed */
    int accepted;            /* connections, all told */

    int is_mute;         /* takes what comes and says nothing */
    int is_held;         /* looks at nothing, until fake_release() */
    const char *auth;    /* the answer to AUTH */
    const char *role;    /* to ROLE; NULL: that of a master */
    const char *place;   /* to GET-MASTER-ADDR-BY-NAME; NULL: of the next two */
    const char *all;     /* to MASTER; NULL: of epoch */
    const char *hearing; /* to SUBSCRIBE; NULL: as it is */
    const char *host;    /* of the master; NULL: the name is not known */
    int master;          /* its port */
    int epoch;
    int roles, looks, pings; /* how often it was asked */
    char credentials[128];
};

static inline void fake_put(struct bufferevent *bev, const char *text)
{
    bufferevent_write(bev, text, strlen(text));
}

static inline void fake_place(struct fake *fake, struct bufferevent *bev)
{
    char port[16], text[200];

    fake->looks++;
    if (fake->place != NULL) {
        fake_put(bev, fake->place);
    } else if (fake->host == NULL) {
        fake_put(bev, "*-1\r\n");
    } else {
        snprintf(port, sizeof(port), "%d", fake->master);
        snprintf(text, sizeof(text), "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(fake->host),
                 fake->host, strlen(port), port);
        fake_put(bev, text);
    }
}

static inline void fake_all(struct fake *fake, struct bufferevent *bev)
{
    char epoch[16], text[200];

    if (fake->all != NULL) {
        fake_put(bev, fake->all);
    } else if (fake->host == NULL) {
        fake_put(bev, "-ERR No such master with that name\r\n");
    } else {
        snprintf(epoch, sizeof(epoch), "%d", fake->epoch);
        snprintf(text, sizeof(text),
                 "*4\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n$%zu\r\n%s\r\n",
                 strlen(epoch), epoch);
        fake_put(bev, text);
    }
}

static inline void fake_hear(struct fake *fake, struct bufferevent *bev, int i, int on)
{
    char text[200];

    fake->hears[i] = on && fake->hearing == NULL;
    if (on && fake->hearing != NULL) {
        fake_put(bev, fake->hearing);
        return;
    }
    snprintf(text, sizeof(text), "*3\r\n$%d\r\n%s\r\n$14\r\n+switch-master\r\n:%d\r\n", on ? 9 : 11,
             on ? "subscribe" : "unsubscribe", on);
    fake_put(bev, text);
}

static inline void fake_command(struct fake *fake, int i, char **argv, int argc)
{
    struct bufferevent *bev = fake->clients[i];

    if (fake->is_mute)
        return;
    if (strcmp(argv[0], "AUTH") == 0) {
        snprintf(fake->credentials, sizeof(fake->credentials), "%s %s", argv[1],
                 argc > 2 ? argv[2] : "");
        fake_put(bev, fake->auth != NULL ? fake->auth : "+OK\r\n");
    } else if (strcmp(argv[0], "ROLE") == 0) {
        fake->roles++;
        fake_put(bev,
                 fake->role != NULL
                     ? fake->role
                     : "*3\r\n$6\r\nmaster\r\n:7\r\n*1\r\n*3\r\n$1\r\nh\r\n$1\r\n1\r\n$1\r\n7\r\n");
    } else if (strcmp(argv[0], "PING") == 0) {
        fake->pings++;
        fake_put(bev, "+PONG\r\n");
    } else if (strcmp(argv[0], "SUBSCRIBE") == 0) {
        fake_hear(fake, bev, i, 1);
    } else if (strcmp(argv[0], "UNSUBSCRIBE") == 0) {
        fake_hear(fake, bev, i, 0);
    } else if (argc == 3 && strcmp(argv[1], "MASTER") == 0) {
        fake_all(fake, bev);
    } else if (argc == 3 && strcmp(argv[1], "GET-MASTER-ADDR-BY-NAME") == 0) {
        fake_place(fake, bev);
    }
}

/* One command of those at the front of the buffer; 0: it is not whole. */
static inline int fake_take(struct fake *fake, int i)
{
    struct evbuffer *in = bufferevent_get_input(fake->clients[i]);
    size_t len = evbuffer_get_length(in);
    char *bytes = (char *)evbuffer_pullup(in, -1), *at = bytes, *argv[8], *copy;
    int argc = 0, n;

    if (len == 0 || memchr(bytes, '\n', len) == NULL)
        return 0;
    n = atoi(bytes + 1);
    copy = malloc(len + 1);
    if (copy == NULL || n < 1 || n > 8)
        abort();
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    at = strchr(copy, '\n') + 1;
    for (; argc < n; argc++) {
        char *line = strchr(at, '\n');
        size_t size = line != NULL ? (size_t)atoi(at + 1) : len;
        if (line == NULL || (size_t)(line + 1 - copy) + size + 2 > len)
            break;
        argv[argc] = line + 1;
        at = line + 1 + size + 2;
    }
    if (argc == n) {
        for (int k = 0; k < n; k++)
            argv[k][strcspn(argv[k], "\r")] = '\0';
        evbuffer_drain(in, (size_t)(at - copy));
        fake_command(fake, i, argv, argc);
    }
    free(copy);
    return argc == n;
}

static inline int fake_number(const struct fake *fake, const struct bufferevent *bev)
{
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (fake->clients[i] == bev)
            return i;
    abort();
}

static inline void fake_read(struct bufferevent *bev, void *arg)
{
    struct fake *fake = arg;
    int i = fake_number(fake, bev);

    while (!fake->is_held && fake_take(fake, i))
        continue;
}

static inline void fake_release(struct fake *fake)
{
    fake->is_held = 0;
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (fake->clients[i] != NULL)
            fake_read(fake->clients[i], fake);
}

static inline void fake_event(struct bufferevent *bev, short what, void *arg)
{
    struct fake *fake = arg;

    (void)what;
    fake->clients[fake_number(fake, bev)] = NULL;
    bufferevent_free(bev);
}

static inline void fake_accept(struct evconnlistener *listener, evutil_socket_t fd,
                               struct sockaddr *addr, int len, void *arg)
{
    struct fake *fake = arg;
    struct bufferevent *bev;

    (void)listener, (void)addr, (void)len;
    bev = bufferevent_socket_new(fake->base, fd, BEV_OPT_CLOSE_ON_FREE);
    for (int i = 0; i < FAKE_CLIENTS; i++) {
        if (fake->clients[i] != NULL)
            continue;
        fake->clients[i] = bev;
        fake->hears[i] = 0;
        break;
    }
    fake->accepted++;
    bufferevent_setcb(bev, fake_read, NULL, fake_event, fake);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* On its port; the first time a free one. */
static inline void fake_start(struct fake *fake, struct event_base *base)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    fake->base = base;
    addr.sin_port = htons((uint16_t)fake->port);
    fake->listener =
        evconnlistener_new_bind(base, fake_accept, fake, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                16, (struct sockaddr *)&addr, sizeof(addr));
    if (fake->listener == NULL)
        abort();
    fake->port = loopback_port(evconnlistener_get_fd(fake->listener));
}

static inline void fake_drop(struct fake *fake)
{
    for (int i = 0; i < FAKE_CLIENTS; i++) {
        if (fake->clients[i] != NULL)
            bufferevent_free(fake->clients[i]);
        fake->clients[i] = NULL;
    }
}

static inline void fake_stop(struct fake *fake)
{
    fake_drop(fake);
    if (fake->listener != NULL)
        evconnlistener_free(fake->listener);
    fake->listener = NULL;
}

/* To all that are connected, or that are subscribed. */
static inline void fake_say(struct fake *fake, const char *text, int to_all)
{
    for (int i = 0; i < FAKE_CLIENTS; i++)
        if (fake->clients[i] != NULL && (to_all || fake->hears[i]))
            fake_put(fake->clients[i], text);
}

/* +switch-master with that payload. */
static inline void fake_switch(struct fake *fake, const char *payload)
{
    char text[300];

    snprintf(text, sizeof(text), "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%zu\r\n%s\r\n",
             strlen(payload), payload);
    fake_say(fake, text, 0);
}

static inline void fake_turn(struct event_base *base)
{
    const struct timeval tick = {0, 2000};

    event_base_loopexit(base, &tick);
    event_base_loop(base, EVLOOP_ONCE);
}

static inline int fake_wait(struct event_base *base, int (*done)(void))
{
    uint64_t end = clock_ms() + FAKE_DEADLINE_MS;

    while (!done() && clock_ms() < end)
        fake_turn(base);
    return done();
}

#endif
