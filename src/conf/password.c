#include "conf/build.h"

#include "conf/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PASSWORD_MAX 65536

static void read_password(struct settings *set, const struct setting *setting, char **field)
{
    /* A shell may give axr-notify one as <(...). */
    enum file_kind kind = set->purpose == CONF_FOR_NOTIFY ? FILE_ANY : FILE_REGULAR;
    char *name = build_file_name(set, setting);
    struct file file;

    if (name == NULL)
        return;
    if (file_read(&file, name, PASSWORD_MAX, kind) < 0) {
        settings_error(set, &setting->source, setting->path, "cannot read %s: %s", name,
                       file_strerror(errno));
        goto out;
    }
    file_chomp(&file);
    if (strlen(file.text) != file.len)
        settings_error(set, &setting->source, setting->path, "%s: found a NUL, wanted text", name);
    else if (file.len > 0)
        build_set(field, build_strdup(set, file.text));
    if (file.shared)
        settings_warn(set, &setting->source, setting->path, "%s may be read by everyone", name);
    file_clear(&file);
out:
    free(name);
}

void build_password(struct settings *set, const char *file, const char *password, char **field)
{
    const struct setting *named = settings_at(set, file);
    struct setting *given = settings_at(set, password);

    if (setting_text(named) == NULL)
        return;
    if (given->value != NULL && given->source.layer == named->source.layer) {
        settings_error(set, &named->source, named->path, "found %s as well, wanted one of them",
                       password);
    } else if (given->source.layer <= named->source.layer) {
        given->source = named->source;
        read_password(set, named, field);
    }
}
