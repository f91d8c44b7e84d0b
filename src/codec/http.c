#include "codec/http.h"

#include <assert.h>
#include <strings.h>

/* RFC 9112, section 2.2: a server should skip an empty line before the request
 * line.  More than a few are no slip of an old client. */
#define EMPTY_LINES_MAX 8

/* RFC 9110, section 5.6.2 */
static const uint8_t is_tchar[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1,
    ['%'] = 1,         ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1, ['-'] = 1,
    ['.'] = 1,         ['^'] = 1,         ['_'] = 1,         ['`'] = 1, ['|'] = 1, ['~'] = 1,
};

/* uri-host [ ":" port ] of RFC 3986, sections 3.2.2 and 3.2.3 */
static const uint8_t is_host_char[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['-'] = 1, ['.'] = 1,  ['_'] = 1,
    ['~'] = 1,         ['!'] = 1,         ['$'] = 1,         ['&'] = 1, ['\''] = 1, ['('] = 1,
    [')'] = 1,         ['*'] = 1,         ['+'] = 1,         [','] = 1, [';'] = 1,  ['='] = 1,
    ['%'] = 1,         [':'] = 1,         ['['] = 1,         [']'] = 1,
};

static int is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int equal_nocase(struct slice s, const char *str)
{
    size_t len = strlen(str);

    return s.len == len && strncasecmp(s.ptr, str, len) == 0;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static int all_of(struct slice s, const uint8_t table[256])
{
    for (size_t i = 0; i < s.len; i++)
        if (!table[(unsigned char)s.ptr[i]])
            return 0;
    return 1;
}

/* Takes the bytes up to the first sep off the front of *rest, and sep with
 * them.  Returns 0 when nothing is left (rest->ptr is NULL from then on). */
static int next_part(struct slice *rest, char sep, struct slice *part)
{
    const char *end;

    if (rest->ptr == NULL)
        return 0;
    end = rest->len > 0 ? memchr(rest->ptr, sep, rest->len) : NULL;
    if (end == NULL) {
        *part = *rest;
        *rest = (struct slice){NULL, 0};
        return 1;
    }
    *part = (struct slice){rest->ptr, (size_t)(end - rest->ptr)};
    rest->len -= part->len + 1;
    rest->ptr = end + 1;
    return 1;
}

/* --- the end of the head ----------------------------------------------------- */

/* Where the request line starts: after the empty lines, or -400. */
static long skip_empty_lines(const char *bytes, size_t len)
{
    size_t at = 0;

    while (at + 1 < len && bytes[at] == '\r' && bytes[at + 1] == '\n')
        at += 2;
    return at / 2 > EMPTY_LINES_MAX ? -400 : (long)at;
}

/* Looks at the bytes from *scanned on, each once.  Returns the length of the
 * head when its empty line is found, 0 if it is not there yet, or -400 for a
 * byte that no head can hold: so a TLS hello is refused at once rather than
 * waited for. */
static long find_end(const char *bytes, size_t start, size_t len, size_t *scanned)
{
    size_t i = *scanned > start ? *scanned : start;

    for (; i < len; i++) {
        if (bytes[i] == '\r') {
            if (i + 1 == len)
                break;
            if (bytes[i + 1] != '\n')
                return -400;
        } else if (bytes[i] == '\n') {
            if (i == start || bytes[i - 1] != '\r')
                return -400;
            if (i >= start + 3 && bytes[i - 2] == '\n')
                return (long)i + 1;
        } else if (is_control((unsigned char)bytes[i])) {
            return -400;
        }
    }
    *scanned = i;
    return 0;
}

/* --- the request line -------------------------------------------------------- */

/* "http://host/path" -> "/path".  Any other form is left as it is. */
static struct slice strip_authority(struct slice target)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t n = strlen(schemes[i]);

        if (target.len < n || strncasecmp(target.ptr, schemes[i], n) != 0)
            continue;
        while (n < target.len && target.ptr[n] != '/' && target.ptr[n] != '?')
            n++;
        return (struct slice){target.ptr + n, target.len - n};
    }
    return target;
}

static void split_target(struct http_request *req, struct slice target)
{
    const char *mark;

    req->target = strip_authority(target);
    req->path = req->target;
    req->query = (struct slice){"", 0};
    mark = req->target.len > 0 ? memchr(req->target.ptr, '?', req->target.len) : NULL;
    if (mark != NULL) {
        req->path.len = (size_t)(mark - req->target.ptr);
        req->query.ptr = mark + 1;
        req->query.len = req->target.len - req->path.len - 1;
    }
    if (req->path.len == 0)
        req->path = SLICE("/"); /* RFC 9112, section 3.2.1 */
}

static int parse_version(struct http_request *req, struct slice version)
{
    const char *v = version.ptr;

    if (version.len != 8 || memcmp(v, "HTTP/", 5) != 0 || v[6] != '.' || v[5] < '0' || v[5] > '9' ||
        v[7] < '0' || v[7] > '9')
        return -400;
    if (v[5] != '1')
        return -505;
    /* A later minor version is answered as 1.1 (RFC 9110, section 2.5). */
    req->minor = v[7] == '0' ? 0 : 1;
    return 0;
}

/* The controls are gone (find_end), so what may not be in a target is a space
 * or a tab.  Bytes above 0x7f are let through, as Node does: clients that put
 * raw UTF-8 into a query exist. */
static int parse_request_line(struct http_request *req, struct slice line)
{
    struct slice target;

    if (!next_part(&line, ' ', &req->method) || req->method.len == 0 ||
        !all_of(req->method, is_tchar))
        return -400;
    if (!next_part(&line, ' ', &target) || target.len == 0 ||
        memchr(target.ptr, '\t', target.len) != NULL)
        return -400;
    split_target(req, target);
    if (line.ptr == NULL)
        return -400;
    return parse_version(req, line);
}

/* --- header lines ------------------------------------------------------------ */

/* What of the framing headers has been seen. */
struct framing {
    unsigned hosts;
    int transfer_encoding;
    const struct http_header *content_length;
};

static int check_content_length(struct framing *seen, const struct http_header *header)
{
    struct slice value = header->value;

    if (value.len == 0 || value.len > 18)
        return -400;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return -400;
    if (seen->content_length != NULL && !slice_eq(seen->content_length->value, value))
        return -400;
    seen->content_length = header;
    return 0;
}

static int check_framing(struct framing *seen, const struct http_header *header)
{
    if (equal_nocase(header->name, "host")) {
        seen->hosts++;
        return all_of(header->value, is_host_char) ? 0 : -400;
    }
    if (equal_nocase(header->name, "content-length"))
        return check_content_length(seen, header);
    if (equal_nocase(header->name, "transfer-encoding"))
        seen->transfer_encoding = 1;
    return 0;
}

/* A name that is not a token also covers obs-fold (the line starts with a
 * blank) and a blank before the colon. */
static int parse_header(struct http_header *header, struct slice line)
{
    struct slice value = line;

    if (!next_part(&value, ':', &header->name) || value.ptr == NULL)
        return -400;
    if (header->name.len == 0 || !all_of(header->name, is_tchar))
        return -400;
    header->value = trim(value);
    return 0;
}

/* lines: every header line with its CRLF, without the empty line. */
static int parse_headers(struct http_request *req, struct slice lines, size_t max)
{
    struct framing seen = {0, 0, NULL};
    struct slice line;
    int status;

    req->nheaders = 0;
    while (lines.len > 0 && next_part(&lines, '\n', &line)) {
        struct http_header *header = &req->headers[req->nheaders];

        if (req->nheaders == max)
            return -431;
        line.len--; /* the CR */
        if ((status = parse_header(header, line)) != 0 ||
            (status = check_framing(&seen, header)) != 0)
            return status;
        req->nheaders++;
    }
    if (seen.hosts > 1 || (seen.hosts == 0 && req->minor > 0))
        return -400;
    /* Two readers that choose differently between the two lengths are how
     * requests are smuggled; HTTP/1.0 does not know the second. */
    if (seen.transfer_encoding && (seen.content_length != NULL || req->minor == 0))
        return -400;
    return 0;
}

long http_parse(struct http_request *req, const char *bytes, size_t len,
                const struct http_limits *limits, size_t *scanned)
{
    size_t max = limits->headers < HTTP_HEADERS_CAP ? limits->headers : HTTP_HEADERS_CAP;
    size_t seen = len < limits->head_bytes ? len : limits->head_bytes;
    long start = skip_empty_lines(bytes, seen);
    long end;
    struct slice line, rest;
    int status;

    if (start < 0)
        return start;
    end = find_end(bytes, (size_t)start, seen, scanned);
    if (end < 0)
        return end;
    rest = (struct slice){bytes + start, seen - (size_t)start};
    if (end == 0) {
        if (seen < limits->head_bytes)
            return 0;
        return rest.len > 0 && memchr(rest.ptr, '\n', rest.len) == NULL ? -414 : -431;
    }
    rest.len = (size_t)(end - start) - 2;
    if (!next_part(&rest, '\n', &line))
        return -400;
    line.len--;
    status = parse_request_line(req, line);
    if (status == 0)
        status = parse_headers(req, rest, max);
    return status != 0 ? status : end;
}

/* --- looking things up ------------------------------------------------------- */

const struct http_header *http_header(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->nheaders; i++)
        if (equal_nocase(req->headers[i].name, name))
            return &req->headers[i];
    return NULL;
}

size_t http_token(struct slice bytes)
{
    size_t n = 0;

    while (n < bytes.len && is_tchar[(uint8_t)bytes.ptr[n]])
        n++;
    return n;
}

int http_has_token(const struct http_request *req, const char *name, const char *token)
{
    for (size_t i = 0; i < req->nheaders; i++) {
        struct slice rest = req->headers[i].value, part;

        if (!equal_nocase(req->headers[i].name, name))
            continue;
        while (next_part(&rest, ',', &part))
            if (equal_nocase(trim(part), token))
                return 1;
    }
    return 0;
}

int http_query(struct slice query, const char *name, struct slice *value)
{
    struct slice pair, want = slice_str(name);
    int found = 0;

    while (next_part(&query, '&', &pair)) {
        struct slice rest = pair, key;

        if (!next_part(&rest, '=', &key) || !slice_eq(key, want))
            continue;
        *value = rest.ptr != NULL ? rest : (struct slice){"", 0};
        found = 1;
    }
    return found;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

long http_unescape(char *dst, struct slice src, int plus)
{
    size_t used = 0;

    for (size_t i = 0; i < src.len; i++) {
        char c = src.ptr[i];

        if (c == '%') {
            int high = src.len - i > 2 ? hex_value(src.ptr[i + 1]) : -1;
            int low = src.len - i > 2 ? hex_value(src.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return -1;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        dst[used++] = c;
    }
    return (long)used;
}

int http_cookie(const struct http_request *req, const char *name, struct slice *value)
{
    struct slice want = slice_str(name);

    for (size_t i = 0; i < req->nheaders; i++) {
        struct slice rest = req->headers[i].value, pair, key;

        if (!equal_nocase(req->headers[i].name, "cookie"))
            continue;
        while (next_part(&rest, ';', &pair)) {
            if (!next_part(&pair, '=', &key) || pair.ptr == NULL || !slice_eq(trim(key), want))
                continue;
            *value = trim(pair);
            if (value->len >= 2 && value->ptr[0] == '"' && value->ptr[value->len - 1] == '"') {
                value->ptr++;
                value->len -= 2;
            }
            return 1;
        }
    }
    return 0;
}

int http_path_below(struct slice path, const char *mount)
{
    size_t len = strlen(mount);

    assert(len > 0 && mount[len - 1] == '/');
    if (path.len == len - 1)
        return memcmp(path.ptr, mount, len - 1) == 0;
    return path.len >= len && memcmp(path.ptr, mount, len) == 0;
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

unsigned http_error_kind(int status)
{
#define STATUS(status) status,
    static const int kinds[] = {HTTP_ERRORS(STATUS)};
#undef STATUS
    unsigned kind = 0;

    _Static_assert(sizeof(kinds) / sizeof(kinds[0]) + 1 == HTTP_ERROR_KINDS, "and any other");

    while (kind < HTTP_ERROR_KINDS - 1 && kinds[kind] != status)
        kind++;
    return kind;
}
