#include "codec/jwt.h"

#include "jwt_make.h"
#include "jwt_sign.h"
#include "tap.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define HEADER "{\"alg\":\"HS256\"}"

/* --- its three parts ---------------------------------------------------------- */

static int splits(const char *text, size_t len)
{
    unsigned char *guarded = tap_guard(text, len);
    struct jwt_parts parts = {0};
    int result = jwt_parts_split(&parts, (char *)guarded, len);

    if (result != 0 && errno == ENOMEM)
        abort();
    jwt_parts_clear(&parts);
    tap_guard_free(guarded, len);
    return result == 0;
}

static void test_split(void)
{
    static const char *const bad[] = {"",
                                      ".",
                                      "e30",
                                      "e30.e30",
                                      "e30.e30.AA.AA",
                                      "...",
                                      "e30=.e30.AA",
                                      "e30.e3+.AA",
                                      "e30.e3/.AA",
                                      "e30.e30.A",
                                      "e30.e30.AB",
                                      "e31.e30.AA",
                                      "e30.e30.AA\n",
                                      " e30.e30.AA",
                                      "AA.e30.AA",
                                      "e30.e30AA.AA"};
    struct jwt_parts parts = {0};

    is_int(jwt_parts_split(&parts, "eyJhIjoxfQ.e30.-_8", 18), 0, "three segments");
    is_mem(parts.text.ptr, parts.text.len, "eyJhIjoxfQ.e30", 14, "what is signed");
    is_mem(parts.header.ptr, parts.header.len, "{\"a\":1}", 7, "the header");
    is_str(parts.claims.ptr, "{}", "the claims, terminated");
    is_mem(parts.signature.ptr, parts.signature.len, "\xfb\xff", 2, "the signature");
    jwt_parts_clear(&parts);
    ok(splits("..", 2), "three empty ones");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ok(!splits(bad[i], strlen(bad[i])), "refused: %s", bad[i]);
    ok(!splits("e30.e30.AA\0", 11), "NUL behind it");
}

static void test_longest(void)
{
    char *text = malloc(JWT_BYTES_MAX + 4);

    memset(text, 'A', JWT_BYTES_MAX + 4);
    memcpy(text, "e30.e30.", 8);
    ok(splits(text, JWT_BYTES_MAX), "the longest");
    ok(!splits(text, JWT_BYTES_MAX + 4), "a longer one");
    free(text);
}

/* --- what is in them ---------------------------------------------------------- */

/* Splits the token that has these two. */
static void split(struct jwt_parts *parts, const char *header, const char *claims)
{
    memset(parts, 0, sizeof(*parts));
    put_text(header, claims, strlen(claims));
    buf_puts(&token, ".AA");
    if (jwt_parts_split(parts, (char *)token.data, token.len) != 0)
        abort();
}

/* The same, and reads them; 1 if both are good. */
static int reads(struct jwt_parts *parts, const char *header, const char *claims)
{
    split(parts, header, claims);
    return jwt_parts_read_header(parts) == 0 && jwt_parts_read_claims(parts) == 0;
}

static void test_strict(void)
{
    static const char *const good[] = {"{}",
                                       " {\t\r\n} ",
                                       "{\"\":1}",
                                       "{\"a\":[{\"b\":[]}],\"b\":-0.5e-3}",
                                       "{\"a\":\"\\ud83d\\ude00\xf0\x9f\x98\x80\"}",
                                       "{\"a\":9223372036854775807}",
                                       "{\"a\":{\"b\":1},\"c\":{\"b\":1}}",
                                       "{\"a\":1e308,\"A\":1}"};
    static const char *const bad[] = {"",
                                      "[]",
                                      "1",
                                      "\"a\"",
                                      "null",
                                      "{} x",
                                      "{}{}",
                                      "{",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{\"a\":01}",
                                      "{\"a\":1.}",
                                      "{\"a\":.5}",
                                      "{\"a\":+1}",
                                      "{\"a\":NaN}",
                                      "{\"a\":Infinity}",
                                      "{\"a\":1e999}",
                                      "{\"a\":9223372036854775808}",
                                      "{\"a\":1,\"a\":1}",
                                      "{\"a\":1,\"\\u0061\":2}",
                                      "{\"a\":{\"b\":1,\"b\":1}}",
                                      "{\"a\":[[{\"b\":1,\"b\":1}]]}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\\u0000\":1}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\\udc00\"}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"\xed\xa0\x80\"}",
                                      "{\"a\":\"\xc0\x80\"}",
                                      "{\"a\":\"\n\"}",
                                      "\xef\xbb\xbf{}",
                                      "{}//",
                                      "/**/{}"};
    struct jwt_parts parts;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ok(reads(&parts, HEADER, good[i]), "claims: %s", good[i]);
        jwt_parts_clear(&parts);
        ok(reads(&parts, good[i], "{}"), "header: %s", good[i]);
        jwt_parts_clear(&parts);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(!reads(&parts, HEADER, bad[i]) && errno != ENOMEM, "no claims: %s", bad[i]);
        jwt_parts_clear(&parts);
        ok(!reads(&parts, bad[i], "{}") && errno != ENOMEM, "no header: %s", bad[i]);
        jwt_parts_clear(&parts);
    }
}

static void test_members(void)
{
    struct jwt_parts parts;
    int there = -1;

    ok(reads(&parts, "{\"kid\":\"\\u00e9\",\"typ\":5}",
             "{\"s\":\"a\\\"b\",\"n\":null,\"i\":-17,\"f\":2.0,\"e\":1e3,"
             "\"o\" : { \"b\" : 1 , \"a\" : [ \"x\" ] }}"),
       "members of every kind");
    is_str(jwt_parts_header(&parts, "kid", &there), "\xc3\xa9", "a string of the header");
    is_int(there, 1, "is there");
    ok(jwt_parts_header(&parts, "typ", &there) == NULL && there == 1, "a number is no string");
    ok(jwt_parts_header(&parts, "alg", &there) == NULL && there == 0, "nothing");
    ok(jwt_parts_header(&parts, "s", &there) == NULL && there == 0, "a claim is not in the header");
    is_str(jwt_parts_claim(&parts, "s", NULL), "a\"b", "a claim that is a string");
    ok(jwt_parts_claim(&parts, "n", &there) == NULL && there == 1, "null is no string");
    ok(jwt_parts_claim(&parts, "S", &there) == NULL && there == 0, "names have a case");
    is_str(jwt_parts_claim_json(&parts, "s"), "\"a\\\"b\"", "JSON of a string");
    is_str(jwt_parts_claim_json(&parts, "i"), "-17", "of an integer");
    is_str(jwt_parts_claim_json(&parts, "f"), "2.0", "of what is no integer");
    is_str(jwt_parts_claim_json(&parts, "e"), "1000.0", "of another");
    is_str(jwt_parts_claim_json(&parts, "n"), "null", "of null");
    is_str(jwt_parts_claim_json(&parts, "o"), "{\"a\":[\"x\"],\"b\":1}", "of an object");
    ok(jwt_parts_claim_json(&parts, "x") == NULL, "of nothing");
    jwt_parts_clear(&parts);
}

/* --- memory ------------------------------------------------------------------- */

/* n times text in the claim "a". */
static void repeat(struct buf *out, const char *open, const char *text, size_t n, const char *close)
{
    buf_reset(out);
    buf_printf(out, "{\"a\":%s", open);
    for (size_t i = 0; i < n; i++)
        buf_puts(out, text);
    buf_printf(out, "%s}", close);
    buf_putc(out, '\0');
}

static void test_deep(void)
{
    struct buf claims = {0};
    struct jwt_parts parts;

    for (size_t n = 2046; n <= 20000; n += 17954) {
        repeat(&claims, "", "[", n, "");
        claims.len -= 2;
        for (size_t i = 0; i < n; i++)
            buf_putc(&claims, ']');
        buf_puts(&claims, "}");
        buf_putc(&claims, '\0');
        is_int(reads(&parts, HEADER, (char *)claims.data), n == 2046, "nested arrays");
        if (n == 2046)
            is_int(strlen(jwt_parts_claim_json(&parts, "a")), 2 * n, "and as JSON");
        jwt_parts_clear(&parts);
    }
    buf_free(&claims);
}

/* Whatever takes most memory for its bytes has it, as does who is next. */
static void test_wide(void)
{
    static const char *const texts[] = {"{},",         "[],",  "1,",        "\"\",",
                                        "{\"a\":{}},", "1e9,", "{\"\":[]},"};
    struct buf claims = {0};
    struct jwt_parts parts;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        repeat(&claims, "[", texts[i], 49000 / strlen(texts[i]), "0]");
        ok(reads(&parts, HEADER, (char *)claims.data), "49 KB of %s", texts[i]);
        ok(jwt_parts_claim_json(&parts, "a") != NULL, "and as JSON");
        jwt_parts_clear(&parts);
    }
    buf_free(&claims);
}

/* libjwt's JSON neither needs memory that may not be there, nor leaves anything. */
static void test_arena(void)
{
    struct jwt_parts parts;
    size_t before;
    const char *text;

    split(&parts, HEADER, "{\"a\":\"nobody else has it\",\"b\":{\"c\":[1,2,3]}}");
    before = mallinfo2().uordblks;
    ok(jwt_parts_read_header(&parts) == 0 && jwt_parts_read_claims(&parts) == 0, "read");
    ok(jwt_parts_claim_json(&parts, "b") != NULL, "... and written");
    ok(mallinfo2().uordblks - before < 256, "with its own memory, but for a few bytes");
    text = jwt_parts_claim(&parts, "a", NULL);
    is_str(text, "nobody else has it", "it is in there");
    jwt_parts_clear(&parts);
    is_str(text, "", "and afterwards it is not");
}

/* --- system calls ------------------------------------------------------------- */

/* A sanitizer and valgrind make system calls of their own in our name. */
static int is_instrumented(void)
{
    const char *preload = getenv("LD_PRELOAD");

#if defined(__SANITIZE_ADDRESS__)
    return 1;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return 1;
#endif
#endif
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

/* Whatever a token needs of the system it has after jwt_parts_prepare(): the first one
 * is read where there is no call but read, write and exit. */
static void test_calls(void)
{
    struct jwt_parts parts;
    int status = 0;
    pid_t pid;

    if (is_instrumented()) {
        ok(1, "instrumented # SKIP makes system calls of its own");
        return;
    }
    pid = fork();
    if (pid == 0) {
        jwt_parts_prepare();
        split(&parts, HEADER, "{\"uid\":\"u\",\"exp\":1.5e9}");
        free(malloc(100000)); /* glibc has what it takes, too */
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
            syscall(SYS_exit, 99);
        status = jwt_parts_read_header(&parts) == 0 && jwt_parts_read_claims(&parts) == 0 &&
                 jwt_parts_claim_json(&parts, "exp") != NULL;
        jwt_parts_clear(&parts);
        syscall(SYS_exit, status ? 0 : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
        ok(1, "no seccomp here # SKIP");
    else
        is_int(status, 0, "a token is read without a system call");
}

/* --- what libjwt makes -------------------------------------------------------- */

static void test_encoded(void)
{
    char *text =
        jwt_encoded(JWT_ALG_HS256, JWT_SECRET, JWT_SECRET_LEN, "{\"uid\":\"u\",\"exp\":17}");
    struct jwt_parts parts = {0};

    is_int(jwt_parts_split(&parts, text, strlen(text)), 0, "a token of libjwt's");
    is_int(parts.signature.len, 32, "its signature");
    ok(jwt_parts_read_header(&parts) == 0 && jwt_parts_read_claims(&parts) == 0, "is read");
    is_str(jwt_parts_header(&parts, "alg", NULL), "HS256", "its algorithm");
    is_str(jwt_parts_claim(&parts, "uid", NULL), "u", "its claim");
    jwt_parts_clear(&parts);
    free(text);
}

int main(void)
{
    test_calls(); /* first: nothing has been read */
    test_split();
    test_longest();
    test_strict();
    test_members();
    test_deep();
    test_wide();
    test_arena();
    test_encoded();
    buf_free(&token);
    return tap_done();
}
