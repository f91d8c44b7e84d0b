#include "master/roomlist.h"

#include "nomem_nth.h"
#include "tap.h"

static struct directory directory;
static struct mirror mirror;

static void begin(void)
{
    directory_init(&directory);
    mirror_init(&mirror);
}

static void end(void)
{
    mirror_clear(&mirror);
    directory_clear(&directory);
}

static void user_join(const char *uid, unsigned lane, uint64_t client)
{
    if (directory_user_add(&directory, slice_str(uid), lane, client) < 0)
        abort();
}

static void join(unsigned lane, uint64_t client, const char *room)
{
    if (mirror_join(&mirror, &directory, lane, client, slice_str(room), 1) < 0)
        abort();
}

static int take(struct slices *rooms, const char *uid)
{
    rooms->n = 0;
    return roomlist_take(rooms, &directory, &mirror, slice_str(uid), SLICE("all"));
}

/* "ann,all,x": the rooms of uid. */
static const char *list(const char *uid)
{
    static char text[256];
    struct slices rooms = {0};
    size_t n = 0;

    if (take(&rooms, uid) != 0)
        return "not all";
    text[0] = '\0';
    for (size_t i = 0; i < rooms.n; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", n ? "," : "",
                              (int)rooms.at[i].len, rooms.at[i].ptr);
    slices_clear(&rooms);
    return text;
}

static void test_union(void)
{
    begin();
    is_str(list("ann"), "", "who is not here is in none");
    join(5, 5, "ann");
    is_str(list("ann"), "", "nor is a room of that name");
    user_join("ann", 1, 7);
    user_join("ann", 2, 7);
    user_join("bob", 1, 8);
    is_str(list("ann"), "ann,all", "who is in no further one");
    join(1, 7, "chat");
    join(1, 7, "b");
    join(1, 7, "ba");
    join(2, 7, "b");
    join(2, 7, "a");
    join(1, 8, "bob's");
    is_str(list("ann"), "ann,all,a,b,ba,chat", "those of all connections, each once, sorted");
    mirror_default_leave(&mirror, 2, 7, MIRROR_OWN);
    is_str(list("ann"), "ann,all,a,b,ba,chat", "the last has left a default one");
    mirror_default_join(&mirror, 2, 7, MIRROR_OWN, 0);
    mirror_default_leave(&mirror, 1, 7, MIRROR_OWN);
    mirror_default_leave(&mirror, 1, 7, MIRROR_EVERYBODY);
    is_str(list("ann"), "ann,all,a,b,ba,chat", "one has left the default ones");
    mirror_default_leave(&mirror, 2, 7, MIRROR_EVERYBODY);
    is_str(list("ann"), "ann,a,b,ba,chat", "both have left one");
    mirror_default_leave(&mirror, 2, 7, MIRROR_OWN);
    is_str(list("ann"), "a,b,ba,chat", "both have left both");
    join(1, 7, "ann");
    is_str(list("ann"), "a,ann,b,ba,chat", "the own one, joined again, is like any");
    mirror_default_join(&mirror, 2, 7, MIRROR_OWN, 0);
    is_str(list("ann"), "ann,a,b,ba,chat", "and listed once");
    end();
}

static void test_many(void)
{
    struct slices rooms = {0};
    char name[16];

    begin();
    user_join("ann", 1, 1);
    for (int i = 0; i < ROOMLIST_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        join(1, 1, name);
    }
    is_int(take(&rooms, "ann"), 0, "as many as may be listed");
    is_int(rooms.n, ROOMLIST_MAX + 2, "are");
    join(1, 1, "one more");
    is_int(take(&rooms, "ann"), 1, "one more");
    is_int(rooms.n, ROOMLIST_MAX + 2, "is not");
    end();
    begin();
    for (int i = 0; i < ROOMLIST_LOOKS_MAX - 1; i++)
        user_join("ann", 1, (uint64_t)i);
    user_join("ann", 1, ROOMLIST_LOOKS_MAX - 1);
    join(1, ROOMLIST_LOOKS_MAX - 1, "last");
    is_int(take(&rooms, "ann"), 0, "as many connections as are looked at");
    is_int(rooms.n, 3, "the last, too");
    user_join("ann", 1, ROOMLIST_LOOKS_MAX);
    join(1, ROOMLIST_LOOKS_MAX, "more");
    is_int(take(&rooms, "ann"), 1, "more are not");
    is_int(rooms.n, 3, "whatever these are in");
    slices_clear(&rooms);
    end();
}

static void test_memory(void)
{
    struct slices rooms = {0};
    int failed = 0, nth = 1;
    char name[16];

    begin();
    user_join("ann", 1, 1);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "%d", i);
        join(1, 1, name);
    }
    for (;; nth++) {
        int rc;
        slices_clear(&rooms);
        nomem_nth = nth;
        rc = take(&rooms, "ann");
        if (nomem_nth > 0)
            break;
        failed += rc < 0;
    }
    nomem_nth = 0;
    is_int(failed, nth - 1, "without memory it fails");
    is_int(rooms.n, 102, "and else it does not");
    slices_clear(&rooms);
    end();
}

int main(void)
{
    test_union();
    test_many();
    test_memory();
    return tap_done();
}
