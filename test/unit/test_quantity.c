#include "base/quantity.h"

#include "tap.h"

#include <stdio.h>
#include <string.h>

#define NOTHING (-17)

struct sample {
    const char *text;
    enum quantity kind;
    enum quantity_result result;
    int64_t value;
};

static void test_samples(void)
{
    static const struct sample samples[] = {
        {"10s", QUANTITY_MS, QUANTITY_OK, 10000},
        {"250ms", QUANTITY_MS, QUANTITY_OK, 250},
        {"1m", QUANTITY_MS, QUANTITY_OK, 60000},
        {"1h", QUANTITY_MS, QUANTITY_OK, 3600000},
        {"1d", QUANTITY_MS, QUANTITY_OK, 86400000},
        {"0s", QUANTITY_MS, QUANTITY_OK, 0},
        {"0.5s", QUANTITY_MS, QUANTITY_OK, 500},
        {"1.5h", QUANTITY_MS, QUANTITY_OK, 5400000},
        {"0.001s", QUANTITY_MS, QUANTITY_OK, 1},
        {"0.0005s", QUANTITY_MS, QUANTITY_PART, NOTHING},
        {"1.000000000000000000000000000000s", QUANTITY_MS, QUANTITY_OK, 1000},
        {"0.0000000000000000000000000001d", QUANTITY_MS, QUANTITY_PART, NOTHING},
        {"1.000000000001d", QUANTITY_MS, QUANTITY_PART, NOTHING},
        {"99999999999999999999.5s", QUANTITY_MS, QUANTITY_LARGE, NOTHING},
        {"1.1234567890123456789012345s", QUANTITY_MS, QUANTITY_PART, NOTHING},
        {"0.3ms", QUANTITY_MS, QUANTITY_PART, NOTHING},
        {"2.0ms", QUANTITY_MS, QUANTITY_OK, 2},
        {"007s", QUANTITY_MS, QUANTITY_OK, 7000},
        {"9223372036854775807ms", QUANTITY_MS, QUANTITY_OK, INT64_MAX},
        {"9223372036854775808ms", QUANTITY_MS, QUANTITY_LARGE, NOTHING},
        {"18446744073709551616ms", QUANTITY_MS, QUANTITY_LARGE, NOTHING},
        {"9223372036854775807d", QUANTITY_MS, QUANTITY_LARGE, NOTHING},
        {"106751991167d", QUANTITY_MS, QUANTITY_OK, INT64_C(106751991167) * 86400000},
        {"106751991168d", QUANTITY_MS, QUANTITY_LARGE, NOTHING},
        {"10s", QUANTITY_S, QUANTITY_OK, 10},
        {"1d", QUANTITY_S, QUANTITY_OK, 86400},
        {"1.5m", QUANTITY_S, QUANTITY_OK, 90},
        {"2000ms", QUANTITY_S, QUANTITY_OK, 2},
        {"500ms", QUANTITY_S, QUANTITY_PART, NOTHING},
        {"0.5s", QUANTITY_S, QUANTITY_PART, NOTHING},
        {"64k", QUANTITY_BYTES, QUANTITY_OK, 65536},
        {"64kB", QUANTITY_BYTES, QUANTITY_OK, 65536},
        {"64kiB", QUANTITY_BYTES, QUANTITY_OK, 65536},
        {"64K", QUANTITY_BYTES, QUANTITY_OK, 65536},
        {"64KB", QUANTITY_BYTES, QUANTITY_OK, 65536},
        {"64KiB", QUANTITY_BYTES, QUANTITY_OK, 65536},
        {"1M", QUANTITY_BYTES, QUANTITY_OK, 1 << 20},
        {"1MB", QUANTITY_BYTES, QUANTITY_OK, 1 << 20},
        {"1MiB", QUANTITY_BYTES, QUANTITY_OK, 1 << 20},
        {"4G", QUANTITY_BYTES, QUANTITY_OK, INT64_C(4) << 30},
        {"4GiB", QUANTITY_BYTES, QUANTITY_OK, INT64_C(4) << 30},
        {"512B", QUANTITY_BYTES, QUANTITY_OK, 512},
        {"1.5k", QUANTITY_BYTES, QUANTITY_OK, 1536},
        {"0.1k", QUANTITY_BYTES, QUANTITY_PART, NOTHING},
        {"1.5B", QUANTITY_BYTES, QUANTITY_PART, NOTHING},
        {"64k", QUANTITY_MS, QUANTITY_OTHER, NOTHING},
        {"64B", QUANTITY_S, QUANTITY_OTHER, NOTHING},
        {"10s", QUANTITY_BYTES, QUANTITY_OTHER, NOTHING},
        {"1m", QUANTITY_BYTES, QUANTITY_OTHER, NOTHING},
        {"10k", QUANTITY_COUNT, QUANTITY_OTHER, NOTHING},
        {"10s", QUANTITY_COUNT, QUANTITY_OTHER, NOTHING},
        {"10", QUANTITY_MS, QUANTITY_BARE, 10},
        {"10", QUANTITY_COUNT, QUANTITY_BARE, 10},
        {"10.0", QUANTITY_S, QUANTITY_BARE, 10},
        {"10.5", QUANTITY_S, QUANTITY_PART, NOTHING},
        {"99999999999999999999", QUANTITY_BYTES, QUANTITY_LARGE, NOTHING},
        {"", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"10 s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {" 10s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"10s ", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"-10s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"+10s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"1e3s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"0x10s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {".5s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"5.s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"1,5s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"1.5.5s", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"1h30m", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"10sec", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"10S", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"1w", QUANTITY_MS, QUANTITY_BAD, NOTHING},
        {"1Mb", QUANTITY_BYTES, QUANTITY_BAD, NOTHING},
        {"1T", QUANTITY_BYTES, QUANTITY_BAD, NOTHING},
        {"1iB", QUANTITY_BYTES, QUANTITY_BAD, NOTHING},
        {"10 parsecs", QUANTITY_MS, QUANTITY_BAD, NOTHING},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *sample = &samples[i];
        int64_t value = NOTHING;
        char name[96];

        (void)snprintf(name, sizeof(name), "\"%s\", kind %d", sample->text, (int)sample->kind);
        is_int(quantity_parse(sample->text, strlen(sample->text), sample->kind, &value),
               sample->result, name);
        is_int(value, sample->value, "what comes out");
    }
}

/* Nothing behind the length is looked at, and a NUL is no end. */
static void test_length(void)
{
    int64_t value = NOTHING;

    is_int(quantity_parse("10sx", 3, QUANTITY_MS, &value), QUANTITY_OK, "the length counts");
    is_int(value, 10000, "and no byte behind it");
    is_int(quantity_parse("10s", 1, QUANTITY_MS, &value), QUANTITY_BARE, "a prefix is bare");
    is_int(value, 1, "as it is");
    is_int(quantity_parse("10s\0", 4, QUANTITY_MS, &value), QUANTITY_BAD, "a NUL is no unit");
    is_int(quantity_parse("1.5s", 2, QUANTITY_MS, &value), QUANTITY_BAD, "1. is no number");
}

/* Each number of milliseconds, written in seconds, comes out as it was. */
static void test_round(void)
{
    int wrong = 0;

    for (int64_t ms = 0; ms < 100000; ms++) {
        char text[32];
        int64_t value = NOTHING;

        (void)snprintf(text, sizeof(text), "%lld.%03llds", (long long)(ms / 1000),
                       (long long)(ms % 1000));
        wrong +=
            quantity_parse(text, strlen(text), QUANTITY_MS, &value) != QUANTITY_OK || value != ms;
    }
    is_int(wrong, 0, "a hundred thousand durations with a fraction are exact");
}

static void test_units(void)
{
    is_str(quantity_units(QUANTITY_MS), "ms, s, m, h or d", "units of milliseconds");
    is_str(quantity_units(QUANTITY_S), "ms, s, m, h or d", "of seconds");
    is_str(quantity_units(QUANTITY_BYTES), "B, k, M or G", "of bytes");
    is_str(quantity_units(QUANTITY_COUNT), "none", "of what is counted");
}

/* What more there is to say of one that is refused. */
static void test_faults(void)
{
    is_str(quantity_fault(QUANTITY_PART, QUANTITY_MS), ", which is no whole number of milliseconds",
           "a part of a millisecond");
    is_str(quantity_fault(QUANTITY_PART, QUANTITY_S), ", which is no whole number of seconds",
           "of a second");
    is_str(quantity_fault(QUANTITY_PART, QUANTITY_BYTES), ", which is no whole number of bytes",
           "of a byte");
    is_str(quantity_fault(QUANTITY_PART, QUANTITY_COUNT), ", which is no whole number",
           "of a thing");
    is_str(quantity_fault(QUANTITY_OTHER, QUANTITY_S), ", which has a unit of sizes", "a size");
    is_str(quantity_fault(QUANTITY_OTHER, QUANTITY_BYTES), ", which has a unit of time", "a time");
    is_str(quantity_fault(QUANTITY_OTHER, QUANTITY_COUNT), ", which has a unit", "any unit");
    is_str(quantity_fault(QUANTITY_BAD, QUANTITY_MS), "", "anything else");
    is_str(quantity_fault(QUANTITY_LARGE, QUANTITY_MS), "", "too much");
}

int main(void)
{
    test_samples();
    test_length();
    test_faults();
    test_round();
    test_units();
    return tap_done();
}
