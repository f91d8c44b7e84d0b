#include "codec/ws.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <strings.h>

#define KEY_LEN 24 /* 16 bytes as base64 */
#define GUID    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* The only header of that name, or NULL if there is none or more than one. */
static const struct http_header *only_header(const struct http_request *req, const char *name)
{
    const struct http_header *first = http_header(req, name);

    if (first == NULL)
        return NULL;
    for (const struct http_header *h = first + 1; h < req->headers + req->nheaders; h++)
        if (h->name.len == first->name.len && strncasecmp(h->name.ptr, name, h->name.len) == 0)
            return NULL;
    return first;
}

/* Any 22 characters and "==" are 16 bytes.  The last character has four bits
 * to spare; clients that set them are let in, as everywhere else. */
static int is_key(struct slice value)
{
    if (value.len != KEY_LEN || memcmp(value.ptr + KEY_LEN - 2, "==", 2) != 0)
        return 0;
    for (size_t i = 0; i < KEY_LEN - 2; i++) {
        char c = value.ptr[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '+' || c == '/'))
            return 0;
    }
    return 1;
}

static int compute_accept(struct slice key, char accept[WS_ACCEPT_LEN + 1])
{
    char text[KEY_LEN + sizeof(GUID) - 1];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    memcpy(text, key.ptr, KEY_LEN);
    memcpy(text + KEY_LEN, GUID, sizeof(GUID) - 1);
    if (EVP_Digest(text, sizeof(text), digest, &len, EVP_sha1(), NULL) != 1 ||
        BASE64_LEN(len) != WS_ACCEPT_LEN)
        return -1;
    accept[base64_encode(accept, digest, len)] = '\0';
    return 0;
}

enum ws_upgrade ws_upgrade(const struct http_request *req, char accept[WS_ACCEPT_LEN + 1])
{
    const struct http_header *version, *key;

    /* Upgrade counts only where Connection names it (RFC 9110, section 7.8). */
    if (!http_has_token(req, "upgrade", "websocket") ||
        !http_has_token(req, "connection", "upgrade"))
        return WS_UPGRADE_NO;
    if (!slice_eq(req->method, SLICE("GET")) || req->minor < 1)
        return WS_UPGRADE_BAD;
    version = only_header(req, "sec-websocket-version");
    if (version == NULL || !slice_eq(version->value, SLICE("13")))
        return WS_UPGRADE_VERSION;
    key = only_header(req, "sec-websocket-key");
    if (key == NULL || !is_key(key->value) || compute_accept(key->value, accept) != 0)
        return WS_UPGRADE_BAD;
    return WS_UPGRADE_YES;
}

size_t ws_header_encode(uint8_t *dst, enum ws_opcode opcode, size_t len)
{
    size_t wide = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8; /* bytes of extended length */

    dst[0] = (uint8_t)(0x80 | opcode); /* FIN */
    dst[1] = (uint8_t)(wide == 0 ? len : wide == 2 ? 126 : 127);
    for (size_t i = 0; i < wide; i++)
        dst[2 + i] = (uint8_t)((uint64_t)len >> (8 * (wide - 1 - i)));
    return 2 + wide;
}

struct slice ws_protocol(const struct http_request *req)
{
    const struct http_header *offer = http_header(req, "Sec-WebSocket-Protocol");
    struct slice first = {"", 0};

    if (offer == NULL || http_token(offer->value) > WS_PROTOCOL_MAX)
        return first;
    return (struct slice){offer->value.ptr, http_token(offer->value)};
}
