/* slice - borrowed bytes: a pointer into somebody else's memory and a length. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *ptr; /* not terminated; may be NULL when len is 0 */
    size_t len;      /* bytes */
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

static inline struct slice slice_str(const char *str)
{
    return (struct slice){str, strlen(str)};
}

static inline int slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The same in any case of ASCII letters. */
static inline int slice_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

/* The same of texts that are terminated; NULL is the same as NULL only. */
static inline int text_eq(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Takes prefix, in any case, off the front of text.  Returns 1, or 0 if it is not there. */
static inline int slice_skip_nocase(struct slice *text, struct slice prefix)
{
    if (text->len < prefix.len || !slice_eq_nocase((struct slice){text->ptr, prefix.len}, prefix))
        return 0;
    text->ptr += prefix.len;
    text->len -= prefix.len;
    return 1;
}

#endif
