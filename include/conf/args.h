/* conf/args - a command line, split into the program's own options and the
 * configuration's.
 *
 *     prog [-c FILE] [--KEY VALUE | --KEY=VALUE]... [own options] [OPERAND]...
 *
 * Options and operands may be mixed; "--" ends the options.  Short options may
 * share a word (-dt, -cFILE).  "-" alone, and a dash before a digit, is an
 * operand.  Every long option that is not the program's own is a KEY; whether
 * there is such a key is for conf_load() to say. */
#ifndef CONF_ARGS_H
#define CONF_ARGS_H

#include "base/buf.h"
#include "conf.h"

#include <stddef.h>

/* One option of the program's own. */
struct args_option {
    const char *name; /* with its dashes: "-t", "--version" */
    int id;           /* not 0 */
    int takes_value;  /* --to ROOM, --to=ROOM; -o VALUE, -oVALUE */
};

/* Called for each own option, in order, with its value or NULL, and for each
 * operand with id 0.  value is borrowed from argv.  Returns 0 to go on, or -1
 * to stop, after it has put a message into errors. */
typedef int args_visit(int id, const char *value, void *arg, struct buf *errors);

/* Fills *args from argv[1] to argv[argc - 1], from envp and from the working
 * directory.  All of it is copied, so that a reload sees what the start saw;
 * then the values of keys that are secret are overwritten in argv and envp, where
 * ps(1) would show them.
 * Returns 0, or -1 with a message (one line) in errors: a usage error.  Free
 * *args with conf_args_clear() either way. */
int conf_args_split(struct conf_args *args, int argc, char **argv, char **envp,
                    const struct args_option *own, size_t nown, args_visit *visit, void *arg,
                    struct buf *errors);

/* In a child: overwrites what conf_args_split() has copied, but for the names of the file
 * and the directory. */
void conf_args_wipe(struct conf_args *args);

/* Frees and overwrites what conf_args_split() has copied. */
void conf_args_clear(struct conf_args *args);

#endif
