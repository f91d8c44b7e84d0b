/* token_rooms - the rooms that a claim of a token names (codec/token.h), each once, in one
 * piece of memory. */
#ifndef CODEC_TOKEN_ROOMS_H
#define CODEC_TOKEN_ROOMS_H

#include "base/slice.h"

#include <stddef.h>

#define TOKEN_ROOM_MAX 1024 /* bytes of a room's name */

struct cJSON;
struct token_rooms; /* NULL is none of them, everywhere */

/* value, the claim, has to be a string, or an array of max strings at most, each of 1 to
 * TOKEN_ROOM_MAX bytes.  *rooms is NULL for an empty array, else to be freed.  Returns 0, or
 * -1 if it is anything else or, with errno ENOMEM, there is no memory. */
int token_rooms_make(struct token_rooms **rooms, const struct cJSON *value, size_t max);

/* Frees them and sets *rooms to NULL. */
void token_rooms_free(struct token_rooms **rooms);

size_t token_rooms_count(const struct token_rooms *rooms);

int token_rooms_equal(const struct token_rooms *a, const struct token_rooms *b);

/* Where a walk is; zero at first. */
struct token_rooms_walk {
    size_t at, except_at;
};

/* The next of rooms that is none of except: 1, or 0 at the end.  *name is valid as long as
 * rooms.  A whole walk costs as much as there are names in both. */
int token_rooms_next(const struct token_rooms *rooms, const struct token_rooms *except,
                     struct token_rooms_walk *walk, struct slice *name);

#endif
