/* assign - lines that set a variable, NAME=VALUE, as the shell and systemd have them, and
 * their words.  For the start only: ends the process without memory. */
#ifndef CONF_ASSIGN_H
#define CONF_ASSIGN_H

#include "base/buf.h"

#include <stddef.h>

#define ASSIGN_BLANKS " \t\r\n"
#define ASSIGN_NAME   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* Texts in their order, owned.  Zero-initialised is empty and valid. */
struct texts {
    char **at; /* NULL-terminated once something is in it */
    size_t n;
};

/* Takes text, which was allocated. */
void texts_add(struct texts *texts, char *text);

/* Adds the words of text, split at blanks that are not quoted. */
void texts_split(struct texts *texts, const char *text);

/* Of texts that are NAME=VALUE: the last value of that name, or NULL; the second one
 * takes an empty value for none. */
const char *texts_value(const struct texts *texts, const char *name, size_t len);
const char *texts_variable(const struct texts *texts, const char *name);

/* Frees them and overwrites them first. */
void texts_clear(struct texts *texts);

/* Who reads the line: only a shell knows $NAME, and what a script can do besides. */
enum assign_dialect { ASSIGN_PLAIN, ASSIGN_SHELL };

/* Takes the word that *at is at, without its quotes and with the values of vars in it;
 * *at moves behind it.  Returns it, allocated, or NULL if only a shell can tell. */
char *assign_word(const char **at, const struct texts *vars, enum assign_dialect dialect);

/* Adds NAME=VALUE at the start of the line to vars.  Returns 1, 0 if the line is
 * something else, or -1 if only a shell can tell the value. */
int assign_take(struct texts *vars, const char *line, enum assign_dialect dialect);

#endif
