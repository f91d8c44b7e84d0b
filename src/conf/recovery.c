#include "conf/build.h"

#include "codec/keys.h"
#include "conf/file.h"
#include "conf/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_SHORT 32 /* as long as the keys that are derived from it */

/* That member which the source that counts most has given, or NULL. */
static const struct setting *member(struct settings *set)
{
    static const char *const paths[] = {
        "socket.io:connectionStateRecovery:maxDisconnectionDuration",
        "socket.io:connectionStateRecovery:maxBytes",
        "socket.io:connectionStateRecovery:secretFile",
    };
    const struct setting *found = NULL;

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct setting *at = settings_at(set, paths[i]);

        if (!setting_given(at) || (at->value->type == JSONC_STRING && setting_text(at) == NULL))
            continue;
        if (found == NULL || at->source.layer > found->source.layer)
            found = at;
    }
    return found;
}

/* Whoever gives a member wants it on, unless false was said in the same place or in one
 * that counts more. */
static int is_on(struct settings *set)
{
    struct setting *whole = settings_at(set, "socket.io:connectionStateRecovery");
    const struct setting *part = member(set);

    if (whole->value == NULL || whole->value->type != JSONC_FALSE)
        return whole->value != NULL;
    if (part == NULL || part->source.layer <= whole->source.layer)
        return 0;
    whole->source = part->source;
    return 1;
}

static void take_secret(struct conf *conf, struct settings *set, const struct setting *setting,
                        const struct file *file)
{
    if (file->len == 0) {
        settings_warn(set, &setting->source, setting->path, "%s is empty, so there is no secret",
                      conf->recovery_file);
        return;
    }
    if (file->len < SECRET_SHORT)
        settings_warn(set, &setting->source, setting->path,
                      "the secret has %zu bytes; fewer than %d are easier to guess", file->len,
                      SECRET_SHORT);
    conf->recovery_secret = malloc(file->len);
    if (conf->recovery_secret == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    memcpy(conf->recovery_secret, file->text, file->len);
    conf->recovery_secret_len = file->len;
}

static void read_secret(struct conf *conf, struct settings *set)
{
    const struct setting *setting =
        settings_at(set, "socket.io:connectionStateRecovery:secretFile");
    struct file file;

    if (file_read(&file, conf->recovery_file, KEY_SECRET_MAX, FILE_REGULAR) < 0) {
        settings_error(set, &setting->source, setting->path, "cannot read %s: %s",
                       conf->recovery_file,
                       errno == EFBIG ? "it has more than 65536 bytes" : file_strerror(errno));
        return;
    }
    file_chomp(&file);
    if (file.shared)
        settings_warn(set, &setting->source, setting->path, "%s may be read by everyone",
                      conf->recovery_file);
    take_secret(conf, set, setting, &file);
    file_clear(&file);
}

/* It is taken as messages come: the end would come days later, and without a word. */
static void check_memory(const struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "socket.io:connectionStateRecovery:maxBytes");
    uint64_t limit = memory_limit("");

    if (conf->recovery_bytes > limit / 2)
        settings_warn(set, &setting->source, setting->path,
                      "found %zu, more than half of the %llu bytes of memory that there are",
                      conf->recovery_bytes, (unsigned long long)limit);
}

void build_recovery(struct conf *conf, struct settings *set)
{
    conf->recovery = is_on(set);
    if (conf->recovery)
        check_memory(conf, set);
    if (conf->recovery && conf->recovery_file != NULL)
        read_secret(conf, set);
}
