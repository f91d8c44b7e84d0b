/* jsonc_lex - the text that jsonc.c makes a tree of: where reading has come to, comments,
 * strings, numbers, and what is wrong with them.  Private to jsonc.c. */
#ifndef CODEC_JSONC_LEX_H
#define CODEC_JSONC_LEX_H

#include "codec/jsonc.h"

#include <stddef.h>

struct lexer {
    const char *text;
    size_t len, pos;
    unsigned line;
    size_t line_start; /* offset of the current line's first byte */
    int depth;         /* of arrays and objects: the caller counts */
    struct jsonc_error *error;
};

/* The byte at pos, or -1 at the end. */
static inline int lex_peek(const struct lexer *lex)
{
    return lex->pos < lex->len ? (unsigned char)lex->text[lex->pos] : -1;
}

/* Fills the error; at is on the current line. */
__attribute__((format(printf, 3, 4))) void lex_fail(struct lexer *lex, size_t at, const char *fmt,
                                                    ...);
/* The same for what is at pos, which is named: "found X, wanted ...". */
void lex_fail_found(struct lexer *lex, const char *wanted);

/* Those below return 0, or -1 (NULL) with the error filled. */

/* Moves over white space and comments. */
int lex_skip(struct lexer *lex);
/* Moves over a number as RFC 8259 has it. */
int lex_number(struct lexer *lex);
/* Reads the string whose quote is at pos.  Returns it terminated, of *len bytes, for the
 * caller to free: it may be a secret. */
char *lex_string(struct lexer *lex, size_t *len);

#endif
