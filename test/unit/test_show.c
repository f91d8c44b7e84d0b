#include "codec/broadcast.h"
#include "codec/request.h"
#include "codec/room_name.h"
#include "master/route.h"
#include "master/show.h"

#include "log_file.h"
#include "tap.h"

static struct slice alice[] = {SLICE("alice"), SLICE("b b")}, carol[] = {SLICE("carol")};
static struct route_targets both = {.n = 2, .lanes = {0, 2}}, none;

static void test_notification(void)
{
    struct broadcast bc = {.rooms = {alice, 2, 2}};

    buf_puts(&bc.json, "[\"msg\",{\"secret\":1}]");
    show_notification(&bc, &both);
    is_int(logged("notification: event=msg rooms=alice,b\\x20b workers=1,3\n"), 1,
           "to rooms on two workers");
    bc.rooms.n = 0;
    bc.except = (struct slices){carol, 1, 1};
    show_notification(&bc, &none);
    is_int(logged("notification: event=msg rooms=* except=carol workers=nobody\n"), 1,
           "to all but some, and there is nobody");
    is_int(logged("secret"), 0, "no payload");
    buf_free(&bc.json);
}

static void test_request(void)
{
    struct request request = {.type = REQUEST_JOIN, .rooms = {alice, 1, 1}, .names = {carol, 1, 1}};

    show_request(&request, &both);
    is_int(logged("request: type=join rooms=alice names=carol workers=1,3\n"), 1, "a join");
    request = (struct request){.type = REQUEST_DISCONNECT, .except = {alice, 2, 2}};
    show_request(&request, &none);
    is_int(logged("request: type=disconnect rooms=* except=alice,b\\x20b workers=nobody\n"), 1,
           "a disconnect");
    request = (struct request){.type = REQUEST_FETCH, .rooms = {carol, 1, 1}};
    show_request(&request, NULL);
    is_int(logged("request: type=fetch rooms=carol\n"), 1, "a query");
}

static void test_many(void)
{
    struct slice rooms[1000];
    struct broadcast bc = {.rooms = {rooms, 1000, 1000}};
    char long_name[3000];

    memset(long_name, 'n', sizeof(long_name));
    for (int i = 0; i < 1000; i++)
        rooms[i] = (struct slice){long_name, sizeof(long_name)};
    buf_puts(&bc.json, "[\"\"]");
    show_notification(&bc, &both);
    is_int(logged(",...(1000) workers=1,3\n"), 1, "what is too much is not shown");
    buf_free(&bc.json);
}

static void test_unheard(void)
{
    struct slice mixed[] = {SLICE("a b"), ROOM_NAME_NOBODY, SLICE("\xff-1.5"),
                            SLICE("\xff"
                                  "42")};
    struct broadcast bc = {.rooms = {alice, 2, 2}};

    buf_puts(&bc.json, "[\"msg\",{\"secret\":1}]");
    is_int(show_has_number(&bc), 0, "rooms that are text");
    show_unheard(&bc, 3);
    is_int(logged("nobody here is in these rooms: event=msg rooms=alice,b\\x20b times=3\n"), 1,
           "rooms that nobody is in");
    bc.rooms = (struct slices){mixed, 2, 2};
    is_int(show_has_number(&bc), 0, "what has no name is no number");
    bc.rooms = (struct slices){mixed, 4, 4};
    is_int(show_has_number(&bc), 1, "a number among others");
    show_number(&bc, 1);
    is_int(logged("String(id): event=msg room=-1.5 times=1\n"), 1, "which is named");
    show_no_room(SLICE("socket.io#/axr#undefined#\n"), 2);
    is_int(logged("a variable that is not set: channel=socket.io#/axr#undefined#\\x0a times=2\n"),
           1, "where the rooms have no name the channel tells");
    buf_free(&bc.json);
}

int main(void)
{
    log_begin_at(LOG_LEVEL_DEBUG);
    test_notification();
    test_request();
    test_many();
    test_unheard();
    log_end();
    return tap_done();
}
