/* token_vectors - test/vectors/tokens.json: tokens that others have made, and what they are
 * to us. */
#ifndef TEST_TOKEN_VECTORS_H
#define TEST_TOKEN_VECTORS_H

#include <cjson/cJSON.h>
#include <stdio.h>

/* The file, for cJSON_Delete(); NULL if it is not there.  Tests run in the top directory. */
static inline cJSON *token_vectors(void)
{
    static char text[65536];
    FILE *file = fopen("test/vectors/tokens.json", "r");
    size_t len;

    if (file == NULL)
        return NULL;
    len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    return cJSON_Parse(text);
}

/* A member that is a string, or NULL. */
static inline const char *token_member(const cJSON *row, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, name));
}

#endif
