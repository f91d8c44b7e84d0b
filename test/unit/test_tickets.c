/* The keys of tickets on their way to workers. */
#include "ipc/tickets.h"

#include "tap.h"

static void fill(struct tickets *tickets, uint32_t n)
{
    memset(tickets, 0, sizeof(*tickets));
    tickets->n = n;
    for (size_t i = 0; i < n * sizeof(tickets->at[0]); i++)
        ((uint8_t *)tickets->at)[i] = (uint8_t)(i * 7 + n);
}

static int take(struct buf *out, struct tickets *got)
{
    struct msg msg;

    if (msg_decode(&msg, out->data, out->len, 65536) != (long)out->len)
        return -2;
    return msg.type == MSG_TICKETS ? tickets_get(&msg, got) : -3;
}

static void test_there_and_back(void)
{
    struct tickets some, got;
    struct buf out = {0};

    for (uint32_t n = 1; n <= TICKETS_MAX; n++) {
        fill(&some, n);
        buf_free(&out);
        is_int(tickets_put(&out, &some), 0, "put");
        ok(out.secret && msg_is_secret(out.data, out.len), "as a secret");
        memset(&got, 0xff, sizeof(got));
        is_int(take(&out, &got), 0, "taken");
        ok(memcmp(&got, &some, sizeof(got)) == 0, "%u as they were", n);
    }
    buf_free(&out);
}

static void test_bad(void)
{
    static const uint8_t bytes[(TICKETS_MAX + 1) * sizeof(struct ticket_key)];
    struct tickets got;

    for (size_t n = 0; n <= sizeof(bytes); n++) {
        int want = n > 0 && n % sizeof(struct ticket_key) == 0 && n < sizeof(bytes) ? 0 : -1;
        struct buf out = {0};
        size_t mark = msg_begin(&out, MSG_TICKETS);

        msg_put_bytes(&out, bytes, n);
        msg_end(&out, mark);
        if (take(&out, &got) != want)
            ok(0, "%zu bytes", n);
        buf_free(&out);
    }
    ok(1, "whole keys, one at least, and no more than there is room for");
}

static void test_left_over(void)
{
    struct tickets some, got;
    struct buf out = {0};
    struct msg msg;

    fill(&some, 1);
    tickets_put(&out, &some);
    buf_putc(&out, 0);
    msg = (struct msg){.type = MSG_TICKETS, .at = out.data + 5, .end = out.data + out.len};
    is_int(tickets_get(&msg, &got), -1, "a byte too many");
    buf_free(&out);
}

int main(void)
{
    test_there_and_back();
    test_bad();
    test_left_over();
    return tap_done();
}
