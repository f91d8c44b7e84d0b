#include "codec/msgpack.h"

#include <string.h>

/* Extension types of msgpack-lite. */
enum {
    LITE_REGEXP = 0x0a,
    LITE_BOOLEAN = 0x0b,
    LITE_STRING = 0x0c,
    LITE_DATE = 0x0d,
    LITE_ERROR = 0x0e,
    LITE_NUMBER = 0x0f,
    LITE_INT8ARRAY = 0x11,
    LITE_UINT8ARRAY = 0x12,
    LITE_INT16ARRAY = 0x13,
    LITE_UINT16ARRAY = 0x14,
    LITE_INT32ARRAY = 0x15,
    LITE_UINT32ARRAY = 0x16,
    LITE_FLOAT32ARRAY = 0x17,
    LITE_FLOAT64ARRAY = 0x18,
    LITE_UINT8CLAMPEDARRAY = 0x19,
    LITE_ARRAYBUFFER = 0x1a,
    LITE_BUFFER = 0x1b,
    LITE_DATAVIEW = 0x1d,
};

static const struct msgpack_dialect plain;

/* Big-endian, n <= 8. */
static uint64_t number(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

static int64_t signed_number(const uint8_t *bytes, size_t n)
{
    uint64_t value = number(bytes, n);

    switch (n) {
    case 1:
        return (int8_t)value;
    case 2:
        return (int16_t)value;
    case 4:
        return (int32_t)value;
    default:
        return (int64_t)value;
    }
}

static double real(uint64_t bits, size_t n)
{
    uint32_t bits32 = (uint32_t)bits;
    double value;
    float value32;

    if (n == sizeof(value32)) {
        memcpy(&value32, &bits32, sizeof(value32));
        return value32;
    }
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Seconds and nanoseconds, with the roundings of JavaScript's arithmetic. */
static void modern_timestamp(struct msgpack_item *item)
{
    const uint8_t *bytes = (const uint8_t *)item->bytes;
    uint64_t both;

    if (item->len == 4) {
        item->f = (double)number(bytes, 4) * 1e3;
    } else if (item->len == 8) {
        both = number(bytes, 8); /* 30 bits of nanoseconds, 34 of seconds */
        item->f = (double)(both & 0x3ffffffff) * 1e3 + (double)(both >> 34) / 1e6;
    } else if (item->len == 12) {
        item->f = (double)signed_number(bytes + 4, 8) * 1e3 + (double)number(bytes, 4) / 1e6;
    } else {
        return;
    }
    item->type = MSGPACK_DATE;
}

/* Turns an extension of msgpack-lite that holds one scalar into that scalar; it
 * stays what it is if it holds anything else. */
static void lite_unwrap(struct msgpack_item *item)
{
    struct msgpack_reader in = msgpack_read(msgpack_slice(item), &plain);
    struct msgpack_item held;
    int number, right;

    if (msgpack_next(&in, &held) != 0 || in.at != in.end)
        return;
    number = held.type == MSGPACK_UINT || held.type == MSGPACK_INT || held.type == MSGPACK_FLOAT;
    right = item->ext == LITE_BOOLEAN  ? held.type == MSGPACK_BOOL
            : item->ext == LITE_STRING ? held.type == MSGPACK_STR
                                       : number;
    if (!right)
        return;
    if (item->ext == LITE_DATE) {
        held.f = held.type == MSGPACK_UINT  ? (double)held.u
                 : held.type == MSGPACK_INT ? (double)held.i
                                            : held.f;
        held.type = MSGPACK_DATE;
    }
    *item = held;
}

static uint32_t vector_width(int ext)
{
    static const uint8_t widths[] = {1, 1, 2, 2, 4, 4, 4, 8, 1};

    return widths[ext - LITE_INT8ARRAY];
}

static void lite_ext(struct msgpack_item *item)
{
    switch (item->ext) {
    case 1: /* EvalError, RangeError, ... */
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case LITE_ERROR:
        item->type = MSGPACK_ERROR;
        break;
    case LITE_BOOLEAN:
    case LITE_STRING:
    case LITE_DATE:
    case LITE_NUMBER:
        lite_unwrap(item);
        break;
    case LITE_REGEXP:
    case LITE_DATAVIEW:
        item->type = MSGPACK_MAP;
        item->len = 0;
        break;
    case LITE_ARRAYBUFFER:
    case LITE_BUFFER:
        item->type = MSGPACK_BIN;
        break;
    default:
        if (item->ext < LITE_INT8ARRAY || item->ext > LITE_UINT8CLAMPEDARRAY ||
            item->len % vector_width(item->ext) != 0)
            break;
        item->type = MSGPACK_VECTOR;
        item->len /= vector_width(item->ext);
        break;
    }
}

static int modern_ext(struct msgpack_item *item, int fixed)
{
    if (item->ext == -1) {
        modern_timestamp(item);
    } else if (item->ext != 0) {
        lite_ext(item);
    } else if (!fixed) {
        item->type = MSGPACK_BIN;
    } else if (item->len == 1) {
        item->type = MSGPACK_UNDEFINED;
    } else if (item->len == 8) {
        item->type = MSGPACK_DATE;
        item->f = (double)signed_number((const uint8_t *)item->bytes, 8);
    } else if (item->len == 16) {
        /* d8 00 0f starts a buffer of 15 bytes of msgpack-js, and would be of
         * the same length here. */
        return -1;
    }
    return 0;
}

/* --- dialects ----------------------------------------------------------------- */

#define SHARED_FORMS                                                                               \
    [0x00] = {MSGPACK_NIL, 0, 0}, [0x02] = {MSGPACK_BOOL, 0, 0}, [0x03] = {MSGPACK_BOOL, 0, 1},    \
    [0x0a] = {MSGPACK_FLOAT, 4, 0}, [0x0b] = {MSGPACK_FLOAT, 8, 0}, [0x0c] = {MSGPACK_UINT, 1, 0}, \
    [0x0d] = {MSGPACK_UINT, 2, 0}, [0x0e] = {MSGPACK_UINT, 4, 0}, [0x0f] = {MSGPACK_UINT, 8, 0},   \
    [0x10] = {MSGPACK_INT, 1, 0}, [0x11] = {MSGPACK_INT, 2, 0}, [0x12] = {MSGPACK_INT, 4, 0},      \
    [0x13] = {MSGPACK_INT, 8, 0}, [0x1a] = {MSGPACK_STR, 2, 0}, [0x1b] = {MSGPACK_STR, 4, 0},      \
    [0x1c] = {MSGPACK_ARRAY, 2, 0}, [0x1d] = {MSGPACK_ARRAY, 4, 0}, [0x1e] = {MSGPACK_MAP, 2, 0},  \
    [0x1f] = {MSGPACK_MAP, 4, 0}

#define MODERN_FORMS                                                                               \
    SHARED_FORMS,                                                                                  \
        [0x04] = {MSGPACK_BIN, 1, 0}, [0x05] = {MSGPACK_BIN, 2, 0}, [0x06] = {MSGPACK_BIN, 4, 0},  \
        [0x07] = {MSGPACK_EXT, 1, 0}, [0x08] = {MSGPACK_EXT, 2, 0}, [0x09] = {MSGPACK_EXT, 4, 0},  \
        [0x14] = {MSGPACK_EXT, 0, 1}, [0x15] = {MSGPACK_EXT, 0, 2}, [0x16] = {MSGPACK_EXT, 0, 4},  \
        [0x17] = {MSGPACK_EXT, 0, 8}, [0x18] = {MSGPACK_EXT, 0, 16}, [0x19] = {MSGPACK_STR, 1, 0}

const struct msgpack_dialect msgpack_modern = {
    .name = "modern",
    .forms = {MODERN_FORMS},
    .ext = modern_ext,
};

/* What extensions hold: without a meaning of its own for extensions, or it would
 * call itself as often as they nest. */
static const struct msgpack_dialect plain = {.name = "plain", .forms = {MODERN_FORMS}};

const struct msgpack_dialect msgpack_js = {
    .name = "msgpack-js",
    .forms =
        {
            SHARED_FORMS,
            [0x04] = {MSGPACK_UNDEFINED, 0, 0},
            [0x18] = {MSGPACK_BIN, 2, 0},
            [0x19] = {MSGPACK_BIN, 4, 0},
        },
};

/* --- reading ------------------------------------------------------------------ */

struct msgpack_reader msgpack_read(struct slice input, const struct msgpack_dialect *dialect)
{
    const uint8_t *at = (const uint8_t *)(input.len > 0 ? input.ptr : "");

    return (struct msgpack_reader){at, at + input.len, dialect, 0};
}

static size_t left(const struct msgpack_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* Sets what follows the head of an item whose type and length are known. */
static inline int take_body(struct msgpack_reader *reader, struct msgpack_item *item)
{
    switch (item->type) {
    case MSGPACK_ARRAY:
        return item->len <= left(reader) ? 0 : -1;
    case MSGPACK_MAP:
        return item->len <= left(reader) / 2 ? 0 : -1;
    default:
        if (item->len > left(reader))
            return -1;
        item->bytes = (const char *)reader->at;
        reader->at += item->len;
        return 0;
    }
}

static int take_ext(struct msgpack_reader *reader, struct msgpack_item *item, int fixed)
{
    if (left(reader) == 0)
        return -1;
    item->ext = (int8_t)*reader->at++;
    if (take_body(reader, item) != 0)
        return -1;
    return reader->dialect->ext != NULL ? reader->dialect->ext(item, fixed) : 0;
}

/* An item of a head byte from 0xc0 to 0xdf, which has been read. */
static int take_form(struct msgpack_reader *reader, struct msgpack_item *item,
                     const struct msgpack_form *form)
{
    uint64_t value = form->fixed;

    if (form->field > left(reader))
        return -1;
    if (form->field > 0)
        value = number(reader->at, form->field);
    reader->at += form->field;
    item->type = (enum msgpack_type)form->type;
    switch (item->type) {
    case MSGPACK_INVALID:
        return -1;
    case MSGPACK_INT:
        item->i = signed_number(reader->at - form->field, form->field);
        return 0;
    case MSGPACK_FLOAT:
        item->f = real(value, form->field);
        return 0;
    case MSGPACK_STR:
        if (form->field == 2 && value < 256)
            reader->seen |= MSGPACK_SEEN_SHORT_STR16;
        item->len = (uint32_t)value;
        return take_body(reader, item);
    case MSGPACK_BIN:
        if (form->field == 1)
            reader->seen |= MSGPACK_SEEN_BIN8;
        item->len = (uint32_t)value;
        return take_body(reader, item);
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
        item->len = (uint32_t)value;
        return take_body(reader, item);
    case MSGPACK_EXT:
        item->len = (uint32_t)value;
        return take_ext(reader, item, form->field == 0);
    default:
        item->u = value;
        return 0;
    }
}

int msgpack_next(struct msgpack_reader *reader, struct msgpack_item *item)
{
    uint8_t head;

    if (reader->at == reader->end)
        return -1;
    head = *reader->at++;
    if (head < 0x80) {
        item->type = MSGPACK_UINT;
        item->u = head;
        return 0;
    }
    if (head >= 0xe0) {
        item->type = MSGPACK_INT;
        item->i = (int)head - 0x100;
        return 0;
    }
    if (head >= 0xc0)
        return take_form(reader, item, &reader->dialect->forms[head - 0xc0]);
    item->type = head < 0x90 ? MSGPACK_MAP : head < 0xa0 ? MSGPACK_ARRAY : MSGPACK_STR;
    item->len = head & (item->type == MSGPACK_STR ? 0x1f : 0x0f);
    return take_body(reader, item);
}

int msgpack_skip(struct msgpack_reader *reader, size_t n)
{
    struct msgpack_item item;

    /* What is still to come is one number, not a stack: each value takes at
     * least one byte, so it never gets past what is left. */
    while (n > 0) {
        if (n > left(reader) || msgpack_next(reader, &item) != 0)
            return -1;
        n--;
        if (item.type == MSGPACK_ARRAY)
            n += item.len;
        else if (item.type == MSGPACK_MAP)
            n += (size_t)item.len * 2;
    }
    return 0;
}

int msgpack_leave(struct msgpack_reader *reader, const struct msgpack_item *item)
{
    if (item->type == MSGPACK_ARRAY)
        return msgpack_skip(reader, item->len);
    if (item->type == MSGPACK_MAP)
        return msgpack_skip(reader, (size_t)item->len * 2);
    return 0;
}

struct msgpack_item msgpack_vector_at(const struct msgpack_item *vector, uint32_t i)
{
    uint32_t width = vector_width(vector->ext);
    const char *bytes = vector->bytes + (size_t)i * width;
    struct msgpack_item item = {.type = MSGPACK_UINT};
    uint8_t big[8];

    for (uint32_t k = 0; k < width; k++)
        big[k] = (uint8_t)bytes[width - 1 - k];
    switch (vector->ext) {
    case LITE_INT8ARRAY:
    case LITE_INT16ARRAY:
    case LITE_INT32ARRAY:
        item.type = MSGPACK_INT;
        item.i = signed_number(big, width);
        break;
    case LITE_FLOAT32ARRAY:
    case LITE_FLOAT64ARRAY:
        item.type = MSGPACK_FLOAT;
        item.f = real(number(big, width), width);
        break;
    default:
        item.u = number(big, width);
        break;
    }
    return item;
}
