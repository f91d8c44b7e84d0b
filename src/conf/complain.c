#include "conf/settings.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 80 /* bytes of a value, with what stands for its odd ones */

static void put_where(struct buf *out, const struct source *source)
{
    switch (source->layer) {
    case LAYER_FILE:
        buf_printf(out, "%.*s:%u", source->name_len, source->name, source->line);
        break;
    case LAYER_ENV:
        buf_printf(out, "environment %.*s", source->name_len, source->name);
        break;
    case LAYER_ARGS:
        buf_puts(out, "command line");
        break;
    case LAYER_DEFAULT:
        buf_puts(out, "default");
        break;
    }
}

void source_put(struct buf *out, const struct source *source)
{
    if (source->layer == LAYER_FILE)
        buf_puts(out, "file ");
    put_where(out, source);
}

/* A message that does not fit its buffer is lost, but the error still counts. */
__attribute__((format(printf, 4, 0))) static void
message(struct buf *out, const struct source *source, const char *path, const char *fmt, va_list ap)
{
    char text[1024];

    (void)vsnprintf(text, sizeof(text), fmt, ap);
    if (source != NULL) {
        put_where(out, source);
        buf_puts(out, ": ");
    }
    if (path != NULL)
        buf_printf(out, "%s: ", path);
    buf_printf(out, "%s\n", text);
}

void settings_error(struct settings *set, const struct source *source, const char *path,
                    const char *fmt, ...)
{
    va_list ap;

    set->nerrors++;
    va_start(ap, fmt);
    message(set->errors, source, path, fmt, ap);
    va_end(ap);
}

void settings_warn(struct settings *set, const struct source *source, const char *path,
                   const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    message(set->warnings, source, path, fmt, ap);
    va_end(ap);
}

void settings_unknown(struct settings *set, const struct source *source, const char *name,
                      enum spelling how)
{
    char shown[128], path[SCHEMA_PATH_MAX], env[SCHEMA_PATH_MAX + 64];
    const char *meant = schema_suggest(name, how, path);
    const char *quote = meant != NULL ? "\"" : "";

    log_escape(shown, sizeof(shown), name, strlen(name));
    if (meant != NULL && how == SPELT_FOLDED)
        meant = schema_env_name(meant, env);
    /* The source of a variable is its name. */
    settings_error(set, source, how == SPELT_FOLDED ? NULL : shown, "unknown key%s%s%s%s",
                   meant != NULL ? "; did you mean " : "", quote, meant != NULL ? meant : "",
                   meant != NULL ? "\"?" : "");
}

const char *value_describe(const struct jsonc *value, int secret, char *dst, size_t cap)
{
    char text[SHOWN_MAX];

    switch (value->type) {
    case JSONC_NULL:
        return "null";
    case JSONC_FALSE:
        return secret ? "a boolean" : "false";
    case JSONC_TRUE:
        return secret ? "a boolean" : "true";
    case JSONC_ARRAY:
        return value->count == 0 ? "an empty array" : "an array";
    case JSONC_OBJECT:
        return "an object";
    case JSONC_NUMBER:
    case JSONC_STRING:
        break;
    }
    if (secret)
        return value->type == JSONC_NUMBER ? "a number" : "a string";
    log_escape(text, sizeof(text), value->text, value->len);
    (void)snprintf(dst, cap, value->type == JSONC_NUMBER ? "%s" : "\"%s\"", text);
    return dst;
}
