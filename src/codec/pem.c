#include "codec/pem.h"

#include <openssl/evp.h>
#include <string.h>

static const char begin[] = "-----BEGIN ", end[] = "-----END ", dashes[] = "-----";

#define LEN(text) (sizeof(text) - 1)

/* The line that text begins with, without its end; text is what follows. */
static struct slice line_of(struct slice *text)
{
    const char *newline = memchr(text->ptr, '\n', text->len);
    struct slice line = {text->ptr, newline != NULL ? (size_t)(newline - text->ptr) : text->len};
    size_t n = line.len + (newline != NULL);

    text->ptr += n;
    text->len -= n;
    while (line.len > 0 && strchr("\r \t", line.ptr[line.len - 1]) != NULL)
        line.len--;
    return line;
}

/* The label of a line that is mark, label and dashes.  Returns 0, or -1 if it is none. */
static int label_of(struct slice line, const char *mark, size_t len, struct slice *label)
{
    if (line.len < len + LEN(dashes) || memcmp(line.ptr, mark, len) != 0 ||
        memcmp(line.ptr + line.len - LEN(dashes), dashes, LEN(dashes)) != 0)
        return -1;
    *label = (struct slice){line.ptr + len, line.len - len - LEN(dashes)};
    return 0;
}

int pem_next(struct slice *text, struct pem_block *block)
{
    struct slice line = {NULL, 0}, label;

    while (text->len > 0) {
        line = line_of(text);
        if (label_of(line, begin, LEN(begin), &block->label) == 0)
            break;
        line.ptr = NULL;
    }
    if (line.ptr == NULL)
        return 0;
    block->whole.ptr = line.ptr;
    block->body.ptr = text->ptr;
    while (text->len > 0) {
        line = line_of(text);
        if (label_of(line, end, LEN(end), &label) < 0)
            continue;
        block->body.len = (size_t)(line.ptr - block->body.ptr);
        block->whole.len = (size_t)(line.ptr + line.len - block->whole.ptr);
        return slice_eq(label, block->label) ? 1 : -1;
    }
    return -1;
}

int pem_is_encrypted(const struct pem_block *block)
{
    static const char mark[] = "ENCRYPTED", header[] = "Proc-Type:";
    struct slice body = block->body, first = line_of(&body);

    return first.len >= LEN(header) && memcmp(first.ptr, header, LEN(header)) == 0 &&
           memmem(first.ptr, first.len, mark, LEN(mark)) != NULL;
}

int pem_decode(const struct pem_block *block, struct buf *der)
{
    struct buf text = {.secret = 1};
    struct slice body = block->body;
    size_t padding = 0;
    uint8_t *at;
    int n = -1;

    while (body.len > 0) {
        struct slice line = line_of(&body);
        (void)buf_put(&text, line.ptr, line.len);
    }
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    at = text.failed || text.len == 0 ? NULL : buf_reserve(der, text.len / 4 * 3 + 3);
    /* It would skip blanks, and take '=' for a letter. */
    if (at != NULL && text.len % 4 == 0 && memchr(text.data, ' ', text.len) == NULL &&
        memchr(text.data, '=', text.len - padding) == NULL)
        n = EVP_DecodeBlock(at, text.data, (int)text.len);
    if (n >= 0)
        der->len += (size_t)n - padding;
    if (text.failed)
        der->failed = 1;
    buf_free(&text);
    return n > 0 ? 0 : -1;
}
