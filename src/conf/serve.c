#include "conf/build.h"

#include "conf/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_MAX_BYTES (16U << 20)

/* axr and /axr are the same, as they are for Socket.IO. */
void build_namespace(struct conf *conf, struct settings *set)
{
    size_t len = conf->nsp != NULL ? strlen(conf->nsp) : 0;
    char *nsp;

    if (len == 0)
        return;
    if (conf->nsp[0] != '/') {
        nsp = malloc(len + 2);
        if (nsp == NULL) {
            settings_error(set, NULL, NULL, "out of memory");
            return;
        }
        nsp[0] = '/';
        memcpy(nsp + 1, conf->nsp, len + 1);
        build_set(&conf->nsp, nsp);
        len++;
    }
    /* ',' ends a namespace in a packet, '?' begins its query. */
    if (strpbrk(conf->nsp, ",?") != NULL)
        build_refuse(set, "socket.io:namespace", "a namespace without ',' and '?'");
    else if (len > CONF_NSP_MAX)
        build_refuse(set, "socket.io:namespace", "at most 256 bytes with its '/'");
}

/* /a/b/ from a/b, /a/b or /a/b//; / from / */
static void build_path(struct conf *conf, struct settings *set)
{
    const char *given = conf->path;
    size_t len;
    char *path;

    if (given == NULL)
        return;
    for (const char *c = given; *c; c++) {
        if (*c <= 0x20 || *c >= 0x7f || strchr("?#%", *c) != NULL) {
            build_refuse(set, "path", "a path of printable ASCII without '?', '#', '%' and blanks");
            return;
        }
    }
    given += strspn(given, "/");
    len = strlen(given);
    while (len > 0 && given[len - 1] == '/')
        len--;
    path = calloc(1, len + 3);
    if (path == NULL) {
        settings_error(set, NULL, NULL, "out of memory");
        return;
    }
    path[0] = '/';
    memcpy(path + 1, given, len);
    if (len > 0)
        path[len + 1] = '/';
    build_set(&conf->path, path);
}

/* Read here, before privileges are dropped, and once for all workers. */
static void build_client_file(struct conf *conf, struct settings *set)
{
    const struct setting *setting = settings_at(set, "socket.io:clientFile");
    struct file file;
    char *fitting;

    if (conf->client_file == NULL)
        return;
    if (file_read(&file, conf->client_file, CLIENT_MAX_BYTES, FILE_REGULAR) < 0) {
        settings_error(set, &setting->source, setting->path, "cannot read %s: %s",
                       conf->client_file,
                       errno == EFBIG ? "it has more than 16 MiB" : file_strerror(errno));
        return;
    }
    conf->client_text = file.text;
    conf->client_len = file.len;
    fitting = realloc(file.text, file.len + 1); /* 16 MiB were asked for */
    if (fitting != NULL)
        conf->client_text = fitting;
}

void build_serve(struct conf *conf, struct settings *set)
{
    const struct jsonc *transports = settings_at(set, "socket.io:transports")->value;

    build_path(conf, set);
    build_client_file(conf, set);
    conf->polling = build_has_word(transports, "polling");
    conf->websocket = build_has_word(transports, "websocket");
}
