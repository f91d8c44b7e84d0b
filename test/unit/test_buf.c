#include "base/buf.h"
#include "tap.h"

#include <sys/uio.h>

static void test_put(void)
{
    struct buf buf = {0};

    is_int(buf_put(&buf, NULL, 0), 0, "nothing into an empty buffer");
    is_int(buf_puts(&buf, "ab"), 0, "puts");
    is_int(buf_putc(&buf, 'c'), 0, "putc");
    is_int(buf_printf(&buf, "%d-%s", 42, "x"), 0, "printf");
    is_mem(buf.data, buf.len, "abc42-x", 7, "all in order, no terminator counted");
    buf_consume(&buf, 3);
    is_mem(buf.data, buf.len, "42-x", 4, "consume drops the front");
    buf_consume(&buf, 0);
    buf_consume(&buf, 4);
    is_int(buf.len, 0, "consume everything");
    buf_free(&buf);
    ok(buf.data == NULL && buf.cap == 0, "free leaves it empty");
    buf_consume(&buf, 0);
    buf_free(&buf);
}

static void test_growth(void)
{
    struct buf buf = {0};
    int wrong = 0;
    uint8_t *to;

    for (int i = 0; i < 100000; i++)
        wrong += buf_putc(&buf, (uint8_t)i) != 0;
    for (int i = 0; i < 100000; i++)
        wrong += buf.data[i] != (uint8_t)i;
    is_int(wrong, 0, "100000 bytes one by one");
    is_int(buf.len, 100000, "their count");
    ok(buf.cap >= buf.len && buf.cap < 4 * buf.len, "capacity keeps in step");
    to = buf_reserve(&buf, 5000);
    ok(to == buf.data + buf.len && buf.cap >= buf.len + 5000, "reserve");
    memset(to, 'x', 5000);
    buf.len += 5000;
    buf_reset(&buf);
    ok(buf.len == 0 && buf.data != NULL, "reset keeps the memory");
    is_int(buf_printf(&buf, "%0300d", 7), 0, "printf longer than most");
    is_int(buf.len, 300, "its length");
    buf_free(&buf);
}

/* vsnprintf() writes a terminator, for which there has to be room, too. */
static void test_exact(void)
{
    struct buf buf = {0};

    buf_putc(&buf, 'x');
    while (buf.len + 4 < buf.cap)
        buf_putc(&buf, 'x');
    is_int(buf_printf(&buf, "%s", "last"), 0, "printf of exactly what is left");
    ok(buf.cap > buf.len, "the terminator has its place");
    buf_free(&buf);
}

/* What has just room does not grow. */
static void test_full(void)
{
    struct buf buf = {0};
    uint8_t bytes[64] = {0};
    const uint8_t *data;

    ok(buf_reserve(&buf, 1) != NULL && buf.cap == 64, "64 bytes at first");
    is_int(buf_put(&buf, bytes, 63), 0, "63 of them");
    data = buf.data;
    is_int(buf_putc(&buf, 0), 0, "and the last");
    ok(buf.cap == 64 && buf.data == data && buf_reserve(&buf, 0) == data + 64,
       "are where they were");
    is_int(buf_putc(&buf, 0), 0, "one more");
    is_int(buf.cap, 128, "takes twice as many");
    buf_free(&buf);
}

static void test_failure(void)
{
    struct buf buf = {0};

    buf_puts(&buf, "kept");
    ok(buf_reserve(&buf, SIZE_MAX) == NULL, "SIZE_MAX does not fit");
    is_int(buf.failed, 1, "failed is set");
    is_int(buf_puts(&buf, "more"), -1, "puts after it are refused");
    is_int(buf_putc(&buf, 'm'), -1, "putc after it is refused");
    is_int(buf_printf(&buf, "%d", 1), -1, "printf after it is refused");
    ok(buf_reserve(&buf, 0) == NULL, "reserve after it is refused");
    is_mem(buf.data, buf.len, "kept", 4, "what was there stays");
    buf_reset(&buf);
    is_int(buf_puts(&buf, "again"), 0, "reset makes it work again");
    ok(buf_reserve(&buf, SIZE_MAX / 8) == NULL && buf.failed, "no memory for that much");
    is_mem(buf.data, buf.len, "again", 5, "what was there stays");
    buf_free(&buf);
    is_int(buf.failed, 0, "free clears failed");
}

/* What lies in several pieces; how much that was is known without memory, too. */
static void test_iov(void)
{
    struct iovec pieces[] = {{(char[]){"abc"}, 3}, {NULL, 0}, {(char[]){"defg"}, 4}};
    struct buf buf = {0};

    buf_puts(&buf, "-");
    is_int(buf_put_iov(&buf, pieces, 3), 7, "three pieces, one of them empty");
    is_mem(buf.data, buf.len, "-abcdefg", 8, "one after the other");
    is_int(buf_put_iov(&buf, pieces, 0), 0, "none");
    is_int(buf_put_iov(&buf, pieces, 1), 3, "the first alone");
    is_mem(buf.data, buf.len, "-abcdefgabc", 11, "is appended");
    (void)buf_reserve(&buf, SIZE_MAX);
    is_int(buf_put_iov(&buf, pieces, 3), 7, "their length, also when it has failed");
    is_int(buf.len, 11, "but nothing is put");
    buf_free(&buf);
}

int main(void)
{
    test_put();
    test_growth();
    test_exact();
    test_full();
    test_failure();
    test_iov();
    return tap_done();
}
