/* Blocks of PEM: found wherever they are, and cut off wherever that may be. */
#include "codec/pem.h"

#include "tap.h"

#include <sys/mman.h>

static const char text[] = "some words\n"
                           "-----BEGIN ONE-----\n"
                           "AAEC\n"
                           "AwQ=\n"
                           "-----END ONE-----\n"
                           "\tbetween -----BEGIN NONE-----\n"
                           "-----BEGIN RSA PRIVATE KEY-----\r\n"
                           "Proc-Type: 4,ENCRYPTED\r\n"
                           "\r\n"
                           "BQYH\r\n"
                           "-----END RSA PRIVATE KEY-----";

static int is_label(const struct pem_block *block, const char *label)
{
    return slice_eq(block->label, slice_str(label));
}

static void test_blocks(void)
{
    struct slice rest = slice_str(text);
    struct pem_block block;
    struct buf der = {0};

    is_int(pem_next(&rest, &block), 1, "the first");
    ok(is_label(&block, "ONE"), "its label");
    ok(strncmp(block.whole.ptr, "-----BEGIN ONE", 14) == 0 && block.whole.len == 47,
       "from its first dash to its last: %zu", block.whole.len);
    is_int(pem_is_encrypted(&block), 0, "in plain");
    is_int(pem_decode(&block, &der), 0, "decoded");
    is_mem(der.data, der.len, "\0\1\2\3\4", 5, "its bytes");
    is_int(pem_next(&rest, &block), 1, "the second, whose lines end as those of Windows");
    ok(is_label(&block, "RSA PRIVATE KEY"), "its label");
    is_int(pem_is_encrypted(&block), 1, "encrypted");
    buf_reset(&der);
    is_int(pem_decode(&block, &der), -1, "a header is no base64");
    is_int(pem_next(&rest, &block), 0, "and no more");
    is_int(pem_next(&rest, &block), 0, "again");
    buf_free(&der);
}

static void test_cut(void)
{
    const char *at = strstr(text, "-----BEGIN ONE"), *end = strstr(text, "-----END ONE-----");

    for (const char *cut = at; cut < end + 17; cut++) {
        struct slice rest = {text, (size_t)(cut - text)};
        struct pem_block block;
        int want = cut < at + 19 ? 0 : -1, got = pem_next(&rest, &block);

        if (got != want)
            ok(0, "cut after %zu bytes: %d", rest.len, got);
    }
    ok(1, "cut off within");
}

static int decode(const char *body, struct buf *der)
{
    struct pem_block block = {.body = slice_str(body)};

    buf_reset(der);
    return pem_decode(&block, der);
}

static void test_body(void)
{
    struct buf der = {0};

    is_int(decode("", &der), -1, "nothing");
    is_int(decode("AAA", &der), -1, "a part of four");
    is_int(decode("AA=A", &der), -1, "padding within");
    is_int(decode("A A=", &der), -1, "a blank within");
    is_int(decode("AA==\nAA==", &der), -1, "padding in a line before the last");
    is_int(decode("AB*=", &der), -1, "another letter");
    is_int(decode("AA==", &der), 0, "one byte");
    is_int((long)der.len, 1, "is one");
    is_int(decode("AAECAw==\n\n", &der), 0, "an empty line behind it");
    is_int((long)der.len, 4, "is nothing");
    buf_free(&der);
}

static void test_mismatch(void)
{
    struct slice rest = slice_str("-----BEGIN A-----\nAAAA\n-----END B-----\n");
    struct pem_block block;

    is_int(pem_next(&rest, &block), -1, "an end of another label is the end of none");
}

/* Nothing behind the text is read. */
static void test_edge(void)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t len = sizeof(text) - 1;

    (void)mprotect(page + 4096, 4096, PROT_NONE);
    for (size_t n = 0; n <= len; n++) {
        struct slice rest = {page + 4096 - n, n};
        struct pem_block block;
        struct buf der = {0};

        memcpy(page + 4096 - n, text, n);
        while (pem_next(&rest, &block) > 0)
            (void)pem_decode(&block, &der);
        buf_free(&der);
    }
    ok(1, "each prefix before a page that cannot be read");
    munmap(page, 8192);
}

int main(void)
{
    test_blocks();
    test_cut();
    test_body();
    test_mismatch();
    test_edge();
    return tap_done();
}
