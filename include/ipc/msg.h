/* msg - the whole contract between the master and a worker.
 *
 * A message is: length u32 (of what follows), type u8, then the fields of its
 * type in the order given here.  Integers are little-endian; "bytes" is a u32
 * length and that many bytes; "list" is a u32 count and that many "bytes".
 * A decoder must end exactly at the end: leftovers are an error, and so is a
 * length that goes past it.  Whoever gets a bad message gives the link up: the
 * master replaces that worker, the worker leaves.
 *
 * Bump MSG_VERSION with every change of a field; both ends say theirs first. */
#ifndef IPC_MSG_H
#define IPC_MSG_H

#include "base/buf.h"
#include "base/slices.h"
#include "codec/broadcast.h"
#include "codec/pid.h"

#include <stddef.h>
#include <stdint.h>

#define MSG_VERSION 6

enum msg_type {
    /* master -> worker, in one order with everything else */
    MSG_HELLO = 1,  /* version u32, lane u32, generation u32, epoch u64: first */
    MSG_BROADCAST,  /* epoch u64, seq u64, received u64 (clock_us() when the master read it),
                       offset u64 (of recovery; 0: none), flags u32, rooms list, except list,
                       json bytes, attachments list */
    MSG_ADMITTED,   /* the fields of struct msg_admitted: the answer to MSG_ADMIT, mostly in the
                       order of those; broadcasts after it on the link have a higher seq */
    MSG_LOG_LEVEL,  /* level u8 (enum log_level) */
    MSG_LOG_REOPEN, /* nothing: open the log file again */
    MSG_DRAIN,      /* within u32 ms, first u32, n u32: no new clients, close the others
                       spread over that time, then exit; new clients go to the workers in
                       the lanes from first on, n of them; n 0: to nobody */
    MSG_SETTINGS,   /* the settings that are taken at once: ipc/change.h */
    MSG_COUNT = 8,  /* id u32, not 0: MSG_COUNTERS with that id, please */
    MSG_KICK = 9,   /* client u64, uid bytes, reason u8 (enum msg_kick): disconnect this
                       client, if it is in as this user; MSG_LEFT comes as for any other */
    MSG_JOIN,       /* id u32, select u8 (enum msg_select), rooms list, except list, names
                       list: those of rooms but for those of except join the rooms names;
                       MSG_ACTED comes for it */
    MSG_LEAVE,      /* the same: they leave them */
    MSG_DISCONNECT, /* id u32, select u8, rooms list, except list, close u8: they leave the
                       namespace; 1: and are closed.  MSG_ACTED comes for it */
    MSG_FETCH,      /* id u32, what u8 (enum msg_what), select u8, rooms list, except list:
                       MSG_FETCHED with that id, please */
    MSG_EMIT,       /* id u32, timeout u32 (ms), then the fields of MSG_BROADCAST: the same,
                       and each client is to acknowledge it within that time.  MSG_REACHED comes
                       at once, a MSG_ACK for each of these */
    MSG_NOTED,      /* id u32: the answer to a MSG_ROOMS that wants one */
    MSG_OFFSET,     /* seq u64, offset u64: the offset behind the message of that seq, and all
                       that came before it for this worker is on the link before this */
    MSG_TICKETS,    /* keys bytes: those of TLS tickets from now on (ipc/tickets.h) */
    /* worker -> master */
    MSG_WORKER_HELLO = 64, /* version u32 */
    MSG_READY,             /* nothing: accepting from now on */
    MSG_ADMIT,             /* the fields of struct msg_admit: may this client in? */
    MSG_LEFT,              /* client u64, uid bytes, ended u8: an admitted client has gone; 1: its
                              session is over, for it was put out or left; 0: it may come back */
    MSG_COUNTERS = 68,     /* id u32 (that of MSG_COUNT; 0: unasked), values bytes: u64 each, those
                              of ipc/counters.h */
    MSG_ROOMS,   /* id u32 (not 0: MSG_NOTED, please), client u64, claimed u8, joined list, left
                    list: a client that is in has joined and left rooms, for a request (claimed 0)
                    or a new token (1); everybody's room and its user's are among them where that
                    concerns these.   Those it is in when it leaves are not told */
    MSG_ACTED,   /* id u32, clients u32: MSG_JOIN, MSG_LEAVE or MSG_DISCONNECT of that id is
                    done, so many clients were meant; each MSG_ROOMS of it came before */
    MSG_FETCHED, /* id u32, last u8, n u32, records bytes: n more of what MSG_FETCH asked for
                    (enum msg_what); last 1: it is over */
    MSG_REACHED, /* id u32, clients u32: MSG_EMIT of that id went to so many */
    MSG_ACK,     /* id u32, json bytes, attachments list: one of these has acknowledged it.
                    json: the first argument, with a placeholder for each attachment, or
                    nothing where there is none */
    MSG_SOURCES, /* id u32 (as of MSG_COUNTERS, which follows), n u32, records bytes: where the
                    connections of this worker come from, of those with most */
};

/* Who is meant by rooms and except: those in one of the rooms (none: all that are in) and
 * in none of except.  A room may be the Socket.IO id of a client. */
enum msg_select {
    MSG_SELECT_ROOMS,
    MSG_SELECT_IDS /* rooms are ids only, not names of rooms */
};

/* What is asked for, and what its records are, one behind the other. */
enum msg_what {
    MSG_WHAT_IDS,     /* id bytes: the Socket.IO ids of those who are meant */
    MSG_WHAT_ROOMS,   /* id u8, name bytes: all rooms, whoever is meant; id 1: a Socket.IO id */
    MSG_WHAT_SOCKETS, /* head bytes, handshake bytes, tail bytes: of each who is meant.  Text of
                         one JSON object, as fetchSockets() has it: head up to the value of
                         "handshake", that value, the rest */
    MSG_WHATS
};

enum msg_verdict { MSG_ADMIT_OK, MSG_ADMIT_USER_LIMIT, MSG_ADMIT_NO_MEMORY };

enum msg_kick {
    MSG_KICK_REPLACED, /* by a newer connection of the same user */
    MSG_KICK_TAKEN,    /* another connection has recovered its session */
    MSG_KICKS
};

/* "broadcast", "admit", ...; "unknown" for a number that is none. */
const char *msg_name(unsigned type);

/* 1 if what begins with these len bytes is, or becomes, a message with keys in it. */
int msg_is_secret(const void *data, size_t len);

/* Starts a message at the end of out; returns a mark for msg_end. */
size_t msg_begin(struct buf *out, enum msg_type type);
void msg_put_u8(struct buf *out, uint8_t value);
void msg_put_u32(struct buf *out, uint32_t value);
void msg_put_u64(struct buf *out, uint64_t value);
void msg_put_bytes(struct buf *out, const void *bytes, size_t len);
void msg_put_list(struct buf *out, const struct slices *list);
/* Fills in the length.  Returns 0, or -1 if out has failed: then what was put
 * since msg_begin is taken back, and so is the failure unless it is older. */
int msg_end(struct buf *out, size_t mark);

/* A message being read; fields are taken in order.  bad is set by the first get
 * that does not fit; later gets then give 0 or empty. */
struct msg {
    unsigned type;
    const uint8_t *at, *end;
    int bad;
    int starved; /* bad only for want of memory, which msg_get_list() needs */
};

/* Takes a message apart.  Returns the bytes it occupies in data, 0 if it is not
 * all there, -1 if its length is 0 or above max. */
long msg_decode(struct msg *msg, const void *data, size_t len, size_t max);
uint8_t msg_get_u8(struct msg *msg);
uint32_t msg_get_u32(struct msg *msg);
uint64_t msg_get_u64(struct msg *msg);
struct slice msg_get_bytes(struct msg *msg);
/* Appends to list, whose items borrow from the message.  Sets bad and starved without
 * memory. */
void msg_get_list(struct msg *msg, struct slices *list);
/* 0 if every field was there and nothing is left, else -1. */
int msg_close(const struct msg *msg);

/* MSG_BROADCAST as a whole, for it is built in one place and read in another.
 * Returns 0, or -1 without memory (out is as it was). */
int msg_put_broadcast(struct buf *out, uint64_t epoch, uint64_t seq, uint64_t received_us,
                      const struct broadcast *bc);
/* Its fields alone, for MSG_EMIT; as msg_put_u32() and its like. */
void msg_put_broadcast_fields(struct buf *out, uint64_t epoch, uint64_t seq, uint64_t received_us,
                              const struct broadcast *bc);

struct msg_broadcast {
    uint64_t epoch, seq, received_us, offset;
    uint32_t flags;
    struct slices rooms, except, attachments; /* reused; items borrow from the message */
    struct slice json;
};
/* Returns 0, -1 if the message is malformed, or 1 without memory. */
int msg_get_broadcast(struct msg *msg, struct msg_broadcast *out);
void msg_broadcast_clear(struct msg_broadcast *bc);

/* MSG_ADMIT, likewise; its fields are in this order. */
struct msg_admit {
    uint64_t client;
    struct slice uid;
    struct slices rooms;  /* of its token, in which it is from then on; reused */
    struct slice session; /* SESSION_LEN bytes: the id of its session, if it becomes a new one;
                             empty: it recovers none, and no other */
    struct slice pid;     /* PID_LEN bytes: of the session that it wants back; or empty */
    uint8_t has_offset;   /* 1: offset is the last that it has seen; 0: it has seen none */
    uint64_t offset;
    uint64_t opened_ms; /* with pid: socket_opened_ms() */
};
int msg_put_admit(struct buf *out, const struct msg_admit *admit);
/* Lengths are as said above, or it is malformed. */
int msg_get_admit(struct msg *msg, struct msg_admit *out);
void msg_admit_clear(struct msg_admit *admit);

/* And MSG_ADMITTED. */
struct msg_admitted {
    uint64_t client;
    uint8_t verdict;      /* enum msg_verdict */
    uint64_t epoch, seq;  /* of the stream at this point */
    struct slice pid;     /* PID_LEN bytes: of its session, for the client; empty: it has none */
    uint64_t offset;      /* at seq; 0: none */
    uint8_t resumed;      /* 1: it has its session back, and with it what follows; else empty */
    uint64_t from;        /* position in the history: what it has missed */
    struct slice session; /* SESSION_LEN bytes: the Socket.IO id that it goes by; empty: its own */
    uint8_t left;         /* which of the default rooms it is not in: enum msg_default */
    struct slices rooms;  /* all others that it is in, of its token too, as of msg_room(); reused */
};
enum msg_default { MSG_LEFT_EVERYBODY = 1, MSG_LEFT_OWN = 2, MSG_LEFT_ID = 4 };
int msg_put_admitted(struct buf *out, const struct msg_admitted *admitted);
int msg_get_admitted(struct msg *msg, struct msg_admitted *out);
void msg_admitted_clear(struct msg_admitted *admitted);

/* An item of msg_admitted.rooms is u64 since, and the name: it is in that room since the
 * message of that seq, which it does not get; 0: as long as its session. */
#define MSG_ROOM_HEAD 8
int msg_put_room(struct buf *out, uint64_t since, struct slice name); /* 0; -1 without memory */
struct slice msg_room(struct slice item, uint64_t *since);            /* len >= MSG_ROOM_HEAD */

#endif
