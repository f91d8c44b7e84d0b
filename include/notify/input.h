/* input - what axr-notify is given on standard input. */
#ifndef NOTIFY_INPUT_H
#define NOTIFY_INPUT_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>

/* Appends all of it to text, as long as that is no longer than max bytes; what is called what
 * ("a token") is none that is longer.  Returns 0, or EXIT_FAILED when it has been said why not. */
int input_read(struct buf *text, size_t max, const char *what);

/* text without the blanks, tabs and line ends around it. */
struct slice input_trim(struct slice text);

#endif
