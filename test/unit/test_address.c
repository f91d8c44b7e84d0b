#include "base/address.h"

#include "tap.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static const char *text_of(const struct sockaddr *peer)
{
    static char text[ADDRESS_TEXT_MAX];
    struct address address;

    memset(&address, 0xff, sizeof(address)); /* nothing of before is left */
    address_set(&address, peer);
    return address_text(&address, text);
}

static const char *ip_of(const char *ip)
{
    static char text[ADDRESS_TEXT_MAX];
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(1)};
    struct sockaddr_in6 peer6 = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
    struct address address;

    if (inet_pton(AF_INET, ip, &peer.sin_addr) == 1)
        address_set(&address, (struct sockaddr *)&peer);
    else if (inet_pton(AF_INET6, ip, &peer6.sin6_addr) == 1)
        address_set(&address, (struct sockaddr *)&peer6);
    else
        (void)address_of_peer(&address, -1);
    return address_ip_text(&address, text);
}

static const char *in(const char *ip, int port)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, ip, &peer.sin_addr);
    return text_of((struct sockaddr *)&peer);
}

static const char *in6(const char *ip, int port)
{
    struct sockaddr_in6 peer = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    inet_pton(AF_INET6, ip, &peer.sin6_addr);
    return text_of((struct sockaddr *)&peer);
}

static void test_peer(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    int pair[2];

    is_str(text_of((struct sockaddr *)&un), "unix", "a Unix socket");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    is_int(address_of_peer(&address, pair[0]), 0, "it is there");
    is_str(address_text(&address, text), "unix", "one that is connected");
    close(pair[0]);
    close(pair[1]);
    is_int(address_of_peer(&address, -1), -1, "it is not");
    is_str(address_text(&address, text), "unix", "none at all");
}

int main(void)
{
    is_str(ip_of("192.0.2.7"), "192.0.2.7", "IPv4 alone");
    is_str(ip_of("2001:db8::1"), "2001:db8::1", "IPv6 alone");
    is_str(ip_of("::ffff:192.0.2.7"), "192.0.2.7", "mapped");
    is_str(ip_of(""), "unix", "none");
    is_str(in("192.0.2.7", 51234), "192.0.2.7:51234", "IPv4");
    is_str(in("255.255.255.255", 65535), "255.255.255.255:65535", "the longest");
    is_str(in6("2001:db8::1", 80), "[2001:db8::1]:80", "IPv6");
    is_str(in6("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
           "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "the longest");
    is_str(in6("::ffff:192.0.2.7", 80), "192.0.2.7:80", "IPv4 on a socket of IPv6");
    is_str(in6("::1", 80), "[::1]:80", "the machine itself");
    test_peer();
    return tap_done();
}
