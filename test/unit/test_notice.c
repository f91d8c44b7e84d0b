#include "base/clock.h"
#include "log_file.h"
#include "tap.h"
#include "worker/client.h"
#include "worker/notice.h"

#include <arpa/inet.h>

static uint64_t now_ms = 1000;

uint64_t clock_ms(void)
{
    return now_ms;
}

uint64_t clock_us(void)
{
    return now_ms * 1000;
}

int64_t clock_wall_ms(void)
{
    return 0;
}

enum eio_version socket_version(const struct socket *socket)
{
    (void)socket;
    return EIO4;
}

const char *socket_transport(const struct socket *socket)
{
    (void)socket;
    return "polling";
}

static struct client client;
static struct log_every every;

static void notice(void)
{
    uint64_t times;

    if (notice_due(&every, &times))
        notice_log(&client, times, "it is odd:", " more=1");
}

int main(void)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct log_every other = {0};
    uint64_t times;

    inet_pton(AF_INET, "192.0.2.7", &peer.sin_addr);
    address_set(&client.address, (struct sockaddr *)&peer);
    log_begin_at(LOG_LEVEL_INFO);
    notice();
    is_int(logged(" info "), 1, "at info");
    is_int(logged(": it is odd: address=192.0.2.7:80 transport=polling more=1 times=1\n"), 1,
           "what, who and how often");
    now_ms += 59999;
    notice();
    is_int(logged("\n"), 1, "one line a minute");
    is_int(notice_due(&other, &times), 1, "for each cause");
    now_ms += 1;
    notice();
    is_int(logged(" more=1 times=2\n"), 1, "then the next, with what was not said");
    log_begin();
    log_set_level(LOG_LEVEL_DEBUG);
    notice();
    is_int(logged(" debug "), 1, "at debug");
    is_int(logged(": it is odd: address=192.0.2.7:80 transport=polling more=1\n"), 1, "each");
    log_end();
    return tap_done();
}
