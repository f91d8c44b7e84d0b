/* json - JSON text (RFC 8259) written as JavaScript's JSON.stringify writes it,
 * and checked without a tree.  Nothing here looks at the locale. */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

/* Each json_put_* returns 0, or -1 without memory (out->failed is set). */

/* --- json.c --- */

/* The string with its quotes: \" \\ \b \t \n \f \r and \u00xx (lower case)
 * escaped, all else as it is (ECMA-262, QuoteJSONString).  bytes must be valid
 * UTF-8, but for json_put_string_lossy, which puts U+FFFD for what is not
 * (as the WHATWG decoder does: one for each maximal subpart). */
int json_put_string(struct buf *out, const char *bytes, size_t len);
int json_put_string_lossy(struct buf *out, const char *bytes, size_t len);

/* Copies JSON text with all that is above U+007F as \uxxxx (lower case; two of
 * them above U+FFFF), so that its bytes, characters and UTF-16 units are as many.
 * It means the same as before.  U+FFFD for what is not UTF-8, as above. */
int json_put_ascii(struct buf *out, struct slice json);

/* --- json_number.c --- */

/* The shortest digits that read back as value, in JavaScript's form (ECMA-262,
 * Number::toString): 1e+300, 5e-324, 0.1, -0 as 0; NaN and infinities as null. */
int json_put_double(struct buf *out, double value);

/* Exact below 2^53; above, rounded to a double first, as JavaScript does. */
int json_put_int64(struct buf *out, int64_t value);
int json_put_uint64(struct buf *out, uint64_t value);

/* Milliseconds since 1970 as Date.prototype.toJSON writes them: a string
 * "YYYY-MM-DDTHH:mm:ss.sssZ", with a sign and six digits of year outside 0 to
 * 9999; a fraction of a millisecond is cut off; null for what is no date (NaN,
 * or more than 8.64e15 away from 0). */
int json_put_date(struct buf *out, double ms);

/* --- json_scan.c --- */

#define JSON_DEPTH_MAX 512 /* arrays and objects within each other */

/* Length of the one JSON value that text starts with (white space before it
 * included), or -1 if there is none, it is cut off, nests too deep or holds
 * invalid UTF-8.  What follows the value is the caller's business.  Where it
 * fails, *bad (if not NULL) is the offset of the first byte that cannot be. */
long json_span(const char *text, size_t len);
long json_span_at(const char *text, size_t len, size_t *bad);

/* 1 if valid JSON text holds \u0000 in a string: cJSON would end the string there. */
int json_has_nul(const char *text, size_t len);

/* --- json_walk.c: through valid JSON text (of json_span()), without a tree --- */

struct json_walk { /* private */
    const char *at, *end;
};

/* Of the members or elements of text: an object or an array, with no white space before it. */
struct json_walk json_walk(struct slice text);

/* The next one, as text without white space around it; a key has its quotes.  Returns 1, or 0
 * behind the last. */
int json_walk_member(struct json_walk *walk, struct slice *key, struct slice *value);
int json_walk_element(struct json_walk *walk, struct slice *value);

/* 1 if the string raw, with its quotes, is key, which is ASCII without what JSON escapes: its
 * characters may be escaped. */
int json_key_is(struct slice raw, const char *key);

/* --- json_tree.c --- */

struct cJSON;

/* A tree, for cJSON_Delete(), of valid JSON text (of json_span(), or libjwt's): what cJSON
 * would let pass beside, it is not asked about.  NULL: there is \u0000 or half a surrogate
 * pair in it, or, with errno ENOMEM, no memory. */
struct cJSON *json_tree(struct slice json);

/* The member of that name, in that case; *member is NULL if there is none, or tree is no
 * object.  Returns 0, or -1, and NULL, if it is there twice (whom do we believe?). */
int json_tree_member(const struct cJSON *tree, const char *name, const struct cJSON **member);

#endif
