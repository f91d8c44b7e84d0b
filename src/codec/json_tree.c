#include "codec/json.h"

#include <cjson/cJSON.h>
#include <errno.h>

cJSON *json_tree(struct slice json)
{
    errno = 0;
    if (json_has_nul(json.ptr, json.len))
        return NULL;
    return cJSON_ParseWithLengthOpts(json.ptr, json.len, NULL, 0);
}

int json_tree_member(const cJSON *tree, const char *name, const cJSON **member)
{
    *member = NULL;
    if (!cJSON_IsObject(tree))
        return 0;
    for (const cJSON *one = tree->child; one != NULL; one = one->next) {
        if (strcmp(one->string, name) != 0)
            continue;
        if (*member != NULL) {
            *member = NULL;
            return -1;
        }
        *member = one;
    }
    return 0;
}
