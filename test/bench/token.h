/* token - JSON Web Tokens as a backend makes them, for the benchmark's users. */
#ifndef BENCH_TOKEN_H
#define BENCH_TOKEN_H

#include <stddef.h>

#define TOKEN_CAP 512 /* bytes that hold one */

/* Writes an HS256 token for uid (at most 63 bytes), good for two hours.  Returns its length. */
size_t token_make(char dst[TOKEN_CAP], const char *secret, const char *uid);

#endif
