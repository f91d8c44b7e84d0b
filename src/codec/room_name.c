#include "codec/room_name.h"

#include "codec/json.h"

#define NAME_MAX_BYTES 28 /* the mark and -1.2345678901234567e-308, and some more */

int room_name_put(struct once *once, struct slices *list, struct buf *numbers, size_t most,
                  double value)
{
    size_t start = numbers->len;
    struct slice name;
    int rc;

    /* All that they can ever take, for the list points to them.  One of these is mostly all,
     * and pages that are not written to cost nothing. */
    if (start == 0 && buf_reserve(numbers, (most + 1) * NAME_MAX_BYTES) == NULL)
        return -1;
    if (buf_putc(numbers, (uint8_t)ROOM_NAME_MARK) != 0 || json_put_double(numbers, value) != 0)
        return -1;
    name = (struct slice){(const char *)numbers->data + start, numbers->len - start};
    rc = once_put(once, list, name);
    if (rc <= 0)
        numbers->len = start;
    return rc;
}
