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
    char shown[ADDRESS_TEXT_MAX];
    uint64_t times;

    if (notice_due(&every, &times))
        log_event_at(notice_level(times), "odd",
                     "it is odd[: user={} address={} transport={}][ times={}]",
                     NOTICE_USER(&client), NOTICE_FROM(&client, shown), LOG_TIMES(times));
}

int main(void)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct log_every other = {0};
    char uid[] = "a b";
    uint64_t times;

    inet_pton(AF_INET, "192.0.2.7", &peer.sin_addr);
    client.uid = uid;
    client.uid_len = 3;
    address_set(&client.address, (struct sockaddr *)&peer);
    log_begin_at(LOG_LEVEL_INFO);
    notice();
    is_int(logged(" info "), 1, "at info");
    is_int(logged(": it is odd: user=a\\x20b address=192.0.2.7:80 transport=polling times=1\n"), 1,
           "what, who and how often");
    now_ms += 59999;
    notice();
    is_int(logged("\n"), 1, "one line a minute");
    is_int(notice_due(&other, &times), 1, "for each cause");
    now_ms += 1;
    notice();
    is_int(logged(" times=2\n"), 1, "then the next, with what was not said");
    log_begin();
    log_set_level(LOG_LEVEL_DEBUG);
    notice();
    is_int(logged(" debug "), 1, "at debug");
    is_int(logged(": it is odd: user=a\\x20b address=192.0.2.7:80 transport=polling\n"), 1, "each");
    log_begin();
    client.since_ds = 10;
    now_ms = 13400;
    notice_connected(&client);
    is_int(logged(": client connected: user=a\\x20b address=192.0.2.7:80 transport=polling "
                  "protocol=4\n"),
           1, "one that is in");
    notice_disconnected(&client, CLOSE_CLIENT);
    is_int(logged(": client disconnected: user=a\\x20b address=192.0.2.7:80 transport=polling "
                  "reason=\"client\" duration=12.4s\n"),
           1, "one that was");
    log_end();
    return tap_done();
}
