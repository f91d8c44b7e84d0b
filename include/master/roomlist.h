/* roomlist - which rooms a user is in, with all its connections: for whoever asks. */
#ifndef MASTER_ROOMLIST_H
#define MASTER_ROOMLIST_H

#include "base/slices.h"
#include "master/directory.h"
#include "master/mirror.h"

#include <stddef.h>

#define ROOMLIST_MAX       1000   /* rooms that are listed */
#define ROOMLIST_LOOKS_MAX 100000 /* rooms of connections that are looked at */

/* Puts the rooms that the connections of uid are in into rooms (empty), each once: its own
 * and everybody, where one of them has not left it, then the others, sorted by their bytes.
 * everybody and uid are borrowed, the others until the next change.  Returns 0; 1 if there
 * are, or may be, more; -1 without memory. */
int roomlist_take(struct slices *rooms, const struct directory *directory,
                  const struct mirror *mirror, struct slice uid, struct slice everybody);

#endif
