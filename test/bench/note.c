#include "note.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t note_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint32_t note_user(uint32_t number, uint32_t users)
{
    return (uint32_t)(number * UINT32_C(2654435761)) % users;
}

/* --- msgpack --- */

static char *put_bytes(char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static char *put_number(char *at, uint64_t value, int bytes)
{
    while (bytes-- > 0)
        *at++ = (char)(value >> (8 * bytes));
    return at;
}

static char *put_string(char *at, const char *text)
{
    size_t len = strlen(text);

    if (len < 32) {
        *at++ = (char)(0xa0 | len);
    } else {
        *at++ = (char)0xda;
        at = put_number(at, len, 2);
    }
    return put_bytes(at, text, len);
}

/* [uid, { type: EVENT, data: ["msg", { t: uint64, n: uint32, p: str16 }], nsp }, options] */
#define HEAD                                                                                       \
    "\x93\xa5swarm\x83\xa4type\x02\xa4"                                                            \
    "data\x92\xa3msg\x83\xa1t\xcf"
#define NUMBER       "\xa1n\xce"
#define PAD          "\xa1p\xda"
#define LEN(literal) (sizeof(literal) - 1)

static size_t encode(char *dst, const struct note *note, const char *nsp, const char *room)
{
    char *at = put_bytes(dst, HEAD, LEN(HEAD));

    at = put_number(at, note->sent_ns, 8);
    at = put_bytes(at, NUMBER, LEN(NUMBER));
    at = put_number(at, note->number, 4);
    at = put_bytes(at, PAD, LEN(PAD));
    at = put_number(at, note->pad, 2);
    memset(at, 'x', note->pad);
    at = put_string(at + note->pad, "nsp");
    at = put_string(at, nsp);
    *at++ = (char)0x83;
    at = put_string(at, "rooms");
    *at++ = (char)0x91;
    at = put_string(at, room);
    at = put_string(at, "except");
    *at++ = (char)0x90;
    at = put_string(at, "flags");
    *at++ = (char)0x80;
    return (size_t)(at - dst);
}

static uint64_t number_at(const char *at, int bytes)
{
    uint64_t value = 0;

    for (int i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)at[i];
    return value;
}

int note_decode(struct note *note, const char *msgpack, size_t len)
{
    const char *number = msgpack + LEN(HEAD) + 8;
    const char *pad = number + LEN(NUMBER) + 4;
    size_t least = LEN(HEAD) + 8 + LEN(NUMBER) + 4 + LEN(PAD) + 2;

    if (len < least || memcmp(msgpack, HEAD, LEN(HEAD)) != 0 ||
        memcmp(number, NUMBER, LEN(NUMBER)) != 0 || memcmp(pad, PAD, LEN(PAD)) != 0)
        return -1;
    note->sent_ns = number_at(msgpack + LEN(HEAD), 8);
    note->number = (uint32_t)number_at(number + LEN(NUMBER), 4);
    note->pad = (uint32_t)number_at(pad + LEN(PAD), 2);
    return note->pad <= NOTE_PAD_MAX && note->pad <= len - least ? 0 : -1;
}

size_t note_publish(char *dst, const struct note *note, const char *key, const char *nsp,
                    const char *room)
{
    char body[NOTE_CAP];
    size_t len = encode(body, note, nsp, room);
    size_t channel = strlen(key) + strlen(nsp) + strlen(room) + 3;
    int n = sprintf(dst, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s#%s#%s#\r\n$%zu\r\n", channel, key, nsp,
                    room, len);

    memcpy(dst + n, body, len);
    memcpy(dst + n + len, "\r\n", 2);
    return (size_t)n + len + 2;
}

/* --- text --- */

size_t note_text(char *dst, const struct note *note, const char *nsp)
{
    int n = sprintf(dst, "42%s,[\"msg\",{\"t\":%llu,\"n\":%u,\"p\":\"", nsp,
                    (unsigned long long)note->sent_ns, note->number);

    memset(dst + n, 'x', note->pad);
    memcpy(dst + n + note->pad, "\"}]", 3);
    return (size_t)n + note->pad + 3;
}

static int skip(const char **at, const char *end, const char *literal, size_t len)
{
    if ((size_t)(end - *at) < len || memcmp(*at, literal, len) != 0)
        return -1;
    *at += len;
    return 0;
}

static uint64_t digits(const char **at, const char *end)
{
    uint64_t value = 0;

    while (*at < end && **at >= '0' && **at <= '9')
        value = value * 10 + (uint64_t)(*(*at)++ - '0');
    return value;
}

size_t note_offset(const char **at, const char *text, size_t len)
{
    const char *quote;

    if (len < 4 || memcmp(text + len - 2, "\"]", 2) != 0)
        return 0;
    quote = memrchr(text, '"', len - 2);
    if (quote == NULL || quote == text || quote[-1] != ',' || text + len - 3 - quote > 63)
        return 0;
    *at = quote + 1;
    return (size_t)(text + len - 2 - *at);
}

/* Of what is behind the note: the array's end, and the offset with its comma and quotes. */
static size_t end_len(const char *text, size_t len)
{
    const char *at;
    size_t n = note_offset(&at, text, len);

    return n > 0 ? n + 4 : 1;
}

int note_parse(struct note *note, const char *text, size_t len)
{
    const char *at = text, *end = text + len;

    if (skip(&at, end, "[\"msg\",{\"t\":", 12) != 0)
        return -1;
    note->sent_ns = digits(&at, end);
    if (skip(&at, end, ",\"n\":", 5) != 0)
        return -1;
    note->number = (uint32_t)digits(&at, end);
    if (skip(&at, end, ",\"p\":\"", 6) != 0)
        return -1;
    end -= end_len(text, len);
    if (text[len - 1] != ']' || end - at < 2 || memcmp(end - 2, "\"}", 2) != 0)
        return -1;
    note->pad = (uint32_t)(end - at - 2);
    return 0;
}
