#include "master/directory.h"

#include <stdlib.h>
#include <string.h>

#define IS_USER 1
#define IS_ROOM 2
#define IS_BOTH 3

struct both {
    struct user user;
    struct held room;
};

/* Hundreds of thousands of these. */
struct listing {
    struct table_node node; /* first: a node is its listing */
    union {
        struct user user;  /* IS_USER only */
        struct held room;  /* IS_ROOM only */
        struct both *both; /* IS_BOTH */
    } at;
    uint8_t is; /* 0 only while it is made */
    char name[];
};

void directory_init(struct directory *directory)
{
    *directory = (struct directory){.users = 0};
    table_init(&directory->names);
}

static struct user *user_of(struct listing *listing)
{
    return listing->is == IS_BOTH ? &listing->at.both->user : &listing->at.user;
}

static struct held *room_of(struct listing *listing)
{
    return listing->is == IS_BOTH ? &listing->at.both->room : &listing->at.room;
}

static int visit_free(struct table_node *node, void *arg)
{
    struct listing *listing = (struct listing *)node;

    (void)arg;
    if (listing->is & IS_USER)
        user_drop_all(user_of(listing));
    if (listing->is & IS_ROOM)
        held_drop_all(room_of(listing));
    if (listing->is == IS_BOTH)
        free(listing->at.both);
    free(listing);
    return 0;
}

void directory_clear(struct directory *directory)
{
    table_each(&directory->names, visit_free, NULL);
    table_clear(&directory->names);
    directory->users = directory->rooms = 0;
}

struct listing *directory_find(const struct directory *directory, struct slice name)
{
    return (struct listing *)table_find(&directory->names, name.ptr, name.len);
}

struct slice listing_name(const struct listing *listing)
{
    return (struct slice){listing->name, listing->node.key_len};
}

struct user *listing_user(struct listing *listing)
{
    return listing->is & IS_USER ? user_of(listing) : NULL;
}

const struct held *listing_room(struct listing *listing)
{
    return listing->is & IS_ROOM ? room_of(listing) : NULL;
}

/* --- names come and go -------------------------------------------------------- */

/* In the table, and calls nothing yet. */
static struct listing *listing_new(struct directory *directory, struct slice name)
{
    struct listing *listing;

    if (name.len > UINT32_MAX - sizeof(*listing))
        return NULL;
    listing = malloc(offsetof(struct listing, name) + name.len);
    if (listing == NULL)
        return NULL;
    if (name.len > 0)
        memcpy(listing->name, name.ptr, name.len);
    listing->node = (struct table_node){.key = listing->name, .key_len = (uint32_t)name.len};
    listing->is = 0;
    if (table_insert(&directory->names, &listing->node) < 0) {
        free(listing);
        return NULL;
    }
    return listing;
}

/* Place for what (IS_USER or IS_ROOM), which it does not call yet.  Returns 0, or -1
 * without memory. */
static int listing_begin(struct directory *directory, struct listing *listing, uint8_t what)
{
    if (listing->is != 0) {
        struct both *both = malloc(sizeof(*both));

        if (both == NULL)
            return -1;
        if (listing->is == IS_USER)
            both->user = listing->at.user;
        else
            both->room = listing->at.room;
        listing->at.both = both;
    }
    listing->is |= what;
    directory->users += what == IS_USER;
    directory->rooms += what == IS_ROOM;
    return 0;
}

/* It does not call what (one of them, or both) any more.  What calls nothing is freed. */
static void listing_end(struct directory *directory, struct listing *listing, uint8_t what)
{
    struct both *both = listing->at.both;

    directory->users -= (what & IS_USER) != 0;
    directory->rooms -= (what & IS_ROOM) != 0;
    if (listing->is == what) {
        if (what == IS_BOTH)
            free(both);
        table_remove(&directory->names, &listing->node);
        free(listing);
        return;
    }
    listing->is = IS_BOTH - what;
    if (what == IS_ROOM)
        listing->at.user = both->user;
    else
        listing->at.room = both->room;
    free(both);
}

/* --- users -------------------------------------------------------------------- */

int directory_user_add(struct directory *directory, struct slice name, unsigned lane,
                       uint64_t client)
{
    struct listing *listing = directory_find(directory, name);

    if (listing != NULL && listing->is & IS_USER)
        return user_add(user_of(listing), lane, client);
    if (listing == NULL)
        listing = listing_new(directory, name);
    if (listing == NULL || listing_begin(directory, listing, IS_USER) < 0)
        return -1;
    user_init(user_of(listing), lane, client);
    return 0;
}

int directory_user_take(struct directory *directory, struct slice name, unsigned lane,
                        uint64_t client)
{
    struct listing *listing = directory_find(directory, name);
    struct user *user = listing != NULL ? listing_user(listing) : NULL;

    if (user == NULL || user_take(user, lane, client) < 0)
        return -1;
    if (user_count(user) == 0)
        listing_end(directory, listing, IS_USER);
    return 0;
}

/* --- rooms -------------------------------------------------------------------- */

struct listing *directory_room_add(struct directory *directory, struct slice name, unsigned lane)
{
    struct listing *listing = directory_find(directory, name);

    if (listing != NULL && listing->is & IS_ROOM)
        return held_add(room_of(listing), lane) == 0 ? listing : NULL;
    if (listing == NULL)
        listing = listing_new(directory, name);
    if (listing == NULL || listing_begin(directory, listing, IS_ROOM) < 0)
        return NULL;
    held_init(room_of(listing), lane);
    return listing;
}

void directory_room_take(struct directory *directory, struct listing *room, unsigned lane)
{
    struct held *held = room_of(room);

    held_take(held, lane);
    if (held_is_empty(held))
        listing_end(directory, room, IS_ROOM);
}

/* --- a worker's end ------------------------------------------------------------- */

struct leaver {
    struct directory *directory;
    unsigned lane;
};

static int visit_drop(struct table_node *node, void *arg)
{
    const struct leaver *leaver = arg;
    struct listing *listing = (struct listing *)node;
    uint8_t gone = 0;

    if (listing->is & IS_USER) {
        user_drop_lane(user_of(listing), leaver->lane);
        gone |= user_count(user_of(listing)) == 0 ? IS_USER : 0;
    }
    if (listing->is & IS_ROOM) {
        held_drop_lane(room_of(listing), leaver->lane);
        gone |= held_is_empty(room_of(listing)) ? IS_ROOM : 0;
    }
    if (gone)
        listing_end(leaver->directory, listing, gone);
    return 0;
}

/* Walks the whole table: a worker dies rarely, and a list of what each holds would cost
 * every name two pointers. */
void directory_drop_lane(struct directory *directory, unsigned lane)
{
    table_each(&directory->names, visit_drop, &(struct leaver){directory, lane});
}

struct caller {
    unsigned lane;
    void (*visit)(struct slice uid, uint64_t client, void *arg);
    void *arg;
};

static int visit_clients(struct table_node *node, void *arg)
{
    struct listing *listing = (struct listing *)node;
    const struct user *user = listing_user(listing);
    const struct caller *caller = arg;
    unsigned lane;
    uint64_t client;
    size_t at = 0;

    while (user != NULL && (lane = user_next(user, &at, &client)) != USER_END)
        if (lane == caller->lane)
            caller->visit(listing_name(listing), client, caller->arg);
    return 0;
}

void directory_each_client(struct directory *directory, unsigned lane,
                           void (*visit)(struct slice uid, uint64_t client, void *arg), void *arg)
{
    table_each(&directory->names, visit_clients, &(struct caller){lane, visit, arg});
}

struct visitor {
    void (*visit)(struct slice uid, void *arg);
    void *arg;
};

static void visit_user(const struct table_node *node, void *arg)
{
    const struct listing *listing = (const struct listing *)node;
    const struct visitor *visitor = arg;

    if (listing->is & IS_USER)
        visitor->visit(listing_name(listing), visitor->arg);
}

uint32_t directory_scan_users(const struct directory *directory, uint32_t cursor,
                              void (*visit)(struct slice uid, void *arg), void *arg)
{
    return table_scan(&directory->names, cursor, visit_user, &(struct visitor){visit, arg});
}
