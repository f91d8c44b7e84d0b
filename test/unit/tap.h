/* tap - the Test Anything Protocol, for one test program.
 *
 *     int main(void) { ok(1 + 1 == 2, "sum of %d and %d", 1, 1); ...; return tap_done(); }
 *
 * Every check prints one line and returns whether it passed.  tap_done() prints
 * the plan: a program that ends before it has failed. */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TAP_FN static __attribute__((unused))

static int tap_count, tap_failed;

/* Each checks once and names the check. */
#define ok(cond, ...) tap_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, name)                                                                    \
    tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, name)
#define is_str(got, want, name) tap_is_str(got, want, __FILE__, __LINE__, name)
#define is_mem(got, got_len, want, want_len, name)                                                 \
    tap_is_mem(got, got_len, want, want_len, __FILE__, __LINE__, name)

TAP_FN __attribute__((format(printf, 4, 5))) int tap_ok(int passed, const char *file, int line,
                                                        const char *fmt, ...)
{
    va_list args;

    /* Line by line, so that nothing is lost in a crash or doubled by a fork. */
    if (tap_count++ == 0)
        setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%sok %d - ", passed ? "" : "not ", tap_count);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    if (!passed) {
        tap_failed++;
        printf("#   at %s:%d\n", file, line);
    }
    return passed;
}

TAP_FN int tap_is_int(long long got, long long want, const char *file, int line, const char *name)
{
    if (!tap_ok(got == want, file, line, "%s", name))
        printf("#   got %lld, want %lld\n", got, want);
    return got == want;
}

TAP_FN void tap_show(const char *label, const void *bytes, size_t len)
{
    const unsigned char *at = (const unsigned char *)bytes;

    printf("#   %s", label);
    if (at == NULL) {
        printf("NULL\n");
        return;
    }
    printf("%zu bytes: ", len);
    for (size_t i = 0; i < len && i < 400; i++)
        printf(at[i] >= 0x20 && at[i] < 0x7f ? "%c" : "\\x%02x", at[i]);
    printf("\n");
}

TAP_FN int tap_is_mem(const void *got, size_t got_len, const void *want, size_t want_len,
                      const char *file, int line, const char *name)
{
    int same = got_len == want_len && (got_len == 0 || memcmp(got, want, got_len) == 0);

    if (!tap_ok(same, file, line, "%s", name)) {
        tap_show("got  ", got, got_len);
        tap_show("want ", want, want_len);
    }
    return same;
}

/* Either may be NULL; two NULLs are the same. */
TAP_FN int tap_is_str(const char *got, const char *want, const char *file, int line,
                      const char *name)
{
    int same = got == NULL || want == NULL ? got == want : strcmp(got, want) == 0;

    if (!tap_ok(same, file, line, "%s", name)) {
        tap_show("got  ", got, got ? strlen(got) : 0);
        tap_show("want ", want, want ? strlen(want) : 0);
    }
    return same;
}

/* Prints the plan.  Returns what main() returns. */
TAP_FN int tap_done(void)
{
    printf("1..%d\n", tap_count);
    if (tap_failed > 0)
        printf("# %d of %d failed\n", tap_failed, tap_count);
    fflush(stdout);
    return tap_failed > 0 || tap_count == 0;
}

TAP_FN size_t tap_guard_pages(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (n + page - 1) / page * page;
}

/* Copies the n bytes (n may be 0; zeros if bytes is NULL) to where a PROT_NONE
 * page begins right behind them, so that reading one too many ends the program.  tap_guard_free()
 * undoes it.  Never NULL. */
TAP_FN unsigned char *tap_guard(const void *bytes, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = tap_guard_pages(n);
    unsigned char *base = (unsigned char *)mmap(NULL, room + page, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE) != 0) {
        perror("tap_guard");
        abort();
    }
    if (bytes != NULL && n > 0)
        memcpy(base + room - n, bytes, n);
    return base + room - n;
}

/* p is what tap_guard() returned for n bytes. */
TAP_FN void tap_guard_free(unsigned char *p, size_t n)
{
    size_t room = tap_guard_pages(n);

    munmap(p + n - room, room + (size_t)sysconf(_SC_PAGESIZE));
}

#endif
