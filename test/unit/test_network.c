#include "base/network.h"

#include "base/address.h"
#include "tap.h"

#define MAX 4

/* Those of a text with a space between; "unix" is unix_too. */
static struct networks networks(const char *text, struct network at[MAX])
{
    struct networks all = {.at = at};

    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (len == 4 && memcmp(text, "unix", 4) == 0)
            all.unix_too = 1;
        else if (network_parse(&at[all.n++], (struct slice){text, len}) != NETWORK_GOOD)
            abort();
        text += len + (text[len] == ' ');
    }
    return all;
}

static int have(const char *text, const char *ip)
{
    struct network at[MAX];
    struct networks all = networks(text, at);
    struct address address = {0};

    if (*ip != '\0' && address_parse_ip(&address, slice_str(ip)) < 0)
        abort();
    address.port = 80;
    return networks_have(&all, &address);
}

static void test_faults(void)
{
    static const struct {
        const char *text;
        enum network_fault want;
    } rows[] = {
        {"", NETWORK_NO_ADDRESS},
        {"/8", NETWORK_NO_ADDRESS},
        {"10.0.0", NETWORK_NO_ADDRESS},
        {"10.0.0.256", NETWORK_NO_ADDRESS},
        {"010.0.0.1", NETWORK_NO_ADDRESS},
        {"10.0.0.1 ", NETWORK_NO_ADDRESS},
        {"10.0.0.1:80", NETWORK_NO_ADDRESS},
        {"proxy.example", NETWORK_NO_ADDRESS},
        {"[::1]", NETWORK_NO_ADDRESS},
        {"fe80::1%lo", NETWORK_NO_ADDRESS},
        {":::1", NETWORK_NO_ADDRESS},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa", NETWORK_NO_ADDRESS},
        {"10.0.0.0/", NETWORK_NO_PREFIX},
        {"10.0.0.0/33", NETWORK_NO_PREFIX},
        {"10.0.0.0/-1", NETWORK_NO_PREFIX},
        {"10.0.0.0/+8", NETWORK_NO_PREFIX},
        {"10.0.0.0/8 ", NETWORK_NO_PREFIX},
        {"10.0.0.0/8/8", NETWORK_NO_PREFIX},
        {"10.0.0.0/255.0.0.0", NETWORK_NO_PREFIX},
        {"10.0.0.0/0008", NETWORK_NO_PREFIX},
        {"10.0.0.0/4294967304", NETWORK_NO_PREFIX},
        {"fd00::/129", NETWORK_NO_PREFIX},
        {"10.0.0.1/8", NETWORK_HOST_BITS},
        {"192.0.2.1/31", NETWORK_HOST_BITS},
        {"10.0.0.0/0", NETWORK_HOST_BITS},
        {"fd00::1/8", NETWORK_HOST_BITS},
        {"fd00::/7", NETWORK_HOST_BITS},
        {"::ffff:10.0.0.0/8", NETWORK_HOST_BITS},
        {"0.0.0.0/0", NETWORK_GOOD},
        {"10.0.0.0/8", NETWORK_GOOD},
        {"192.0.2.1/32", NETWORK_GOOD},
        {"192.0.2.1", NETWORK_GOOD},
        {"::/0", NETWORK_GOOD},
        {"::1", NETWORK_GOOD},
        {"fc00::/7", NETWORK_GOOD},
        {"2001:DB8::/032", NETWORK_GOOD},
        {"::ffff:10.0.0.0/104", NETWORK_GOOD},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i].text);
        unsigned char *at = tap_guard(rows[i].text, len);
        struct network network;

        is_int(network_parse(&network, (struct slice){(char *)at, len}), rows[i].want,
               rows[i].text);
        tap_guard_free(at, len);
    }
    is_int(network_parse(&(struct network){0}, (struct slice){"10.0.0.1\0x", 10}),
           NETWORK_NO_ADDRESS, "a NUL");
}

static void test_have(void)
{
    static const struct {
        const char *networks, *ip;
        int want;
    } rows[] = {
        {"", "192.0.2.1", 0},
        {"", "", 0},
        {"192.0.2.1", "192.0.2.1", 1},
        {"192.0.2.1", "192.0.2.2", 0},
        {"192.0.2.1", "::ffff:192.0.2.1", 1},
        {"::ffff:192.0.2.1", "192.0.2.1", 1},
        {"192.0.2.1", "::192.0.2.1", 0},
        {"10.0.0.0/8", "10.255.255.255", 1},
        {"10.0.0.0/8", "11.0.0.0", 0},
        {"10.0.0.0/8", "9.255.255.255", 0},
        {"192.0.2.128/25", "192.0.2.128", 1},
        {"192.0.2.128/25", "192.0.2.127", 0},
        {"192.0.2.4/30", "192.0.2.7", 1},
        {"192.0.2.4/30", "192.0.2.8", 0},
        {"0.0.0.0/0", "255.255.255.255", 1},
        {"0.0.0.0/0", "0.0.0.0", 1},
        {"0.0.0.0/0", "::1", 0},
        {"0.0.0.0/0", "", 0},
        {"::ffff:0:0/96", "203.0.113.9", 1},
        {"::/0", "::1", 1},
        {"::/0", "2001:db8::1", 1},
        {"::/0", "203.0.113.9", 0},
        {"::/0", "", 0},
        {"::1", "::1", 1},
        {"::1", "::2", 0},
        {"fd00::/8", "fdff::1", 1},
        {"fd00::/8", "fe00::1", 0},
        {"2001:db8::/33", "2001:db8:7fff::1", 1},
        {"2001:db8::/33", "2001:db8:8000::1", 0},
        {"10.0.0.0/8 2001:db8::/32 192.0.2.1", "192.0.2.1", 1},
        {"10.0.0.0/8 2001:db8::/32 192.0.2.1", "2001:db8:1::", 1},
        {"10.0.0.0/8 2001:db8::/32 192.0.2.1", "203.0.113.1", 0},
        {"unix", "", 1},
        {"unix", "127.0.0.1", 0},
        {"127.0.0.1", "", 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ok(have(rows[i].networks, rows[i].ip) == rows[i].want, "\"%s\" and \"%s\"",
           rows[i].networks, rows[i].ip);
}

/* Each prefix against what it says, bit for bit. */
static void test_bits(void)
{
    struct network at[1];
    struct networks all = {.at = at, .n = 1};
    int wrong = 0;

    for (unsigned bits = 0; bits <= 128; bits++) {
        struct address ones;

        memset(&ones, 0xff, sizeof(ones)); /* is not IPv4 */
        memset(at, 0, sizeof(*at));
        at[0].bits = (uint8_t)bits;
        for (unsigned i = 0; i < bits; i++)
            at[0].ip[i / 8] |= (uint8_t)(0x80 >> i % 8);
        wrong += !networks_have(&all, &ones);
        for (unsigned i = 0; i < 128; i++) {
            struct address other = ones;

            other.ip[i / 8] ^= (uint8_t)(0x80 >> i % 8);
            wrong += networks_have(&all, &other) != (i >= bits);
        }
    }
    is_int(wrong, 0, "a bit counts if it is one of the first ones");
}

static void test_bytes(void)
{
    static const struct {
        const char *text;
        int is_all;
    } rows[] = {{"0.0.0.0/0", 1}, {"::/0", 1},       {"::/1", 0}, {"0.0.0.0/1", 0},
                {"::/96", 0},     {"10.0.0.0/8", 0}, {"::1", 0}};
    static const uint8_t bits[] = {0, 1, 127, 128, 129, 255};
    uint8_t bytes[NETWORK_BYTES] = {[15] = 1};
    struct network network;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct network again, other;
        struct buf out = {0};

        network_parse(&network, slice_str(rows[i].text));
        network_encode(&network, &out);
        ok(out.len == NETWORK_BYTES && network_decode(&again, out.data) == 0 &&
               network_equal(&network, &again),
           "%s as bytes, and back", rows[i].text);
        other = network;
        other.bits ^= 1;
        ok(!network_equal(&network, &other), "other bits, another network");
        other = network;
        other.ip[15] ^= 1;
        ok(!network_equal(&network, &other), "another address");
        is_int(network_is_all(&network), rows[i].is_all, "is it all?");
        buf_free(&out);
    }
    for (size_t i = 0; i < sizeof(bits); i++) {
        bytes[16] = bits[i];
        ok(network_decode(&network, bytes) == (bits[i] == 128 ? 0 : -1), "::1/%u", bits[i]);
    }
}

int main(void)
{
    test_bytes();
    test_faults();
    test_have();
    test_bits();
    return tap_done();
}
