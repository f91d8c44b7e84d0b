/* caps - the capabilities of this process: give up what it does not need. */
#ifndef BASE_CAPS_H
#define BASE_CAPS_H

/* Gives up every capability, in all five sets (what is effective, permitted, can
 * be inherited, is ambient, and can ever be had), but CAP_NET_BIND_SERVICE where
 * keep_bind is set and the process has it: then that stays effective and
 * permitted.  Without CAP_SETPCAP the bounding set stays as it is.
 * Returns 0, or -1 with errno: then some of it may be left. */
int caps_limit(int keep_bind);

/* The same, for a process that is about to become another user and then calls
 * caps_limit(): it keeps its permitted capabilities across that.  Gives the
 * bounding set up while it still can.  Returns 0, or -1 with errno. */
int caps_keep(void);

/* 1 if every capability but, where bind_allowed, CAP_NET_BIND_SERVICE is gone. */
int caps_are_limited(int bind_allowed);

#endif
