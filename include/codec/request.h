/* request - what servers and emitters ask of the servers of a cluster, and the answers.
 *
 * Requests come on "<key>-request#<nsp>#": JSON where the first byte is '{', else msgpack
 * (socket.io-redis and @socket.io/redis-adapter, onrequest(); @socket.io/redis-emitter).
 * Nothing in them is trusted.
 *
 *            socket.io-redis 2 to 5           socket.io-redis 6, redis-adapter 7 and 8
 *            {"requestid", "type", ...        {"requestId", "type", "uid", ...
 *      0     rooms        SOCKETS             rooms               SOCKETS
 *      1     sid          CLIENT_ROOMS                            ALL_ROOMS
 *      2                  ALL_ROOMS           opts, rooms         JOIN; or sid, room
 *      3     sid, room    JOIN                opts, rooms         LEAVE; or sid, room
 *      4     sid, room    LEAVE               opts, close         DISCONNECT; or sid, close
 *      5     data         CUSTOM              opts                FETCH
 *      6     sid, close   DISCONNECT          data                SERVER_SIDE_EMIT
 *      7                                      packet, opts        BROADCAST; msgpack
 *
 * opts are {rooms, except}, those of BROADCAST also {flags: {timeout}}.  Emitters send 2, 3
 * and 4 with opts and without an id.  What has only a requestid is of the older kind.
 *
 * What is taken: keys in any order, unknown keys; of a key that comes twice the last counts,
 * as in JavaScript.  Text that is not UTF-8 has U+FFFD in place of what is wrong, as
 * Buffer.toString() has it.  rooms and except missing, null, "" or [] are none; a string or
 * number is one room, also where opts should hold an array (a server makes the letters of it
 * rooms).  close is what JavaScript takes for true.  2, 3 and 4 without opts and without a sid
 * do nothing on a server: malformed, for "all" is not what they say.
 *
 * Names of rooms are those of room_name.h.  What is neither string nor number, or a string
 * with half a surrogate pair, is a room that nobody can be in: in rooms such a room alone is
 * ROOM_NAME_NOBODY, so that nobody is meant, in except and names it is left out. */
#ifndef CODEC_REQUEST_H
#define CODEC_REQUEST_H

#include "base/slice.h"
#include "codec/broadcast.h"
#include "codec/emit.h"

#include <stddef.h>
#include <stdint.h>

enum request_type {
    REQUEST_SOCKETS,
    REQUEST_ALL_ROOMS,
    REQUEST_CLIENT_ROOMS,
    REQUEST_JOIN,
    REQUEST_LEAVE,
    REQUEST_DISCONNECT,
    REQUEST_FETCH,
    REQUEST_SERVER_SIDE_EMIT,
    REQUEST_CUSTOM,
    REQUEST_BROADCAST,
    REQUEST_TYPES /* how many there are; as a type: none of these */
};

enum request_result {
    REQUEST_OK,
    REQUEST_UNKNOWN,         /* no type that there is */
    REQUEST_MALFORMED,       /* neither JSON nor msgpack, or not of the right shape */
    REQUEST_TOO_LARGE,       /* above limits:messageBytes, more than EMIT_ROOMS_MAX different
                                rooms, or more than REQUEST_VALUES_MAX values where rooms are */
    REQUEST_OTHER_NAMESPACE, /* a packet for a namespace that is not ours */
    REQUEST_BAD_EVENT,       /* a packet without a name of an event, with a reserved one, or
                                with more than limits:attachments */
    REQUEST_NO_MEMORY,
    REQUEST_RESULTS /* how many there are */
};

#define REQUEST_ID_MAX 256 /* bytes of an id, as JSON; of a uid */
#define REQUEST_VALUES_MAX                                                                         \
    65536 /* in all of rooms, except and names: cJSON takes 80 bytes a value */

#define REQUEST_TREES 6 /* that hold a name: of rooms, except, names, sid, uid, nsp or event */

struct cJSON;

/* Zero is one that has nothing, and valid.  Slices borrow from the payload and from what is
 * private: until the payload goes, the next decode or request_clear(). */
struct request {
    enum request_type type;
    int is_old;                  /* it has a requestid */
    struct slice id;             /* JSON text of its id, a string or number.  Empty: it has
                                    none, or no answer is wanted */
    struct slice uid;            /* of the sender; empty: none, or not a string */
    int by_id;                   /* rooms is one Socket.IO id: whoever has that client answers,
                                    and nobody else */
    struct slices rooms, except; /* who is meant, each once; of a BROADCAST: see bc */
    struct slices names;         /* JOIN, LEAVE: each once */
    int close;                   /* DISCONNECT */
    uint32_t timeout_ms;         /* BROADCAST: flags.timeout; 0: none */
    struct broadcast bc;         /* BROADCAST: as of emit_decode(), but without flags, which
                                    servers do not heed there either */
    /* private */
    struct buf text;  /* the payload as UTF-8, where it is not */
    struct buf words; /* the id, where it did not come as JSON */
    struct buf clean; /* one value, before it becomes a tree */
    struct cJSON
        *trees[REQUEST_TREES]; /* what holds names: of rooms, except, names, sid, uid, event */
    size_t ntrees, nvalues;
    int starved;           /* there was no memory to read a number */
    struct buf numbers[3]; /* names of rooms that are numbers: rooms, except, names */
    struct once once;
};

/* Decodes one request; nsp is our namespace, which a BROADCAST without one is for.
 * Where that fails, type, id and uid are there as far as they are known: with an id and a type
 * a request that is wrong in part can still be answered, as if nobody were meant.  It has no
 * id where that would be wrong. */
enum request_result request_decode(struct request *request, struct slice payload, struct slice nsp,
                                   const struct emit_limits *limits);

/* Frees what it holds; it is empty and valid again.  Otherwise the memory of a large one stays
 * until the next decode. */
void request_clear(struct request *request);

/* "sockets", "all_rooms", ...; "unknown" for REQUEST_TYPES. */
const char *request_type_name(enum request_type type);

/* "malformed", "too_large", ...; never NULL. */
const char *request_result_name(enum request_result result);

/* --- request_put.c: answers.  Each appends to out a message, or a part of one, and returns 0,
 * or -1 without memory (out->failed is set). ---
 *
 * SOCKETS, ALL_ROOMS, CLIENT_ROOMS and FETCH are answered with a list: its head, then values
 * (JSON) with commas between them, then its tail. */
int request_put_head(struct buf *out, const struct request *request);
int request_put_tail(struct buf *out);

/* That it was done: JOIN, LEAVE and DISCONNECT by_id. */
int request_put_done(struct buf *out, const struct request *request);

/* SERVER_SIDE_EMIT and CUSTOM: null, for there is nobody here to say more. */
int request_put_null(struct buf *out, const struct request *request);

/* BROADCAST: to how many it goes; then one for each of them that acknowledges it, with json,
 * its first argument, in which there is a placeholder for each attachment.  json is empty where
 * there is no argument; what is no JSON is taken for that. */
int request_put_count(struct buf *out, const struct request *request, uint64_t clients);
int request_put_ack(struct buf *out, const struct request *request, struct slice json,
                    const struct slices *attachments);

/* The name of a room as JSON: a string, or the number. */
int request_put_room(struct buf *out, struct slice name);

/* Channels: "<key>-request#<nsp>#", "<key>-response#<nsp>#" and, with a uid,
 * "<key>-response#<nsp>#<uid>#". */
int request_channel(struct buf *out, struct slice key, struct slice nsp);
int response_channel(struct buf *out, struct slice key, struct slice nsp, struct slice uid);

/* --- request_ask.c: what we ask, and what comes back --- */

/* A broadcast with acknowledgements. */
struct request_broadcast {
    struct slice uid, id; /* ours, and its own: ASCII without quotes or backslashes */
    struct slice nsp;
    const struct slices *rooms, *except; /* as in struct broadcast */
    uint32_t flags;                      /* enum broadcast_flags */
    uint32_t timeout_ms;                 /* 0: none */
    struct slice json;                   /* array of the event and its arguments, complete */
};

/* Appends the payload (msgpack), or that of serverSideEmit() of an event with one argument
 * (JSON), to which nobody is to answer.  0; -1 if json is not what it should be, -2 without
 * memory. */
int request_put_broadcast(struct buf *out, const struct request_broadcast *broadcast);
int request_put_server_side_emit(struct buf *out, struct slice uid, struct slice event,
                                 struct slice json);

/* FETCH and DISCONNECT of the clients in a room, as JSON; the latter is not answered.  0, or -1
 * without memory. */
int request_put_fetch(struct buf *out, struct slice uid, struct slice id, struct slice room);
int request_put_disconnect(struct buf *out, struct slice uid, struct slice room, int close);

enum answer_type {
    ANSWER_NONE,     /* to another request, or none at all */
    ANSWER_COUNT,    /* of one server: it goes to so many clients */
    ANSWER_ACK,      /* of one client */
    ANSWER_NO_MEMORY /* to read it */
};

/* Zero is one that has nothing, and valid. */
struct answer {
    double clients;            /* ANSWER_COUNT: a whole number, up to 2^32 - 1 */
    struct slice json;         /* ANSWER_ACK: the argument, a value with a placeholder for
                                  each attachment; empty: there is none, or one that cannot
                                  be shown (nested too deep, too many attachments) */
    struct slices attachments; /* ... borrowed from the payload */
    struct broadcast bc;       /* private */
};

/* What payload, which came on one of our response channels, has to do with the broadcast of
 * that id.  *answer is valid until the payload goes or the next call. */
enum answer_type answer_decode(struct answer *answer, struct slice payload, struct slice id,
                               const struct emit_limits *limits);

/* One of the clients in an answer to FETCH: JSON text as it came, empty where it is missing. */
struct answer_client {
    struct slice id, rooms;       /* a text, a list; else it is none */
    struct slice uid;             /* of its data: a text; whose it is, if it is of a daemon */
    struct slice address, issued; /* of its handshake: a text; ms since 1970, a number */
};

/* Visits each client in payload, if that is an answer to the FETCH of that id.  Returns how many
 * there are, or -1 if it is none. */
long answer_clients(struct slice payload, struct slice id,
                    void (*visit)(const struct answer_client *client, void *arg), void *arg);

/* Frees what it holds; it is empty and valid again. */
void answer_clear(struct answer *answer);

#endif
