#include "master/directory.h"

#include "nomem_nth.h"
#include "tap.h"

static struct directory directory;

/* "user 1 2, room 3": what is called so, with its workers; "-" for nothing. */
static const char *called(const char *name)
{
    static char text[256];
    struct listing *listing = directory_find(&directory, slice_str(name));
    const struct user *user = listing != NULL ? listing_user(listing) : NULL;
    const struct held *room = listing != NULL ? listing_room(listing) : NULL;
    size_t at = 0, n = 0;
    unsigned lane;

    if (listing == NULL)
        return "-";
    if (user != NULL)
        n += (size_t)snprintf(text, sizeof(text), "user");
    while (user != NULL && (lane = user_next(user, &at, NULL)) != USER_END)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %u", lane);
    if (room != NULL)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%sroom", n > 0 ? ", " : "");
    at = 0;
    while (room != NULL && (lane = held_next(room, &at)) != HELD_END)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %u", lane);
    return text;
}

static struct listing *room_add(const char *name, unsigned lane)
{
    return directory_room_add(&directory, slice_str(name), lane);
}

static int user_join(const char *name, unsigned lane, uint64_t client)
{
    return directory_user_add(&directory, slice_str(name), lane, client);
}

static int user_leave(const char *name, unsigned lane, uint64_t client)
{
    return directory_user_take(&directory, slice_str(name), lane, client);
}

static void test_apart(void)
{
    struct listing *room;

    directory_init(&directory);
    is_str(called("ann"), "-", "nothing is called so");
    is_int(user_leave("ann", 1, 7), -1, "nobody can leave");
    is_int(user_join("ann", 1, 7), 0, "a user");
    is_str(called("ann"), "user 1", "is found");
    is_int(user_join("ann", 2, 7), 0, "twice");
    is_str(called("ann"), "user 1 2", "on two workers");
    is_int(user_leave("ann", 3, 7), -1, "not on a third");
    is_int(user_leave("ann", 1, 7), 0, "one goes");
    room = room_add("game", 3);
    ok(room != NULL && slice_eq(listing_name(room), SLICE("game")), "a room has its name");
    ok(room_add("game", 1) == room && room_add("game", 1) == room, "and stays where it is");
    is_str(called("game"), "room 3 1", "on two workers");
    ok(directory.users == 1 && directory.rooms == 1, "each is counted");
    directory_room_take(&directory, room, 3);
    directory_room_take(&directory, room, 1);
    is_str(called("game"), "room 1", "one client is left in it");
    directory_room_take(&directory, room, 1);
    is_str(called("game"), "-", "the room goes with its last");
    is_int(user_leave("ann", 2, 7), 0, "the user's last goes");
    is_str(called("ann"), "-", "and with it the user");
    ok(directory.users == 0 && directory.rooms == 0 && directory.names.count == 0,
       "nothing is left");
    ok(room_add("", 1) != NULL, "the empty name is a name");
    is_str(called(""), "room 1", "and is found");
    directory_clear(&directory);
}

static void test_both(void)
{
    struct listing *room;

    directory_init(&directory);
    user_join("bob", 1, 7);
    user_join("bob", 2, 8);
    room = room_add("bob", 3);
    ok(room != NULL, "a room that is called as a user is");
    is_str(called("bob"), "user 1 2, room 3", "both are found");
    ok(directory.users == 1 && directory.rooms == 1, "and counted");
    is_int(user_leave("bob", 1, 7), 0, "one of the user's goes");
    is_int(user_leave("bob", 2, 8), 0, "the other");
    is_str(called("bob"), "room 3", "the room stays");
    ok(directory_find(&directory, SLICE("bob")) == room, "where it is");
    is_int(user_join("bob", 1, 9), 0, "the user comes back");
    is_str(called("bob"), "user 1, room 3", "both are found");
    directory_room_take(&directory, room, 3);
    is_str(called("bob"), "user 1", "the room goes");
    is_int(user_leave("bob", 1, 9), 0, "the user's connection is known");
    is_str(called("bob"), "-", "and goes");
    user_join("eve", 1, 1);
    user_join("eve", 1, 2);
    room_add("eve", 1);
    room_add("eve", 2);
    directory_clear(&directory);
    ok(directory.users == 0 && directory.rooms == 0, "all are freed");
}

static void visit(struct slice uid, void *arg)
{
    char *names = arg;

    strncat(names, uid.ptr, uid.len);
}

static void test_each_user(void)
{
    char names[32] = "";
    uint32_t cursor = 0;
    struct listing *both, *room;

    directory_init(&directory);
    (void)user_join("ann", 1, 7);
    (void)user_join("ann", 2, 8);
    both = room_add("ann", 1);
    room = room_add("game", 1);
    do
        cursor = directory_scan_users(&directory, cursor, visit, names);
    while (cursor != 0);
    is_str(names, "ann", "each user once, and no room");
    directory_room_take(&directory, both, 1);
    directory_room_take(&directory, room, 1);
    directory_clear(&directory);
}

static void test_drop(void)
{
    directory_init(&directory);
    user_join("ann", 1, 1);
    user_join("bob", 1, 2);
    user_join("bob", 2, 3);
    user_join("eve", 1, 4);
    user_join("joe", 1, 5);
    room_add("eve", 1);
    room_add("joe", 1);
    room_add("joe", 2);
    room_add("ann", 2);
    room_add("game", 1);
    room_add("chat", 1);
    room_add("chat", 3);
    directory_drop_lane(&directory, 1);
    is_str(called("ann"), "room 2", "a worker ends: of both the room is left");
    is_str(called("bob"), "user 2", "of a user with two connections one");
    is_str(called("eve"), "-", "of both on that worker neither");
    is_str(called("joe"), "room 2", "nor the user");
    is_str(called("game"), "-", "a room goes with it");
    is_str(called("chat"), "room 3", "or stays where others are");
    ok(directory.users == 1 && directory.rooms == 3, "the counts are right");
    room_add("bob", 1);
    directory_drop_lane(&directory, 1);
    is_str(called("bob"), "user 2", "of both the user is left");
    directory_drop_lane(&directory, 2);
    directory_drop_lane(&directory, 3);
    is_int(directory.names.count, 0, "all go");
    directory_clear(&directory);
}

/* Each allocation of each step fails once: nothing changes by it. */
static void test_memory(void)
{
    int failed = 0, wrong = 0;

    directory_init(&directory);
    for (int step = 0; step < 6; step++) {
        char before[256];
        int rc;
        for (int nth = 1;; nth++) {
            static const char *const names[] = {"a", "b"};
            const char *name = names[step % 2];
            size_t count = directory.names.count;
            snprintf(before, sizeof(before), "%s", called(name));
            nomem_nth = nth;
            if (step < 2)
                rc = user_join(name, 1, 1);
            else if (step < 4)
                rc = room_add(name, 2) != NULL ? 0 : -1;
            else
                rc = room_add(name, 3) != NULL ? 0 : -1;
            if (nomem_nth > 0 || rc == 0)
                break;
            failed++;
            wrong += strcmp(before, called(name)) != 0 || directory.names.count != count;
        }
        nomem_nth = 0;
        wrong += rc != 0;
    }
    ok(failed >= 6 && wrong == 0, "without memory nothing changes (%d times)", failed);
    is_str(called("a"), "user 1, room 2 3", "and then it does");
    directory_clear(&directory);
}

int main(void)
{
    test_apart();
    test_both();
    test_each_user();
    test_drop();
    test_memory();
    return tap_done();
}
