/* conf/build - the settings made into struct conf, one function for each part
 * that is more than a number or a string.  Private to conf/.
 *
 * Each reports what is wrong through settings_error() and goes on.  All memory
 * belongs to conf, which may be left half filled: conf_free() takes that. */
#ifndef CONF_BUILD_H
#define CONF_BUILD_H

#include "conf.h"
#include "conf/settings.h"

/* Certificates, and what else tls has: before build_listen(). */
void build_tls(struct conf *conf, struct settings *set);
void build_listen(struct conf *conf, struct settings *set);
/* Who is believed to say whose requests it passes on.  conf->listen is to be built before. */
void build_proxies(struct conf *conf, struct settings *set);
void build_redis(struct conf *conf, struct settings *set);
/* Those that know where redis is, once conf->redis is as it is without them. */
void build_sentinels(struct conf *conf, struct settings *set);
/* The password in the file that the setting at `file` names, in place of the one that the
 * setting at `password` gave *field, unless that counts more. */
void build_password(struct settings *set, const char *file, const char *password, char **field);
void build_auth(struct conf *conf, struct settings *set);
/* Its keys.  conf->token.algs is to be set before. */
void build_keys(struct conf *conf, struct settings *set);
/* Where each of conf->keys is from, those of the JWKS file included, which are noted in
 * set->key_sources, too. */
void build_key_origins(struct conf *conf, struct settings *set);
void build_key_origins_free(struct conf *conf);
/* TLS as a client, whose keys begin with path, and what it needs from files.  It may be on
 * already. */
void build_tls_client(struct settings *set, const char *path, struct conf_redis_tls *tls);
/* What was not read (unread) stays as it is now, if that is of the same files: 0, or -1, which has
 * been reported. */
int build_keep_tls_client(struct settings *set, const char *path, const struct conf_redis_tls *now,
                          struct conf_redis_tls *wanted);
/* It is off: where it has been asked for, that is warned of. */
void build_no_tls_client(struct settings *set, const char *path, struct conf_redis_tls *tls);
void build_cors(struct conf *conf, struct settings *set);
/* Is connection state recovery on, and the secret of its file. */
void build_recovery(struct conf *conf, struct settings *set);

/* Every key with a field in the table: as given, or its default. */
void build_fields(struct conf *conf, struct settings *set);
/* The namespace with its '/'. */
void build_namespace(struct conf *conf, struct settings *set);
/* What HTTP clients find: the path, transports, the client file. */
void build_serve(struct conf *conf, struct settings *set);
/* Numbers that the machine decides where they are not given: workers, connections,
 * strangers. */
void build_limits(struct conf *conf, struct settings *set);
/* Target, level and format. */
void build_log(struct conf *conf, struct settings *set);
/* The admin address. */
void build_admin(struct conf *conf, struct settings *set);
/* ... and the token of whoever may change something there. */
void build_admin_token(struct conf *conf, struct settings *set);

/* Writes what conf_print() shows into conf->report. */
void build_report(struct conf *conf, struct settings *set);

/* strdup() that reports a lack of memory; text NULL gives NULL. */
char *build_strdup(struct settings *set, const char *text);

/* Replaces *text, which it frees (and overwrites), by value, which it takes. */
void build_set(char **text, char *value);

/* The strings of a list, NULL-terminated; NULL without memory (reported). */
char **build_strings(struct settings *set, const struct jsonc *list);
void build_strings_free(char ***strings);

/* 1 if word is the list (a text or an array of them, or NULL) or in it. */
int build_has_word(const struct jsonc *list, const char *word);

/* Reports what the key at path holds and what it wanted instead. */
void build_refuse(struct settings *set, const char *path, const char *wanted);

/* The file that a KEY_FILE names, absolute where that is known; or NULL. */
char *build_file_name(struct settings *set, const struct setting *setting);

/* 1 if the len bytes are a host name or an address (IPv6 without brackets). */
int address_host(const char *host, size_t len);

#endif
