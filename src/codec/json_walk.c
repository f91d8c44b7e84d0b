#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

static void skip_space(struct json_walk *walk)
{
    while (walk->at < walk->end &&
           (*walk->at == ' ' || *walk->at == '\t' || *walk->at == '\n' || *walk->at == '\r'))
        walk->at++;
}

/* The value that walk is at or before; it moves behind it and the white space there. */
static struct slice take_value(struct json_walk *walk)
{
    struct slice value;

    skip_space(walk);
    value = (struct slice){walk->at, 0};
    value.len = (size_t)json_span(walk->at, (size_t)(walk->end - walk->at));
    walk->at += value.len;
    skip_space(walk);
    return value;
}

struct json_walk json_walk(struct slice text)
{
    struct json_walk walk = {text.ptr + 1, text.ptr + text.len};

    skip_space(&walk);
    return walk;
}

static int is_over(const struct json_walk *walk)
{
    return walk->at >= walk->end || *walk->at == '}' || *walk->at == ']';
}

int json_walk_element(struct json_walk *walk, struct slice *value)
{
    if (is_over(walk))
        return 0;
    *value = take_value(walk);
    if (walk->at < walk->end && *walk->at == ',')
        walk->at++;
    return 1;
}

int json_walk_member(struct json_walk *walk, struct slice *key, struct slice *value)
{
    if (is_over(walk))
        return 0;
    *key = take_value(walk);
    walk->at++; /* the colon */
    return json_walk_element(walk, value);
}

/* The four hexadecimal digits at at, which have been checked. */
static unsigned hex4(const char *at)
{
    char digits[5] = {at[0], at[1], at[2], at[3], 0};

    return (unsigned)strtoul(digits, NULL, 16);
}

int json_key_is(struct slice raw, const char *key)
{
    const char *at = raw.ptr + 1, *end = raw.ptr + raw.len - 1;

    for (; at < end && *key != '\0'; key++) {
        if (*at != '\\') {
            if (*at++ != *key)
                return 0;
        } else if (at[1] == 'u' && hex4(at + 2) == (unsigned char)*key) {
            at += 6;
        } else { /* no other escape stands for a letter */
            return 0;
        }
    }
    return at == end && *key == '\0';
}
