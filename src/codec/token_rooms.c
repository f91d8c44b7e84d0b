#include "codec/token_rooms.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* Sorted by their bytes, so that two of them are compared in one go. */
struct token_rooms {
    uint32_t n, len;
    uint8_t names[]; /* of each its length, u16, and its bytes */
};

#define HEAD 2 /* bytes of a length */

_Static_assert(TOKEN_ROOM_MAX <= UINT16_MAX, "a name's length is a u16");

static int compare(const void *a_ptr, const void *b_ptr)
{
    const struct slice *a = a_ptr, *b = b_ptr;
    int order = memcmp(a->ptr, b->ptr, a->len < b->len ? a->len : b->len);

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* --- making them --- */

static int take_name(const cJSON *value, struct slice *name)
{
    if (!cJSON_IsString(value))
        return -1;
    *name = slice_str(value->valuestring);
    return name->len > 0 && name->len <= TOKEN_ROOM_MAX ? 0 : -1;
}

/* Of sorted names: each once, one behind the other. */
static struct token_rooms *pack(const struct slice *names, size_t n, size_t len)
{
    struct token_rooms *rooms = malloc(sizeof(*rooms) + n * HEAD + len);
    uint8_t *to;

    if (rooms == NULL)
        return NULL;
    rooms->n = 0;
    to = rooms->names;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && slice_eq(names[i], names[i - 1]))
            continue;
        to[0] = (uint8_t)names[i].len;
        to[1] = (uint8_t)(names[i].len >> 8);
        memcpy(to + HEAD, names[i].ptr, names[i].len);
        to += HEAD + names[i].len;
        rooms->n++;
    }
    rooms->len = (uint32_t)(to - rooms->names);
    return rooms;
}

static int make_list(struct token_rooms **rooms, const cJSON *list, size_t n)
{
    struct slice *names = malloc(n * sizeof(*names));
    const cJSON *one;
    size_t i = 0, len = 0;

    if (names == NULL)
        return -1;
    cJSON_ArrayForEach(one, list)
    {
        if (take_name(one, &names[i]) < 0) {
            free(names);
            errno = EINVAL;
            return -1;
        }
        len += names[i++].len;
    }
    qsort(names, n, sizeof(*names), compare);
    *rooms = pack(names, n, len);
    free(names);
    return *rooms != NULL ? 0 : -1;
}

int token_rooms_make(struct token_rooms **rooms, const cJSON *value, size_t max)
{
    struct slice name;
    int n;

    *rooms = NULL;
    errno = EINVAL;
    if (!cJSON_IsArray(value)) {
        if (max == 0 || take_name(value, &name) < 0)
            return -1;
        *rooms = pack(&name, 1, name.len);
        return *rooms != NULL ? 0 : -1;
    }
    n = cJSON_GetArraySize(value);
    if (n < 0 || (size_t)n > max || (size_t)n > UINT32_MAX / (HEAD + TOKEN_ROOM_MAX))
        return -1;
    return n > 0 ? make_list(rooms, value, (size_t)n) : 0;
}

void token_rooms_free(struct token_rooms **rooms)
{
    free(*rooms);
    *rooms = NULL;
}

/* --- what is in them --- */

size_t token_rooms_count(const struct token_rooms *rooms)
{
    return rooms != NULL ? rooms->n : 0;
}

int token_rooms_equal(const struct token_rooms *a, const struct token_rooms *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->len == b->len && memcmp(a->names, b->names, a->len) == 0;
}

/* The name at that offset: 1, or 0 at the end. */
static int name_at(const struct token_rooms *rooms, size_t at, struct slice *name)
{
    const uint8_t *head;

    if (rooms == NULL || at == rooms->len)
        return 0;
    head = rooms->names + at;
    *name = (struct slice){(const char *)head + HEAD, head[0] | (size_t)head[1] << 8};
    return 1;
}

int token_rooms_next(const struct token_rooms *rooms, const struct token_rooms *except,
                     struct token_rooms_walk *walk, struct slice *name)
{
    struct slice other;

    while (name_at(rooms, walk->at, name)) {
        int order = -1;

        walk->at += HEAD + name->len;
        while (name_at(except, walk->except_at, &other) && (order = compare(name, &other)) > 0)
            walk->except_at += HEAD + other.len;
        if (!name_at(except, walk->except_at, &other) || order != 0)
            return 1;
    }
    return 0;
}
