/* pid - what a client shows to have its session back: who it was, and since when, proven by a
 * key that only daemons have.
 *
 *     1 | daemon 8 | session 15 | start offset 8, masked | start 6 | tag 16
 *
 * Numbers are big-endian, start is in ms of the wall clock, the whole is base64url on the wire.
 * With K of pid_key_derive():
 *     tag  = the first 16 bytes of HMAC-SHA256(K, "axr pid 1", key, nsp, all before the tag with
 *            the offset as it is, uid), each of key and nsp behind its length in 4 bytes
 *     mask = the first 8 bytes of HMAC-SHA256(K, "axr pid mask", tag)
 *
 * What a client learns from pids: of its own, what it knows (its Socket.IO id, when it
 * connected) and the number of a run of a daemon, which is chance.  The offset is that of the
 * moment at which it connected; two that were the same would say that nobody was sent
 * anything in between, so it is masked, by something that is another for each session.  A pid
 * of another user does not prove itself with the uid of the attacker's token; nor does one with any
 * byte changed, of another key or namespace, or made up: 128 bits of tag.  A pid of the user's
 * own, shown again, is the user's own session. */
#ifndef CODEC_PID_H
#define CODEC_PID_H

#include "base/slice.h"

#include <stdint.h>

#define SESSION_LEN  15 /* bytes: a Socket.IO id, decoded */
#define PID_LEN      54
#define PID_TEXT_LEN 72 /* of its base64url */

struct pid {
    uint64_t daemon;
    uint8_t session[SESSION_LEN];
    uint64_t offset;   /* at its start; 0 where pid_read() alone has read it */
    uint64_t start_ms; /* below 2^48 */
};

struct pid_key {
    uint8_t at[32];
};

/* Borrowed; the first makes, all prove. */
struct pid_keys {
    struct pid_key *at;
    size_t n;
};

/* HKDF-SHA256 of the secret, with the info "axr-notifyd pid".  Returns 0, or -1 without
 * memory. */
int pid_key_derive(struct pid_key *key, struct slice secret);

/* uid: of the token.  Returns 0, or -1 without memory. */
int pid_make(uint8_t dst[PID_LEN], const struct pid *pid, const struct pid_key *with,
             struct slice key, struct slice nsp, struct slice uid);

/* What it says, not whether that is true; the offset is 0, for it takes a key to read it.
 * Returns 0, or -1 if it is not of this version. */
int pid_read(struct pid *pid, const uint8_t raw[PID_LEN]);

/* 1 if one of keys has made it for this uid, key and nsp; then all of it is in *pid.  0 if not,
 * or without memory; *pid is then as of pid_read(). */
int pid_proven(struct pid *pid, const uint8_t raw[PID_LEN], const struct pid_keys *keys,
               struct slice key, struct slice nsp, struct slice uid);

#endif
