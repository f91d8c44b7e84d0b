#include "base/base64.h"
#include "tap.h"

static const struct {
    const char *plain, *standard, *url;
} pairs[] = {
    /* RFC 4648, section 10 */
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

static const char *const bad[] = {
    "A",        "=",    "==",   "===",   "====", "AB=",          "ABC==", "Zg===", "Zg=",
    "Z===",     "Zh==", "Zh",   "Zm9=",  "Zm9",  "Zg ==",        "Zg\n",  " Zg",   "Zm=9",
    "Zm9vYg=a", "+_AA", "-/AA", "Zm9v=", "Z*9v", "Zm9v\xc3\xa4", "AA=A",  "=AAA",
};

static void check_decode(const char *src, const char *want, long want_len)
{
    size_t len = strlen(src);
    unsigned char *guarded = tap_guard(src, len);
    unsigned char *dst = tap_guard(NULL, len * 3 / 4);
    long n = base64_decode(dst, (const char *)guarded, len);

    ok(n == want_len && (n <= 0 || memcmp(dst, want, (size_t)n) == 0), "decode %zu: \"%s\" -> %ld",
       len, want_len < 0 ? "(bad)" : src, n);
    tap_guard_free(dst, len * 3 / 4);
    tap_guard_free(guarded, len);
}

int main(void)
{
    uint8_t all[256], back[256];
    char text[400];
    int wrong = 0;

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        size_t n = strlen(pairs[i].plain);

        is_int(base64_encode(text, pairs[i].plain, n), BASE64_LEN(n), "length of base64");
        is_mem(text, BASE64_LEN(n), pairs[i].standard, strlen(pairs[i].standard), "base64");
        is_int(base64url_encode(text, pairs[i].plain, n), BASE64URL_LEN(n), "length of base64url");
        is_mem(text, BASE64URL_LEN(n), pairs[i].url, strlen(pairs[i].url), "base64url");
        check_decode(pairs[i].standard, pairs[i].plain, (long)n);
        check_decode(pairs[i].url, pairs[i].plain, (long)n);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_decode(bad[i], "", -1);
    is_int(base64_decode(back, "AA\0A", 4), -1, "NUL is not base64");
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const char *standard = pairs[i].standard, *url = pairs[i].url;
        long n = base64url_decode(back, url, strlen(url));

        is_mem(back, (size_t)n, pairs[i].plain, strlen(pairs[i].plain), "base64url alone");
        if (strcmp(standard, url) != 0)
            is_int(base64url_decode(back, standard, strlen(standard)), -1, "is not what is padded");
    }
    is_int(base64url_decode(back, "+/+/", 4), -1, "nor the other alphabet");
    is_int(base64url_decode(back, "Zh", 2), -1, "nor bits left over");

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)(i * 37);
    for (size_t n = 0; n <= sizeof(all); n++) {
        wrong += base64_decode(back, text, base64_encode(text, all, n)) != (long)n ||
                 memcmp(back, all, n) != 0;
        wrong += base64_decode(back, text, base64url_encode(text, all, n)) != (long)n ||
                 memcmp(back, all, n) != 0;
    }
    is_int(wrong, 0, "0 to 256 bytes there and back");
    return tap_done();
}
