/* note - the notification that the benchmark sends: the event "msg" with the
 * object { t, n, p }: when it was published, its number, and padding.
 *
 * In redis it is what an emitter publishes (msgpack), at a client it is Socket.IO
 * text.  Numbers are written in msgpack at full width, so that a program without
 * a msgpack reader finds them at fixed places. */
#ifndef BENCH_NOTE_H
#define BENCH_NOTE_H

#include <stddef.h>
#include <stdint.h>

#define NOTE_PAD_MAX 60000 /* bytes */
#define NOTE_ROOM    "allusers"
#define NOTE_CAP     (NOTE_PAD_MAX + 1024) /* bytes that hold any note in any form here */

struct note {
    uint64_t sent_ns; /* CLOCK_MONOTONIC */
    uint32_t number;
    uint32_t pad; /* bytes of padding */
};

uint64_t note_now_ns(void);

/* The user that note number goes to when each goes to one of users. */
uint32_t note_user(uint32_t number, uint32_t users);

/* Writes redis's PUBLISH of note to room in the namespace nsp, for the servers that listen
 * to key; dst holds NOTE_CAP bytes, room and nsp together at most 500.  Returns the length. */
size_t note_publish(char *dst, const struct note *note, const char *key, const char *nsp,
                    const char *room);

/* Reads back what note_publish() has put into one message.  Returns 0, or -1 if it is another. */
int note_decode(struct note *note, const char *msgpack, size_t len);

/* The text for clients of nsp, from the "42" on; dst holds NOTE_CAP bytes.  Returns the length. */
size_t note_text(char *dst, const struct note *note, const char *nsp);

/* Reads text that begins behind "42" and the namespace (and its comma), with an offset of
 * connection state recovery behind the note or without one.
 * Returns 0, or -1 if it is another event or not whole. */
int note_parse(struct note *note, const char *text, size_t len);

/* The last argument of an event, if it is a string of 1 to 63 characters: returns its length and
 * where it begins; else 0. */
size_t note_offset(const char **at, const char *text, size_t len);

#endif
