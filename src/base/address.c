#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void address_set(struct address *address, const struct sockaddr *peer)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    memset(address, 0, sizeof(*address));
    if (peer->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)peer;

        memcpy(address->ip, &in6->sin6_addr, 16);
        address->port = ntohs(in6->sin6_port);
    } else if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)peer;

        memcpy(address->ip, mapped, 12);
        memcpy(address->ip + 12, &in->sin_addr, 4);
        address->port = ntohs(in->sin_port);
    }
}

void address_of_peer(struct address *address, int fd)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(peer);

    if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
        peer.ss_family = AF_UNSPEC;
    address_set(address, (struct sockaddr *)&peer);
}

const char *address_ip_text(const struct address *address, char dst[ADDRESS_TEXT_MAX])
{
    struct in6_addr ip;

    memcpy(&ip, address->ip, 16);
    if (IN6_IS_ADDR_V4MAPPED(&ip))
        inet_ntop(AF_INET, address->ip + 12, dst, ADDRESS_TEXT_MAX);
    else if (IN6_IS_ADDR_UNSPECIFIED(&ip))
        snprintf(dst, ADDRESS_TEXT_MAX, "unix");
    else
        inet_ntop(AF_INET6, &ip, dst, ADDRESS_TEXT_MAX);
    return dst;
}

const char *address_text(const struct address *address, char dst[ADDRESS_TEXT_MAX])
{
    struct in6_addr ip;
    char text[INET6_ADDRSTRLEN];

    memcpy(&ip, address->ip, 16);
    if (IN6_IS_ADDR_V4MAPPED(&ip)) {
        inet_ntop(AF_INET, address->ip + 12, text, sizeof(text));
        snprintf(dst, ADDRESS_TEXT_MAX, "%s:%u", text, address->port);
    } else if (IN6_IS_ADDR_UNSPECIFIED(&ip)) {
        snprintf(dst, ADDRESS_TEXT_MAX, "unix");
    } else {
        inet_ntop(AF_INET6, &ip, text, sizeof(text));
        snprintf(dst, ADDRESS_TEXT_MAX, "[%s]:%u", text, address->port);
    }
    return dst;
}
