/* request_json - the JSON of requests, of which only what is needed becomes a tree: what
 * serverSideEmit() carries may be megabytes that nobody here looks at, and the ids and packets
 * that are passed on keep their text. */
#include "codec/request_parts.h"

#include "codec/json.h"
#include "codec/room_name.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* What cJSON cannot hold in a string is no UTF-8 while it has it. */
#define MARK_NUL  0xff /* \u0000 */
#define MARK_HALF 0xfe /* half a surrogate pair */

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The four hexadecimal digits at at, which have been checked. */
static unsigned hex4(const char *at)
{
    char digits[5] = {at[0], at[1], at[2], at[3], 0};

    return (unsigned)strtoul(digits, NULL, 16);
}

/* ---- members ---- */

void request_members(struct slice text, const char *const *keys, struct slice *values, size_t n)
{
    struct json_walk walk;
    struct slice key, value;

    memset(values, 0, n * sizeof(*values));
    if (text.len == 0 || text.ptr[0] != '{')
        return;
    walk = json_walk(text);
    while (json_walk_member(&walk, &key, &value)) {
        for (size_t i = 0; i < n; i++) {
            if (json_key_is(key, keys[i]))
                values[i] = value;
        }
    }
}

/* ---- trees ---- */

/* How many values there are in text, of which at most most are counted. */
static size_t count_values(struct slice text, size_t most)
{
    const char *at = text.ptr, *end = at + text.len;
    size_t n = 1;

    for (; at < end && n <= most; at++) {
        if (*at == '"') {
            for (at++; *at != '"'; at++)
                at += *at == '\\';
        } else if (*at == ',' || *at == '[' || *at == '{') {
            n++;
        }
    }
    return n;
}

/* Copies text with marks for what cJSON cannot hold. */
static int put_clean(struct buf *out, struct slice text)
{
    const char *at = text.ptr, *end = at + text.len, *run = at;
    unsigned unit, next;

    while (at < end && (at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        if (at[1] != 'u') {
            at += 2;
            continue;
        }
        unit = hex4(at + 2);
        if (unit != 0 && (unit < 0xd800 || unit > 0xdfff)) {
            at += 6;
            continue;
        }
        next = at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : 0;
        if (unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
            at += 12;
            continue;
        }
        buf_put(out, run, (size_t)(at - run));
        buf_putc(out, unit == 0 ? MARK_NUL : MARK_HALF);
        at += 6;
        run = at;
    }
    return buf_put(out, run, (size_t)(end - run));
}

cJSON *request_tree(struct request *request, struct slice text, enum request_result *result)
{
    cJSON *tree;

    request->nvalues += count_values(text, REQUEST_VALUES_MAX);
    if (request->nvalues > REQUEST_VALUES_MAX) {
        *result = REQUEST_TOO_LARGE;
        return NULL;
    }
    *result = REQUEST_NO_MEMORY;
    assert(request->ntrees < REQUEST_TREES);
    if (memmem(text.ptr, text.len, "\\u", 2) != NULL) {
        buf_reset(&request->clean);
        if (put_clean(&request->clean, text) != 0)
            return NULL;
        text = (struct slice){(const char *)request->clean.data, request->clean.len};
    }
    tree = json_tree(text);
    if (tree != NULL)
        request->trees[request->ntrees++] = tree;
    else if (errno != ENOMEM) /* a number of more than 63 digits */
        *result = REQUEST_MALFORMED;
    return tree;
}

int request_string(const cJSON *item, struct slice *name)
{
    if (!cJSON_IsString(item))
        return 0;
    *name = slice_str(item->valuestring);
    if (memchr(name->ptr, MARK_HALF, name->len) != NULL)
        return 0;
    /* Their length is known by now. */
    for (char *at = item->valuestring;
         (at = memchr(at, MARK_NUL, name->len - (size_t)(at - name->ptr))) != NULL;)
        *at = '\0';
    return 1;
}

double request_number(struct slice text, int *starved)
{
    double value = NAN;
    cJSON *tree;

    if (text.len == 0 || strchr("tfn\"{[", text.ptr[0]) != NULL)
        return NAN;
    tree = json_tree(text);
    if (cJSON_IsNumber(tree))
        value = tree->valuedouble;
    *starved |= tree == NULL && errno == ENOMEM;
    cJSON_Delete(tree);
    return value;
}

/* ---- rooms ---- */

static enum request_result put_room(struct request_rooms *rooms, const cJSON *item)
{
    struct slice name;
    int rc;

    if (request_string(item, &name)) {
        rc = once_put(rooms->once, rooms->list, name);
    } else if (cJSON_IsNumber(item) && isfinite(item->valuedouble)) {
        rc = room_name_put(rooms->once, rooms->list, rooms->numbers, EMIT_ROOMS_MAX + 1,
                           item->valuedouble);
    } else {
        rooms->others++;
        return REQUEST_OK;
    }
    if (rc < 0)
        return REQUEST_NO_MEMORY;
    return rooms->list->n > EMIT_ROOMS_MAX ? REQUEST_TOO_LARGE : REQUEST_OK;
}

static enum request_result put_rooms(struct request *request, struct slice text,
                                     struct request_rooms *rooms)
{
    enum request_result result = REQUEST_OK;
    const cJSON *tree = request_tree(request, text, &result), *item;

    if (tree == NULL)
        return result;
    if (!cJSON_IsArray(tree))
        return put_room(rooms, tree);
    result = REQUEST_OK;
    for (item = tree->child; item != NULL && result == REQUEST_OK; item = item->next)
        result = put_room(rooms, item);
    return result;
}

enum request_result request_rooms(struct request *request, struct slice text,
                                  struct request_rooms *rooms, enum request_list what)
{
    enum request_result result;

    once_begin(rooms->once, rooms->list);
    buf_reset(rooms->numbers);
    rooms->others = 0;
    if (what != REQUEST_LIST_NAMES &&
        (text.len == 0 || slice_eq(text, SLICE("null")) || slice_eq(text, SLICE("\"\""))))
        return REQUEST_OK;
    if (text.len == 0 || strchr("tfn{", text.ptr[0]) != NULL)
        return REQUEST_MALFORMED;
    result = put_rooms(request, text, rooms);
    if (result == REQUEST_OK && what == REQUEST_LIST_ROOMS && rooms->list->n == 0 &&
        rooms->others > 0 && slices_put(rooms->list, ROOM_NAME_NOBODY) != 0)
        return REQUEST_NO_MEMORY;
    return result;
}

/* An array without elements, which is an object without members where PHP wrote it. */
static int is_empty_array(struct slice text)
{
    for (size_t i = 1; i + 1 < text.len; i++) {
        if (!is_space(text.ptr[i]))
            return 0;
    }
    return text.len > 0 && text.ptr[0] == '[';
}

enum request_result request_opts(struct request *request, struct slice opts,
                                 struct request_rooms *rooms, struct request_rooms *except,
                                 struct slice *flags)
{
    static const char *const keys[] = {"rooms", "except", "flags"};
    struct slice values[3];
    enum request_result result;

    if (opts.len == 0 || (opts.ptr[0] != '{' && !is_empty_array(opts)))
        return REQUEST_MALFORMED;
    request_members(opts, keys, values, 3);
    *flags = values[2];
    result = request_rooms(request, values[0], rooms, REQUEST_LIST_ROOMS);
    if (result == REQUEST_OK)
        result = request_rooms(request, values[1], except, REQUEST_LIST_EXCEPT);
    return result;
}
