#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define CAP_MIN_BYTES 64
#define LEN_MAX_BYTES (SIZE_MAX / 4) /* doubling a capacity cannot overflow */

/* As realloc(), which may leave what it has moved. */
static uint8_t *resized(const struct buf *buf, size_t cap)
{
    uint8_t *data;

    if (!buf->secret || buf->data == NULL)
        return realloc(buf->data, cap);
    data = malloc(cap);
    if (data == NULL)
        return NULL;
    memcpy(data, buf->data, buf->len);
    explicit_bzero(buf->data, buf->cap);
    free(buf->data);
    return data;
}

uint8_t *buf_reserve(struct buf *buf, size_t n)
{
    size_t cap = buf->cap ? buf->cap : CAP_MIN_BYTES;
    uint8_t *data;

    if (buf->failed)
        return NULL;
    if (buf->data != NULL && n <= buf->cap - buf->len)
        return buf->data + buf->len;
    if (n > LEN_MAX_BYTES - buf->len)
        goto fail;
    while (cap < buf->len + n)
        cap *= 2;
    data = resized(buf, cap);
    if (data == NULL)
        goto fail;
    buf->data = data;
    buf->cap = cap;
    return data + buf->len;
fail:
    buf->failed = 1;
    return NULL;
}

int buf_put(struct buf *buf, const void *bytes, size_t n)
{
    uint8_t *to = buf_reserve(buf, n);

    if (to == NULL)
        return -1;
    if (n > 0)
        memcpy(to, bytes, n);
    buf->len += n;
    return 0;
}

int buf_putc(struct buf *buf, uint8_t byte)
{
    return buf_put(buf, &byte, 1);
}

int buf_puts(struct buf *buf, const char *str)
{
    return buf_put(buf, str, strlen(str));
}

int buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    uint8_t *to;
    int n;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        buf->failed = 1;
    to = buf_reserve(buf, (size_t)(n < 0 ? 0 : n) + 1); /* and the terminator */
    if (to == NULL)
        return -1;
    va_start(args, fmt);
    vsnprintf((char *)to, (size_t)n + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)n;
    return 0;
}

size_t buf_put_iov(struct buf *buf, const struct iovec *iov, int n)
{
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        buf_put(buf, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return len;
}

void buf_consume(struct buf *buf, size_t n)
{
    assert(n <= buf->len);
    if (n == 0)
        return;
    buf->len -= n;
    memmove(buf->data, buf->data + n, buf->len);
    if (buf->secret)
        explicit_bzero(buf->data + buf->len, n);
}

void buf_reset(struct buf *buf)
{
    if (buf->secret && buf->data != NULL)
        explicit_bzero(buf->data, buf->cap);
    buf->len = 0;
    buf->failed = 0;
}

void buf_free(struct buf *buf)
{
    if (buf->secret && buf->data != NULL)
        explicit_bzero(buf->data, buf->cap);
    free(buf->data);
    memset(buf, 0, sizeof(*buf));
}
