/* buf - a growing byte buffer.
 *
 * Zero-initialised is empty and valid.  When memory runs out the buffer keeps
 * what it has, sets failed and ignores further puts, so an encoder checks once,
 * at its end.
 *
 * Where secret is set, nothing that was in it stays behind in memory that was given
 * back, or is there to be used again. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct iovec;

struct buf {
    uint8_t *data;
    size_t len; /* bytes used */
    size_t cap; /* bytes allocated */
    int failed; /* a put did not fit; cleared by buf_reset and buf_free */
    int secret; /* set by its owner, before what is secret comes; cleared by buf_free */
};

/* Makes room for n more bytes.  Returns where they go, or NULL (failed is set).
 * The caller writes and then adds to len. */
uint8_t *buf_reserve(struct buf *buf, size_t n);

/* Append; each returns 0, or -1 with failed set. */
int buf_put(struct buf *buf, const void *bytes, size_t n);
int buf_putc(struct buf *buf, uint8_t byte);
int buf_puts(struct buf *buf, const char *str);
int buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends the bytes of n pieces.  Returns how many they are, also without memory (failed
 * is set then). */
size_t buf_put_iov(struct buf *buf, const struct iovec *iov, int n);

/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *buf, size_t n);

/* len = 0, failed = 0; memory stays. */
void buf_reset(struct buf *buf);

/* Frees the memory; the struct is empty and valid again. */
void buf_free(struct buf *buf);

#endif
