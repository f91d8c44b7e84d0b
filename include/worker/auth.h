/* auth - the places in which a client may put its token, and which of them
 * decides.  Bytes in, verdict out: no socket, no session, no clock.
 *
 * In this order; the first good token wins, a bad one does not stop a good one
 * that comes later, and if none is good the first one's fault is the reason:
 *
 *   1. the CONNECT packet: "token" of the auth object (EIO4); jwt_token,
 *      auth_token or token in the query of the namespace (EIO3)
 *   2. the handshake's query: jwt_token, auth_token, token
 *   3. its header Authorization: Bearer or JWT
 *   4. its cookie jwt, only where auth_cookie_counts(): with "*" any page could
 *      come in as the user
 *
 * An empty value is no token. */
#ifndef WORKER_AUTH_H
#define WORKER_AUTH_H

#include "codec/http.h"
#include "codec/sio.h"
#include "codec/token.h"

#include <stddef.h>

/* Longest auth object, without the token in it; a longer one counts as a token
 * that is too large.  What it may cost to parse stays bounded. */
#define AUTH_OBJECT_BYTES 16384

/* The tokens of one handshake, decoded: one allocation, smaller than the
 * request's head, and held only from the handshake to the verdict. */
struct auth_tokens;

/* 1 if req may carry the user's cookie, and if it may be one of a session that came in
 * by it: origin_trusted(), and not JSONP, for any page can read what a script says. */
int auth_cookie_counts(const struct http_request *req, char *const *origins);

/* Copies what may be a token out of req; *tokens is NULL where there is none.
 * Of one that is longer than the policy allows only that fact is kept.
 * origins: NULL-terminated, as configured.  Returns 0, or -1 without memory. */
int auth_collect(struct auth_tokens **tokens, const struct http_request *req,
                 const struct token_policy *policy, char *const *origins);

/* Overwrites and frees them, sets *tokens to NULL; *tokens may be NULL. */
void auth_tokens_free(struct auth_tokens **tokens);

/* 1 if one of them came in a cookie; tokens may be NULL. */
int auth_tokens_cookie(const struct auth_tokens *tokens);

enum auth_source { AUTH_FROM_PACKET, AUTH_FROM_HANDSHAKE, AUTH_FROM_COOKIE /* of the handshake */ };

struct auth_verdict {
    struct token_user user; /* of the good token */
    enum auth_source source;
    const char *wanted, *claim; /* of the one that is bad: struct token_trial */
    struct token_hint *hint;    /* filled for it too, unless NULL */
};

/* Tries packet's token, then those of the handshake (may be NULL).  TOKEN_OK
 * fills verdict's user, whose rooms are the caller's to free, and source; otherwise both are
 * untouched, and the result, wanted, claim and hint are of the first token, TOKEN_MISSING if there
 * was none.  All of them together are tried with TOKEN_TRIES_MAX public keys, however many tokens
 * there are. */
enum token_result auth_judge(const struct token_policy *policy, const struct sio_packet *packet,
                             const struct auth_tokens *tokens, int64_t now_ms,
                             struct auth_verdict *verdict);

/* The same for one token: json is a JSON value that the codec has checked, a string
 * or an object with a member "token"; or empty. */
enum token_result auth_judge_json(const struct token_policy *policy, struct slice json,
                                  int64_t now_ms, struct auth_verdict *verdict);

#endif
