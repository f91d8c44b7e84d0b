/* The addresses that a worker tells of: on the pipe, as text, and in which order. */
#include "ipc/worst.h"

#include "tap.h"

static struct worst v4(uint8_t last, uint32_t strangers, uint32_t refused, uint32_t turned_away)
{
    return (struct worst){.id = {192, 0, 2, last},
                          .len = 4,
                          .n = {[WORST_CONNS] = last,
                                [WORST_STRANGERS] = strangers,
                                [WORST_REFUSED] = refused,
                                [WORST_TURNED_AWAY] = turned_away}};
}

static void test_text(void)
{
    struct worst one = v4(7, 0, 0, 0), two = {.id = {0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff, 0xff}};
    char text[WORST_TEXT_MAX];

    is_str(worst_text(&one, text), "192.0.2.7", "IPv4");
    two.len = 8;
    is_str(worst_text(&two, text), "2001:db8:ffff:ffff::/64", "IPv6");
    memset(two.id, 0, sizeof(two.id));
    is_str(worst_text(&two, text), "::/64", "the first of it");
}

static void test_order(void)
{
    struct worst list[5] = {v4(1, 1, 0, 0), v4(2, 0, 5, 0), v4(3, 2, 2, 2), v4(4, 0, 0, 5)};
    struct worst six = {.id = {0x20}, .len = 8, .n = {[WORST_HANDSHAKES] = 1000}};
    char text[64] = "";

    list[4] = six;
    worst_sort(list, 5);
    for (int i = 0; i < 5; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u ", list[i].n[WORST_CONNS]);
    is_str(text, "3 2 4 1 0 ", "strangers, refused tokens and attempts together");
}

static void test_merge(void)
{
    struct worst list[6] = {v4(2, 1, 0, 0), v4(1, 1, 2, 3), v4(2, 5, 0, 0),
                            v4(1, 1, 0, 0), v4(3, 0, 0, 1), v4(2, 1, 1, 1)};

    list[4].len = 8; /* of IPv6, with the same bytes */
    list[4].id[3] = 1;
    is_int(worst_merge(list, 0), 0, "of none there are none");
    is_int(worst_merge(list, 1), 1, "of one there is one");
    is_int(worst_merge(list, 6), 3, "one of each address");
    is_int(list[0].n[WORST_STRANGERS] + list[0].n[WORST_REFUSED], 4, "with all of it");
    is_int(list[1].n[WORST_STRANGERS], 7, "and of another");
    is_int(list[2].n[WORST_TURNED_AWAY], 1, "another family is another");
}

/* Returns what was read of len bytes. */
static int read_back(const uint8_t *bytes, size_t len, struct worst *list, size_t *n)
{
    unsigned char *guarded = tap_guard(bytes, len);
    struct msg msg;
    uint32_t id = 0;
    int result = -1;

    if (msg_decode(&msg, guarded, len, 1 << 20) > 0)
        result = worst_get(&msg, &id, list, n) < 0 || id != 7 ? -1 : 0;
    tap_guard_free(guarded, len);
    return result;
}

static void test_pipe(void)
{
    struct worst list[WORST_MAX], got[WORST_MAX];
    struct buf out = {0};
    size_t n = 99, same = 0;

    for (size_t i = 0; i < WORST_MAX; i++)
        list[i] = v4((uint8_t)i, (uint32_t)i, 1U << i, UINT32_MAX);
    list[3].len = 8;
    is_int(worst_put(&out, 7, list, WORST_MAX), 0, "as many as there may be");
    is_int(read_back(out.data, out.len, got, &n), 0, "are read");
    for (size_t i = 0; i < n; i++)
        same += got[i].len == list[i].len &&
                memcmp(got[i].id, list[i].id, sizeof(got[i].id)) == 0 &&
                memcmp(got[i].n, list[i].n, sizeof(got[i].n)) == 0;
    is_int(same, WORST_MAX, "as they were");
    out.data[17] = 5; /* the first one's length */
    is_int(read_back(out.data, out.len, got, &n), -1, "an address has 4 or 8 bytes");
    buf_reset(&out);
    is_int(worst_put(&out, 7, list, 0), 0, "or none");
    ok(read_back(out.data, out.len, got, &n) == 0 && n == 0, "are none");
    for (uint32_t count = 1; count < 3; count++) {
        out.data[9] = (uint8_t)count;
        is_int(read_back(out.data, out.len, got, &n), -1, "of so many more there is nothing");
    }
    out.data[9] = 255;
    is_int(read_back(out.data, out.len, got, &n), -1, "nor of more than there may be");
    buf_free(&out);
}

int main(void)
{
    test_text();
    test_order();
    test_merge();
    test_pipe();
    return tap_done();
}
