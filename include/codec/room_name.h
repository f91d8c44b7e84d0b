/* room_name - names of rooms that no string from outside is.
 *
 * A room of a Node server is a value, and 42 and "42" are two.  Here a name is bytes, those
 * of a string UTF-8, and what is no UTF-8 is free for the others: "\xff" and the digits of a
 * number, as json_put_double() writes them, and "\xff" alone for what is neither string nor
 * number, a room that nobody can be in.  Whoever compares, keeps or sends names need not know;
 * who writes one as JSON calls request_put_room(). */
#ifndef CODEC_ROOM_NAME_H
#define CODEC_ROOM_NAME_H

#include "base/buf.h"
#include "codec/once.h"

#define ROOM_NAME_MARK   '\xff'
#define ROOM_NAME_NOBODY SLICE("\xff")

/* Appends the room that is the number value, which is finite, to the list of once_begin(), as
 * once_put() does.  Its name is in numbers, which is the list's own, emptied with it, and
 * where the list gets at most `most` names in all does not move.  Returns 1, 0 or -1 as
 * once_put() does. */
int room_name_put(struct once *once, struct slices *list, struct buf *numbers, size_t most,
                  double value);

#endif
