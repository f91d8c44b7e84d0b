#include "conf/build.h"

#include <string.h>

void build_log(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "log:target");
    const char *target = setting_text(setting);
    const char *level = setting_text(settings_at(set, "log:level"));

    if (level != NULL && log_level_parse(level, &conf->log_level) < 0)
        build_refuse(set, "log:level", "error, warn, info or debug");
    conf->log_format =
        build_has_word(settings_at(set, "log:format")->value, "json") ? LOG_JSON : LOG_TEXT;
    conf->log_target = LOG_TO_STDERR;
    if (target == NULL || strcmp(target, "stderr") == 0)
        return;
    if (strcmp(target, "stdout") == 0) {
        conf->log_target = LOG_TO_STDOUT;
    } else if (strcmp(target, "syslog") == 0) {
        conf->log_target = LOG_TO_SYSLOG;
    } else if (strchr(target, '/') != NULL) { /* so that a slip such as "sylog" is no file */
        conf->log_target = LOG_TO_FILE;
        conf->log_file = build_file_name(set, setting);
    } else {
        build_refuse(set, "log:target",
                     "\"stderr\", \"stdout\", \"syslog\" or a file name with a '/' in it");
    }
}
