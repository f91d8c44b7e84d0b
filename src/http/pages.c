/* script - socket.io:clientFile, served below the path as Socket.IO serves its
 * client: revalidated with every use (RFC 9110, section 13; RFC 9111). */
#include "base/base64.h"
#include "engine/state.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SCRIPT_NAME "socket.io.js"
#define SCRIPT_TYPE "application/javascript; charset=utf-8"

void script_tag(struct engine *engine)
{
    struct slice file = engine->options.client_file;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char *at = engine->etag;

    if (file.ptr == NULL)
        return;
    SHA256((const uint8_t *)file.ptr, file.len, hash);
    *at++ = '"';
    at += base64url_encode(at, hash, sizeof(hash));
    *at++ = '"';
    *at = '\0';
}

static int is_script(const struct engine *engine, struct slice path)
{
    size_t mount = strlen(engine->options.path);

    return path.len == mount + sizeof(SCRIPT_NAME) - 1 &&
           memcmp(path.ptr, engine->options.path, mount) == 0 &&
           memcmp(path.ptr + mount, SCRIPT_NAME, sizeof(SCRIPT_NAME) - 1) == 0;
}

/* 1 if an If-None-Match lists tag, or anything.  Tags are compared weakly, as is
 * right there; a comma within one is not looked for: ours has none. */
static int is_known(const struct http_request *req, const char *tag)
{
    for (size_t i = 0; i < req->nheaders; i++) {
        const struct http_header *header = &req->headers[i];
        const char *at = header->value.ptr, *end = at + header->value.len;

        if (header->name.len != 13 || strncasecmp(header->name.ptr, "If-None-Match", 13) != 0)
            continue;
        if (slice_eq(header->value, SLICE("*")) ||
            memmem(at, (size_t)(end - at), tag, strlen(tag)) != NULL)
            return 1;
    }
    return 0;
}

static void answer(struct conn *conn, const struct http_request *req)
{
    const struct engine *engine = conn->engine;
    struct slice file = engine->options.client_file;
    char extra[SCRIPT_ETAG + 64];
    int known = is_known(req, engine->etag);

    snprintf(extra, sizeof(extra), "Cache-Control: public, max-age=0\r\nETag: %s\r\n",
             engine->etag);
    if (request_answer_head(conn, known ? 304 : 200, known ? NULL : SCRIPT_TYPE, extra, file.len) <
        0)
        return;
    if (known || conn->http->head_only || conn_put_static(conn, file.ptr, file.len) == 0)
        request_done(conn);
}

int script_serve(struct conn *conn, const struct http_request *req)
{
    if (!is_script(conn->engine, req->path))
        return 0;
    if (conn->engine->options.client_file.ptr == NULL) {
        request_refuse(conn, 404);
    } else if (slice_eq(req->method, SLICE("GET")) || slice_eq(req->method, SLICE("HEAD"))) {
        answer(conn, req);
    } else {
        conn->http->keep = 0;
        if (request_answer_head(conn, 405, NULL, "Allow: GET, HEAD\r\n", 0) == 0)
            request_done(conn);
    }
    return 1;
}
