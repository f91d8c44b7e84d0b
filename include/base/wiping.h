/* wiping - of the copies that OpenSSL makes of a private key while it reads one, it frees
 * some as they are.  While this is on, all that it frees is overwritten first. */
#ifndef BASE_WIPING_H
#define BASE_WIPING_H

/* Before anything of OpenSSL is called; without it nothing is overwritten.  Returns 0, or -1 if
 * there is no memory for what OpenSSL needs from the start: nothing of it may be called then. */
int wiping_install(void);

void wiping_begin(void);
void wiping_end(void);

#endif
