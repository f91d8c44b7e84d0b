/* conf/build - the settings made into struct conf, one function for each part
 * that is more than a number or a string.  Private to conf/.
 *
 * Each reports what is wrong through settings_error() and goes on.  All memory
 * belongs to conf, which may be left half filled: conf_free() takes that. */
#ifndef CONF_BUILD_H
#define CONF_BUILD_H

#include "conf.h"
#include "conf/settings.h"

void build_listen(struct conf *conf, struct settings *set);
void build_redis(struct conf *conf, struct settings *set);
void build_auth(struct conf *conf, struct settings *set);
/* Its keys.  conf->token.algs is to be set before. */
void build_keys(struct conf *conf, struct settings *set);
void build_cors(struct conf *conf, struct settings *set);

/* Every key with a field in the table: as given, or its default. */
void build_fields(struct conf *conf, struct settings *set);
/* The namespace and the emitters' key. */
void build_names(struct conf *conf, struct settings *set);
/* The rest: workers, path, transports, limits, the log, the admin address. */
void build_rest(struct conf *conf, struct settings *set);

/* Writes what conf_print() shows into conf->report. */
void build_report(struct conf *conf, struct settings *set);

/* strdup() that reports a lack of memory; text NULL gives NULL. */
char *build_strdup(struct settings *set, const char *text);

/* Replaces *text, which it frees (and overwrites), by value, which it takes. */
void build_set(char **text, char *value);

/* The strings of a list, NULL-terminated; NULL without memory (reported). */
char **build_strings(struct settings *set, const struct jsonc *list);
void build_strings_free(char ***strings);

/* The file that a KEY_FILE names, absolute where that is known; or NULL. */
char *build_file_name(struct settings *set, const struct setting *setting);

/* Host and port as people write them: 80, host:80, :80, *:80, [::1]:80.
 * *host is borrowed from text, NULL for all addresses.  Returns NULL, or what
 * was wanted. */
const char *address_parse(const char *text, const char **host, size_t *len, int *port);

/* 1 if the len bytes are a host name or an address (IPv6 without brackets). */
int address_host(const char *host, size_t len);

#endif
