/* claim - who a client is by its last good token: its user, and the rooms that a claim of it
 * names (auth:options:roomsClaim), which cost a client without any nothing.
 *
 * Everybody's room and that of the user are no rooms of a claim: the client is in them, or
 * has left them for a request, whatever its token says. */
#ifndef WORKER_CLAIM_H
#define WORKER_CLAIM_H

struct client;
struct rooms;
struct slices;
struct token_rooms;
struct token_user;

/* The client is this user, with the rooms, which are taken, from now on.  Returns 0, or -1
 * without memory (nothing changed). */
int claim_take(struct client *client, struct token_user *user);

/* It is nobody; before it is freed. */
void claim_forget(struct client *client);

/* NULL: none. */
const struct token_rooms *claim_rooms(const struct client *client);

/* Appends the rooms that it is to be in.  Returns 0, or -1 without memory. */
int claim_list(const struct client *client, struct slices *list);

/* The client, which is in, is the same user by another token, whose rooms are taken.  Appends
 * to gone those that only the token before named, and to come those that only this one names:
 * they are left and joined by whoever calls, but for those that every client has.  *before is
 * whose names are in gone, to be freed behind them.  Returns 0, or -1 without memory (nothing
 * changed, but for what is in gone and come). */
int claim_renew(struct client *client, struct token_user *user, struct token_rooms **before,
                struct slices *gone, struct slices *come);

/* Joins them.  Returns 0, or -1 without memory: then it may be in some. */
int claim_join(struct rooms *rooms, struct client *client);

#endif
