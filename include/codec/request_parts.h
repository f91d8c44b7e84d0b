/* request_parts - requests, in parts.  Private to request*.c. */
#ifndef CODEC_REQUEST_PARTS_H
#define CODEC_REQUEST_PARTS_H

#include "codec/request.h"

/* --- request_json.c: valid JSON text, whose values become trees of cJSON one by one --- */

/* The value of each of the n keys in text, an object, as text without white space around it; of a
 * key that comes twice the last.  Empty (NULL) where it is not there; so are all of them where
 * text is no object. */
void request_members(struct slice text, const char *const *keys, struct slice *values, size_t n);

/* The tree of text, which request_clear() or the next decode frees.  NULL: REQUEST_TOO_LARGE
 * or REQUEST_NO_MEMORY (*result). */
struct cJSON *request_tree(struct request *request, struct slice text, enum request_result *result);

/* The string that an item of such a tree is, in *name.  Returns 1; 0 if it is none, or has half a
 * surrogate pair in it. */
int request_string(const struct cJSON *item, struct slice *name);

/* A list of names that is read. */
struct request_rooms {
    struct once *once;
    struct slices *list;
    struct buf *numbers;
    size_t others; /* how many are no names */
};

/* The number that text is; NAN if it is none, or missing, or (*starved is set) without memory. */
double request_number(struct slice text, int *starved);

enum request_list {
    REQUEST_LIST_ROOMS,  /* who is meant: "" is none, and where there are only rooms nobody can
                            be in, that is ROOM_NAME_NOBODY */
    REQUEST_LIST_EXCEPT, /* "" is none */
    REQUEST_LIST_NAMES   /* to be joined or left: "" is a room, and there have to be some */
};

/* Reads the rooms in text (empty: it is missing) into the list. */
enum request_result request_rooms(struct request *request, struct slice text,
                                  struct request_rooms *rooms, enum request_list what);

/* rooms and except of opts, an object or an empty array, and its flags as text. */
enum request_result request_opts(struct request *request, struct slice opts,
                                 struct request_rooms *rooms, struct request_rooms *except,
                                 struct slice *flags);

/* --- request_emit.c --- */

/* BROADCAST of msgpack: the payload as a whole; of JSON: packet and opts, both as text. */
enum request_result request_emit(struct request *request, struct slice payload, struct slice nsp,
                                 const struct emit_limits *limits);
enum request_result request_emit_json(struct request *request, struct slice packet,
                                      struct slice opts, struct slice nsp);

#endif
