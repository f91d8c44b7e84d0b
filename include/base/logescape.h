/* logescape - bytes from outside, as the log and messages show them. */
#ifndef BASE_LOGESCAPE_H
#define BASE_LOGESCAPE_H

#include <stddef.h>

/* Writes len bytes as printable ASCII into dst (always terminated): \xNN for
 * controls, non-ASCII and the backslash; cut with "..." where cap is too
 * small.  Returns dst. */
const char *log_escape(char *dst, size_t cap, const void *bytes, size_t len);

/* The same for the value of "key=value": the space and the quote are escaped too, so
 * that nothing in it looks like the next key. */
const char *log_word(char *dst, size_t cap, const void *bytes, size_t len);

#endif
