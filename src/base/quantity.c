#include "base/quantity.h"

#include <string.h>

#define MS_S (UINT64_C(1000))
#define MS_M (60 * MS_S)
#define MS_H (60 * MS_M)
#define MS_D (24 * MS_H)

static const struct unit {
    const char *name;
    int is_size;
    uint64_t factor; /* bytes or milliseconds */
} units[] = {
    {"ms", 0, 1},        {"s", 0, MS_S},      {"m", 0, MS_M},      {"h", 0, MS_H},
    {"d", 0, MS_D},      {"B", 1, 1},         {"k", 1, 1 << 10},   {"kB", 1, 1 << 10},
    {"kiB", 1, 1 << 10}, {"K", 1, 1 << 10},   {"KB", 1, 1 << 10},  {"KiB", 1, 1 << 10},
    {"M", 1, 1 << 20},   {"MB", 1, 1 << 20},  {"MiB", 1, 1 << 20}, {"G", 1, 1 << 30},
    {"GB", 1, 1 << 30},  {"GiB", 1, 1 << 30},
};

/* digits / 10^places */
struct decimal_text {
    uint64_t digits;
    unsigned places;
    enum quantity_result fault; /* QUANTITY_OK: those are all the digits */
};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void add_digit(struct decimal_text *number, char digit, enum quantity_result fault)
{
    if (__builtin_mul_overflow(number->digits, UINT64_C(10), &number->digits) ||
        __builtin_add_overflow(number->digits, (uint64_t)(digit - '0'), &number->digits))
        number->fault = fault;
}

/* Returns the bytes that it has, or 0 if it is none.  Zeros at the end of a fraction say
 * nothing. */
static size_t read_number(const char *text, size_t len, struct decimal_text *number)
{
    size_t at = 0, end, last;

    *number = (struct decimal_text){0, 0, QUANTITY_OK};
    for (; at < len && is_digit(text[at]); at++)
        add_digit(number, text[at], QUANTITY_LARGE);
    if (at == 0 || at == len || text[at] != '.')
        return at;
    for (end = at + 1; end < len && is_digit(text[end]); end++)
        ;
    if (end == at + 1)
        return 0;
    for (last = end; last > at + 1 && text[last - 1] == '0'; last--)
        ;
    for (at++; at < last; at++, number->places++)
        if (number->fault == QUANTITY_OK)
            add_digit(number, text[at], QUANTITY_PART); /* so small a part is none of a unit */
    return end;
}

static const struct unit *find_unit(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
            return &units[i];
    return NULL;
}

/* The greatest common divisor; neither is 0. */
static uint64_t common(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* digits * factor / (10^places * per), if that is whole. */
static enum quantity_result scale(const struct decimal_text *number, uint64_t factor, uint64_t per,
                                  int64_t *value)
{
    uint64_t below = per, product, shared;

    if (number->fault != QUANTITY_OK)
        return number->fault;
    for (unsigned i = 0; i < number->places; i++)
        if (__builtin_mul_overflow(below, UINT64_C(10), &below))
            return QUANTITY_PART; /* the last digit is none that is 0 */
    shared = common(factor, below);
    factor /= shared;
    below /= shared;
    if (below > 1 && number->digits % below != 0)
        return QUANTITY_PART;
    product = below > 1 ? number->digits / below : number->digits;
    if (__builtin_mul_overflow(product, factor, &product) || product > INT64_MAX)
        return QUANTITY_LARGE;
    *value = (int64_t)product;
    return QUANTITY_OK;
}

enum quantity_result quantity_parse(const char *text, size_t len, enum quantity kind,
                                    int64_t *value)
{
    struct decimal_text number;
    size_t digits = read_number(text, len, &number);
    enum quantity_result result;
    const struct unit *unit;

    if (digits == 0)
        return QUANTITY_BAD;
    if (digits == len) {
        result = scale(&number, 1, 1, value);
        return result == QUANTITY_OK ? QUANTITY_BARE : result;
    }
    unit = find_unit(text + digits, len - digits);
    if (unit == NULL)
        return QUANTITY_BAD;
    if (kind == QUANTITY_COUNT || unit->is_size != (kind == QUANTITY_BYTES))
        return QUANTITY_OTHER;
    return scale(&number, unit->factor, kind == QUANTITY_S ? MS_S : 1, value);
}

const char *quantity_units(enum quantity kind)
{
    switch (kind) {
    case QUANTITY_MS:
    case QUANTITY_S:
        return "ms, s, m, h or d";
    case QUANTITY_BYTES:
        return "B, k, M or G";
    case QUANTITY_COUNT:
        break;
    }
    return "none";
}

static const char *part_of(enum quantity kind)
{
    switch (kind) {
    case QUANTITY_MS:
        return ", which is no whole number of milliseconds";
    case QUANTITY_S:
        return ", which is no whole number of seconds";
    case QUANTITY_BYTES:
        return ", which is no whole number of bytes";
    case QUANTITY_COUNT:
        break;
    }
    return ", which is no whole number";
}

const char *quantity_fault(enum quantity_result result, enum quantity kind)
{
    switch (result) {
    case QUANTITY_PART:
        return part_of(kind);
    case QUANTITY_OTHER:
        if (kind == QUANTITY_COUNT)
            return ", which has a unit";
        return kind == QUANTITY_BYTES ? ", which has a unit of time"
                                      : ", which has a unit of sizes";
    case QUANTITY_OK:
    case QUANTITY_BARE:
    case QUANTITY_BAD:
    case QUANTITY_LARGE:
        break;
    }
    return "";
}
