/* Joining and leaving by names, with real rooms. */
#include "conf.h"
#include "engine/engine.h"
#include "log_file.h"
#include "nomem.h"
#include "tap.h"
#include "worker/client.h"
#include "worker/membership.h"
#include "worker/room.h"

static struct conf conf = {.rooms_per_client = 8};
static struct sio sio;
static struct rooms rooms;
static struct worker_stats stats;
static struct membership *membership;
static struct socket one_socket, other_socket;
static struct client one = {.socket = &one_socket, .uid = (char[]){'a', 'n'}, .uid_len = 2};
static struct client other = {.socket = &other_socket};
static struct slices list, joined, left;

struct socket *socket_by_sid(const struct sio *of, struct slice sid)
{
    if (of != &sio)
        abort();
    return slice_eq(sid, SLICE("sid-one"))     ? &one_socket
           : slice_eq(sid, SLICE("sid-other")) ? &other_socket
                                               : NULL;
}

size_t socket_sid(const struct socket *socket, char dst[SIO_SID_MAX])
{
    strcpy(dst, socket == &one_socket ? "sid-one" : "sid-other");
    return strlen(dst);
}

/* Names that are separated by commas. */
static const struct slices *names(const char *text)
{
    list.n = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, ",");

        slices_put(&list, (struct slice){text, n});
        text += n + (text[n] == ',');
    }
    return &list;
}

static const char *text_of(const struct slices *of)
{
    static char text[256];
    size_t n = 0;

    for (size_t i = 0; i < of->n; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i > 0 ? "," : "",
                              (int)of->at[i].len, of->at[i].ptr);
    text[n] = '\0';
    return text;
}

static void join(struct client *client, const char *text)
{
    joined.n = 0;
    membership_join(membership, client, names(text), &joined);
}

static void leave(struct client *client, const char *text)
{
    left.n = 0;
    names(text);
    membership_sort(&list);
    membership_leave(membership, client, &list, &left);
}

static size_t in_room(const char *name)
{
    const struct room *room = room_find(&rooms, slice_str(name));
    size_t n = 0;

    if (room != NULL)
        room_members(room, &n);
    return n;
}

static void begin(void)
{
    memset(&stats, 0, sizeof(stats));
    conf.rooms_per_client = 8;
    rooms_init(&rooms);
    log_begin();
    membership = membership_new(&conf, &sio, &rooms, &stats);
}

static void end(void)
{
    room_leave_all(&rooms, &one.member);
    room_leave_all(&rooms, &other.member);
    rooms_clear(&rooms);
    membership_free(&membership);
    ok(membership == NULL, "freed");
}

/* --- tests --- */

static void test_joining(void)
{
    static char longest[ROOM_NAME_MAX + 2];

    begin();
    join(&one, "a,b,a");
    is_str(text_of(&joined), "a,b", "joins each, once");
    join(&one, "b,c,");
    is_str(text_of(&joined), "c", "and that it was not in");
    join(&one, "sid-one");
    is_str(text_of(&joined), "", "its own id is no news");
    is_int((long)in_room("sid-one"), 0, "nor a room");
    join(&one, "sid-other");
    is_str(text_of(&joined), "sid-other", "another's is a room");
    is_int((long)stats.rooms_joined, 4, "counted");
    slices_put(&list, (struct slice){"", 0});
    joined.n = 0;
    membership_join(membership, &one, &list, &joined);
    is_int((long)(joined.n == 1 && joined.at[0].len == 0), 1, "the empty name is one");

    memset(longest, 'n', ROOM_NAME_MAX + 1);
    join(&one, longest);
    is_str(text_of(&joined), "", "a name that is too long");
    is_int((long)stats.rooms_refused[ROOM_NAME], 1, "is counted");
    is_int(logged("joins a room") + logged("name is too long: user=an rooms=5 limit=8 times=1"), 1,
           "and logged");
    longest[ROOM_NAME_MAX] = '\0';
    list.n = joined.n = 0;
    slices_put(&list, slice_str(longest));
    membership_join(membership, &one, &list, &joined);
    is_int((long)joined.n, 1, "one byte less is a name");
    end();
}

static void test_limit(void)
{
    begin();
    conf.rooms_per_client = 3;
    join(&one, "a,b,c,d,e");
    is_str(text_of(&joined), "a,b,c", "as many as it may have");
    is_int((long)stats.rooms_refused[ROOM_LIMIT], 2, "the others are counted");
    is_int(logged("joins no more: user=an rooms=3 limit=3 times=1"), 1, "and logged");
    join(&one, "a,f");
    is_str(text_of(&joined), "", "no more");
    is_int(logged("joins no more"), 1, "logged now and then");
    join(&other, "f");
    is_str(text_of(&joined), "f", "another may");
    leave(&one, "b");
    join(&one, "a,f,g");
    is_str(text_of(&joined), "f", "when it has left one it may, too");
    conf.rooms_per_client = 2;
    join(&one, "h");
    is_int((long)one.member.n, 3, "a lower limit takes nobody out");
    conf.rooms_per_client = 4;
    join(&one, "h");
    is_str(text_of(&joined), "h", "a higher one counts at once");
    end();
}

static void test_leaving(void)
{
    begin();
    join(&one, "a,b,cc,dd,e");
    join(&other, "a,b");
    leave(&one, "cc");
    is_str(text_of(&left), "cc", "one");
    is_int(one_socket.sidless, 0, "not that of its id");
    leave(&one, "cc,sid-one,nobody");
    is_str(text_of(&left), "", "which it is not in any more");
    is_int(one_socket.sidless, 1, "nor a room of its id");
    join(&one, "sid-one");
    is_int(one_socket.sidless, 0, "in which it is again");
    leave(&one, "sid-other");
    is_int(one_socket.sidless + other_socket.sidless, 0, "another's is none of it");
    leave(&one, "e,dd,a");
    is_str(text_of(&left), "a,e,dd", "some");
    is_int((long)one.member.n, 1, "one is left");
    join(&one, "cc,a,dd");
    leave(&one, "dd,x,xx,y,yy,z,b,zz,a,q");
    is_int((long)left.n, 3, "more names than it has rooms");
    ok(one.member.n == 1 && in_room("cc") == 1 && in_room("b") == 1 && in_room("a") == 1,
       "it has left those that it was in");
    is_int((long)stats.rooms_left, 7, "counted");
    leave(&one, "");
    is_int((long)left.n, 0, "no name, no room");
    leave(&one, "cc,x,y");
    is_str(text_of(&left), "cc", "the last one");
    is_int((long)one.member.n, 0, "is gone");
    end();
}

static void test_no_memory(void)
{
    begin();
    join(&one, "a");
    slices_clear(&joined);
    nomem = 1;
    join(&one, "b");
    is_int((long)(joined.n + in_room("b")), 0, "what could not be told is not done");
    is_int((long)stats.rooms_refused[ROOM_NO_MEMORY], 1, "counted");
    nomem = 0;
    join(&one, "b");
    is_str(text_of(&joined), "b", "later it is");
    slices_put(&list, SLICE("x"));
    nomem = 1; /* for a third seat */
    join(&one, "c");
    nomem = 0;
    is_int((long)(joined.n + in_room("c")), 0, "nor one for which there is no seat");
    is_int((long)stats.rooms_refused[ROOM_NO_MEMORY], 2, "counted");
    slices_clear(&left);
    nomem = 1;
    leave(&one, "a");
    nomem = 0;
    is_int((long)in_room("a"), 1, "nor is a room left");
    is_int((long)stats.rooms_refused[ROOM_NO_MEMORY], 3, "counted");
    end();
}

int main(void)
{
    log_begin_at(LOG_LEVEL_INFO);
    test_joining();
    test_limit();
    test_leaving();
    test_no_memory();
    slices_clear(&list);
    slices_clear(&joined);
    slices_clear(&left);
    log_end();
    return tap_done();
}
