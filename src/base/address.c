#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

void address_set(struct address *address, const struct sockaddr *peer)
{
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

int address_of_peer(struct address *address, int fd)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(peer);
    int result = getpeername(fd, (struct sockaddr *)&peer, &len);

    if (result < 0)
        peer.ss_family = AF_UNSPEC;
    address_set(address, (struct sockaddr *)&peer);
    return result;
}

int address_parse_ip(struct address *address, struct slice text)
{
    char ip[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(ip) || memchr(text.ptr, '\0', text.len) != NULL)
        return -1;
    memcpy(ip, text.ptr, text.len);
    ip[text.len] = '\0';
    *address = (struct address){0};
    if (inet_pton(AF_INET, ip, address->ip + 12) != 1)
        return inet_pton(AF_INET6, ip, address->ip) == 1 ? 0 : -1;
    memcpy(address->ip, mapped, sizeof(mapped));
    return 0;
}

int address_is_none(const struct address *address)
{
    static const uint8_t none[16];

    return memcmp(address->ip, none, sizeof(none)) == 0;
}

int address_is_v4(const struct address *address)
{
    return memcmp(address->ip, mapped, sizeof(mapped)) == 0;
}

const char *address_ip_text(const struct address *address, char dst[ADDRESS_TEXT_MAX])
{
    if (address_is_v4(address))
        inet_ntop(AF_INET, address->ip + 12, dst, ADDRESS_TEXT_MAX);
    else if (address_is_none(address))
        snprintf(dst, ADDRESS_TEXT_MAX, "unix");
    else
        inet_ntop(AF_INET6, address->ip, dst, ADDRESS_TEXT_MAX);
    return dst;
}

const char *address_text(const struct address *address, char dst[ADDRESS_TEXT_MAX])
{
    char ip[ADDRESS_TEXT_MAX];

    address_ip_text(address, ip);
    if (address->port == 0 || address_is_none(address))
        memcpy(dst, ip, ADDRESS_TEXT_MAX);
    else if (address_is_v4(address))
        snprintf(dst, ADDRESS_TEXT_MAX, "%.15s:%u", ip, address->port);
    else
        snprintf(dst, ADDRESS_TEXT_MAX, "[%.45s]:%u", ip, address->port);
    return dst;
}
