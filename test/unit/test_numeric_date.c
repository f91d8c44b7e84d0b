#include "codec/numeric_date.h"

#include "tap.h"

static void test_good(void)
{
    static const struct {
        const char *json;
        int64_t ms;
        enum numeric_date form;
    } cases[] = {
        {"0", 0, NUMERIC_DATE_FINE},
        {"-0.0", 0, NUMERIC_DATE_FINE},
        {"0e9999999999", 0, NUMERIC_DATE_FINE},
        {"1700000000", 1700000000000, NUMERIC_DATE_FINE},
        {"1700000000.5", 1700000000500, NUMERIC_DATE_FINE},
        {"1700000000.0", 1700000000000, NUMERIC_DATE_FINE},
        {"1.7e9", 1700000000000, NUMERIC_DATE_FINE},
        {"1.7E+9", 1700000000000, NUMERIC_DATE_FINE},
        {"17e8", 1700000000000, NUMERIC_DATE_FINE},
        {"1700000000e0", 1700000000000, NUMERIC_DATE_FINE},
        {"17000000000000e-4", 1700000000000, NUMERIC_DATE_FINE},
        {"1700000000.001", 1700000000001, NUMERIC_DATE_FINE},
        {"1700000000.0030000001", 1700000000003, NUMERIC_DATE_FINE},
        {"1700000000.0001", 1700000000001, NUMERIC_DATE_FINE},
        {"1700000000.0011", 1700000000002, NUMERIC_DATE_FINE},
        {"1700000000.999999", 1700000001000, NUMERIC_DATE_FINE},
        {"1e-300", 1, NUMERIC_DATE_FINE},
        {"1e-99999999999", 0, NUMERIC_DATE_FINE},
        {"-1", -1000, NUMERIC_DATE_FINE},
        {"-0.0001", 0, NUMERIC_DATE_FINE},
        {"-1.0019", -1001, NUMERIC_DATE_FINE},
        {"-1e-300", 0, NUMERIC_DATE_FINE},
        {"-9007199254740992", -9007199254740992000, NUMERIC_DATE_FINE},
        {"32503680000", 32503680000000, NUMERIC_DATE_FINE},
        {"32503680000.001", 32503680000001, NUMERIC_DATE_FAR},
        {"253402300799", 253402300799000, NUMERIC_DATE_FAR},
        {"999999999999", 999999999999000, NUMERIC_DATE_FAR},
        {"999999999999.9995", 1000000000000, NUMERIC_DATE_MS},
        {"1000000000000", 1000000000000, NUMERIC_DATE_MS},
        {"1795386700123", 1795386700123, NUMERIC_DATE_MS},
        {"1795386700123.25", 1795386700124, NUMERIC_DATE_MS},
        {"1.795386700123e12", 1795386700123, NUMERIC_DATE_MS},
        {"9007199254740992", 9007199254740992, NUMERIC_DATE_MS},
        {"9.007199254740992e15", 9007199254740992, NUMERIC_DATE_MS},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -17;

        is_int(numeric_date_parse(cases[i].json, &ms), cases[i].form, cases[i].json);
        is_int(ms, cases[i].ms, "in milliseconds");
    }
}

/* A double is not what was written: the one nearest to .003 is above it.  The way it goes
 * through libjwt, with 17 digits. */
static void test_each(void)
{
    int wrong = 0;

    for (int i = 0; i < 1000; i++) {
        char text[64];
        int64_t ms = 0;

        snprintf(text, sizeof(text), "1700000000.%03d", i);
        snprintf(text, sizeof(text), "%.17g%s", strtod(text, NULL), i == 0 ? ".0" : "");
        wrong += numeric_date_parse(text, &ms) != NUMERIC_DATE_FINE || ms != 1700000000000 + i;
    }
    is_int(wrong, 0, "each millisecond of a second");
}

static void test_bad(void)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "e1",
                                      "1 ",
                                      " 1",
                                      "1x",
                                      "--1",
                                      "0x10",
                                      "1,5",
                                      "\"1700000000\"",
                                      "null",
                                      "true",
                                      "[1700000000]",
                                      "{}",
                                      "NaN",
                                      "Infinity",
                                      "-Infinity",
                                      "nan",
                                      "inf",
                                      "9007199254740993",
                                      "-9007199254740993",
                                      "9.1e15",
                                      "-9.1e15",
                                      "1e400",
                                      "1e99999999999",
                                      "18446744073709551616",
                                      "18446744073710551616",
                                      "1e19",
                                      "1e20",
                                      "9223372036854775807",
                                      "99999999999999999999999999999999"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ms = 0;

        is_int(numeric_date_parse(bad[i], &ms), NUMERIC_DATE_BAD, bad[i]);
    }
}

int main(void)
{
    test_good();
    test_each();
    test_bad();
    return tap_done();
}
