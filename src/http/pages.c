/* pages - what needs no session: socket.io:clientFile, served below the path as Socket.IO
 * serves its client, revalidated with every use (RFC 9110, section 13; RFC 9111); and
 * /status. */
#include "base/base64.h"
#include "codec/json.h"
#include "http/http.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CLIENT_FILE "socket.io.js"
#define CLIENT_TYPE "application/javascript; charset=utf-8"

void pages_tag(struct http *http)
{
    struct slice file = http->options.client_file;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char *at = http->etag;

    if (file.ptr == NULL)
        return;
    SHA256((const uint8_t *)file.ptr, file.len, hash);
    *at++ = '"';
    at += base64url_encode(at, hash, sizeof(hash));
    *at++ = '"';
    *at = '\0';
}

static int is_client_file(const struct http *http, struct slice path)
{
    size_t mount = strlen(http->options.path);

    return path.len == mount + sizeof(CLIENT_FILE) - 1 &&
           memcmp(path.ptr, http->options.path, mount) == 0 &&
           memcmp(path.ptr + mount, CLIENT_FILE, sizeof(CLIENT_FILE) - 1) == 0;
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

static void answer_file(struct conn *conn, const struct http_request *req)
{
    const struct http *http = http_of(conn);
    struct slice file = http->options.client_file;
    char extra[ETAG_BYTES + 64];
    int known = is_known(req, http->etag);

    snprintf(extra, sizeof(extra), "Cache-Control: public, max-age=0\r\nETag: %s\r\n", http->etag);
    if (answer_head(conn, known ? 304 : 200, known ? NULL : CLIENT_TYPE, extra, file.len) < 0)
        return;
    if (known || exchange_of(conn)->head_only || conn_put_static(conn, file.ptr, file.len) == 0)
        answer_done(conn);
}

int pages_client_file(struct conn *conn, const struct http_request *req)
{
    if (!is_client_file(http_of(conn), req->path))
        return 0;
    if (http_of(conn)->options.client_file.ptr == NULL)
        answer_refuse(conn, 404);
    else if (slice_eq(req->method, SLICE("GET")) || slice_eq(req->method, SLICE("HEAD")))
        answer_file(conn, req);
    else
        answer_method(conn, "GET, HEAD");
    return 1;
}

/* What services of this ecosystem say of themselves. */
static void answer_status(struct conn *conn)
{
    const struct http_options *options = &http_of(conn)->options;
    struct buf body = {0};
    struct timespec now;
    int64_t ms;

    clock_gettime(CLOCK_REALTIME, &now);
    buf_printf(&body, "{\"name\":\"%s\",\"time\":", options->name);
    ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    json_put_date(&body, (double)ms);
    buf_printf(&body, ",\"version\":\"%s\"}", options->version);
    if (body.failed)
        answer_refuse(conn, 503);
    else
        answer(conn, 200, "application/json", (struct slice){(char *)body.data, body.len});
    buf_free(&body);
}

int pages_status(struct conn *conn, const struct http_request *req)
{
    if (http_of(conn)->options.name == NULL || !slice_eq(req->path, SLICE("/status")))
        return 0;
    if (slice_eq(req->method, SLICE("OPTIONS")) && http_header(req, "Origin") != NULL)
        cors_preflight(conn, req);
    else if (slice_eq(req->method, SLICE("GET")) || exchange_of(conn)->head_only)
        answer_status(conn);
    else
        answer_method(conn, "GET, HEAD");
    return 1;
}
