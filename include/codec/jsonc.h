/* jsonc - JSON (RFC 8259) with comments, read into a tree whose values and keys
 * know their line.
 *
 * Comments run from two slashes to the end of the line, or from slash and star
 * to star and slash; what is inside them is not looked at.  A byte order mark
 * before the text is skipped.  Stricter than JSON asks for, since a person wrote
 * it: a name that is there twice in one object, a NUL (\u0000), half a surrogate
 * pair, invalid UTF-8, and a number outside the range of a double are errors. */
#ifndef CODEC_JSONC_H
#define CODEC_JSONC_H

#include <stddef.h>

#define JSONC_DEPTH_MAX   64   /* arrays and objects within each other */
#define JSONC_MEMBERS_MAX 1024 /* of one object */

enum jsonc_type {
    JSONC_NULL,
    JSONC_FALSE,
    JSONC_TRUE,
    JSONC_NUMBER,
    JSONC_STRING,
    JSONC_ARRAY,
    JSONC_OBJECT,
};

struct jsonc {
    enum jsonc_type type;
    unsigned line;     /* where the value begins, from 1 */
    unsigned key_line; /* where the key begins; 0 if it is no member of an object */
    char *key;         /* terminated, holds no NUL; or NULL */
    char *text;        /* string: its value; number: as written; terminated */
    size_t len;        /* bytes of text */
    double number;
    struct jsonc *first; /* array or object: its elements, in order */
    struct jsonc *next;  /* the one after it in the same array or object */
    size_t count;        /* elements */
};

struct jsonc_error {
    unsigned line, column; /* from 1; a column is a character, not a byte */
    int blank;             /* there was nothing but white space and comments */
    char text[200];        /* what was found and what was wanted */
};

/* Reads len bytes, which need not be terminated.  Returns the tree, or NULL and
 * fills *error.  No more of the text than one character gets into the error:
 * the value may have been a password. */
struct jsonc *jsonc_parse(const char *text, size_t len, struct jsonc_error *error);

/* Frees *node with all below it and sets it to NULL; strings are overwritten. */
void jsonc_free(struct jsonc **node);

/* The member of that name, or NULL (also where object is none). */
const struct jsonc *jsonc_member(const struct jsonc *object, const char *name);

#endif
