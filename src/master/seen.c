#include "master/seen.h"

#include "base/pages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TURN_MS 1000
#define KEY_MAX (3 + 2 * REQUEST_ID_MAX)

void seen_init(struct seen *seen)
{
    table_init(&seen->table);
    seen->most = 0;
    seen->first = NULL;
    seen->end = &seen->first;
}

static void drop_first(struct seen *seen)
{
    struct seen_request *request = seen->first;

    assert(request != NULL);
    table_remove(&seen->table, &request->node);
    seen->first = request->next;
    if (seen->first == NULL)
        seen->end = &seen->first;
    free(request);
}

void seen_clear(struct seen *seen)
{
    while (seen->first != NULL)
        drop_first(seen);
    table_clear(&seen->table);
}

/* The kind in one byte and the length of the id in two, so that nothing of it can pass for
 * something else. */
static size_t put_key(char key[KEY_MAX], const struct request *request)
{
    size_t uid_len = request->uid.len < REQUEST_ID_MAX ? request->uid.len : REQUEST_ID_MAX;

    assert(request->id.len > 0 && request->id.len <= REQUEST_ID_MAX);
    key[0] = (char)(request->type * 2 + (request->is_old != 0));
    key[1] = (char)(request->id.len & 0xff);
    key[2] = (char)(request->id.len >> 8);
    memcpy(key + 3, request->id.ptr, request->id.len);
    if (uid_len > 0)
        memcpy(key + 3 + request->id.len, request->uid.ptr, uid_len);
    return 3 + request->id.len + uid_len;
}

static struct seen_request *add(struct seen *seen, const char *key, size_t len, uint64_t now_ms)
{
    struct seen_request *request = calloc(1, sizeof(*request) + len);

    if (request == NULL)
        return NULL;
    memcpy(request->key, key, len);
    request->node.key = request->key;
    request->node.key_len = (uint32_t)len;
    request->until_ms = now_ms + SEEN_MS;
    if (table_insert(&seen->table, &request->node) < 0) {
        free(request);
        return NULL;
    }
    *seen->end = request;
    seen->end = &request->next;
    if (seen->table.count > seen->most)
        seen->most = seen->table.count;
    return request;
}

void seen_turn(struct seen *seen, uint64_t now_ms)
{
    while (seen->first != NULL && now_ms >= seen->first->until_ms)
        drop_first(seen);
    if (seen->first != NULL)
        return;
    if (seen->most >= SEEN_FLOOD)
        pages_trim();
    seen->most = 0;
}

uint64_t seen_due_ms(const struct seen *seen)
{
    return seen->first != NULL ? seen->first->until_ms + TURN_MS : UINT64_MAX;
}

struct seen_request *seen_look(struct seen *seen, const struct request *request, uint64_t now_ms)
{
    char key[KEY_MAX];
    size_t len = put_key(key, request);
    struct seen_request *found;

    seen_turn(seen, now_ms);
    found = (struct seen_request *)table_find(&seen->table, key, len);
    if (found != NULL)
        return found;
    if (seen->table.count >= SEEN_MAX)
        drop_first(seen);
    return add(seen, key, len, now_ms);
}
