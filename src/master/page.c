#include "base/base64.h"
#include "base/buf.h"
#include "base/slice.h"
#include "master/admin_routes.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#define TYPE "text/html; charset=utf-8"

/* The file as it is; the Makefile knows that this depends on it. */
__asm__(".pushsection .rodata\n"
        "page_begin:\n"
        ".incbin \"src/master/page.html\"\n"
        "page_end:\n"
        ".popsection\n");
extern const char page_begin[] __attribute__((visibility("hidden")));
extern const char page_end[] __attribute__((visibility("hidden")));

static struct slice page(void)
{
    return (struct slice){page_begin, (size_t)((uintptr_t)page_end - (uintptr_t)page_begin)};
}

/* Appends the source expression that allows what is between begin and end, which are each once in
 * the page.  Returns 0 or -1. */
static int put_hash(struct buf *out, const char *begin, const char *end)
{
    struct slice all = page();
    const char *from = memmem(all.ptr, all.len, begin, strlen(begin)), *to;
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[BASE64_LEN(EVP_MAX_MD_SIZE)];
    unsigned len;

    if (from == NULL)
        return -1;
    from += strlen(begin);
    to = memmem(from, all.len - (size_t)(from - all.ptr), end, strlen(end));
    if (to == NULL || EVP_Digest(from, (size_t)(to - from), digest, &len, EVP_sha256(), NULL) != 1)
        return -1;
    return buf_printf(out, "'sha256-%.*s'", (int)base64_encode(text, digest, len), text);
}

/* Appends the lines that keep everything but the page's own script and style from running in it,
 * and everybody from framing it, and a \0. */
static int put_headers(struct buf *out)
{
    (void)buf_puts(out, "X-Frame-Options: DENY\r\n"
                        "Content-Security-Policy: default-src 'none'; script-src ");
    if (put_hash(out, "<script>", "</script>") < 0)
        return -1;
    (void)buf_puts(out, "; style-src ");
    if (put_hash(out, "<style>", "</style>") < 0)
        return -1;
    (void)buf_puts(out, "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                        "frame-ancestors 'none'; require-trusted-types-for 'script'; "
                        "trusted-types 'none'\r\n");
    return buf_putc(out, '\0');
}

void admin_page(const struct admin_call *call)
{
    struct buf headers = {0}, body = {0};

    if (put_headers(&headers) < 0 || buf_put(&body, page().ptr, page().len) < 0) {
        buf_free(&body);
        caller_refuse(call->caller, 500, NULL, NULL);
    } else {
        caller_answer(call->caller, 200, TYPE, (const char *)headers.data, &body);
    }
    buf_free(&headers);
}
