/* Who a client is by its token, and the rooms that this names. */
#include "base/slices.h"
#include "codec/token_rooms.h"
#include "tap.h"
#include "worker/claim.h"
#include "worker/client.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>

/* --- memory --- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static int nomem; /* the allocation that fails: 1 is the next; 0: none */

void *__wrap_malloc(size_t size)
{
    if (nomem > 0 && --nomem == 0) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_malloc(size);
}

/* --- one client --- */

static struct client client;
static struct rooms rooms;

static struct token_user user_named(const char *uid, const char *json)
{
    struct token_user user = {.uid_len = strlen(uid)};
    cJSON *value = cJSON_Parse(json);

    memcpy(user.uid, uid, user.uid_len);
    if (token_rooms_make(&user.rooms, value, 1000) < 0)
        ok(0, "rooms: %s", json);
    cJSON_Delete(value);
    return user;
}

static void take(const char *uid, const char *json)
{
    struct token_user user = user_named(uid, json);

    is_int(claim_take(&client, &user), 0, "taken");
    ok(user.rooms == NULL, "with its rooms");
    ok(slice_eq(client_uid(&client), slice_str(uid)), "its user");
}

/* "a b ", those that it is to be in. */
static const char *listed(void)
{
    static char text[128];
    struct slices list = {0};
    size_t len = 0;

    text[0] = '\0';
    is_int(claim_list(&client, &list), 0, "listed");
    for (size_t i = 0; i < list.n; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s ", (int)list.at[i].len,
                                list.at[i].ptr);
    slices_clear(&list);
    return text;
}

static int is_in(const char *name)
{
    return room_find(&rooms, slice_str(name)) != NULL;
}

/* --- tests --- */

static void test_take(void)
{
    ok(claim_rooms(&client) == NULL, "nobody has none");
    is_str(listed(), "", "and is to be in none");
    take("ann", "[]");
    ok(claim_rooms(&client) == NULL && !client.has_rooms, "nor has one whose token names none");
    take("ann", "[\"b\",\"a\"]");
    is_int((long)token_rooms_count(claim_rooms(&client)), 2, "two");
    is_str(listed(), "a b ", "are listed");
    take("b", "[\"b\",\"allusers\",\"x\"]");
    is_str(listed(), "x ", "but not what every client has");
    take("allusers", "\"c\"");
    is_str(listed(), "c ", "of another token");
    claim_forget(&client);
    ok(client.uid == NULL && claim_rooms(&client) == NULL, "forgotten");
    claim_forget(&client);
}

/* "-a +b ". */
static const char *renewed(const char *json)
{
    static char text[128];
    struct token_user user = user_named("ann", json);
    struct token_rooms *before;
    struct slices gone = {0}, come = {0};
    size_t len = 0;

    text[0] = '\0';
    is_int(claim_renew(&client, &user, &before, &gone, &come), 0, json);
    for (size_t i = 0; i < gone.n; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "-%.*s ", (int)gone.at[i].len,
                                gone.at[i].ptr);
    for (size_t i = 0; i < come.n; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "+%.*s ", (int)come.at[i].len,
                                come.at[i].ptr);
    ok(user.rooms == NULL, "its rooms are taken");
    token_rooms_free(&before);
    slices_clear(&gone);
    slices_clear(&come);
    return text;
}

static void test_renew(void)
{
    take("ann", "[\"a\",\"b\"]");
    is_str(renewed("[\"c\",\"b\"]"), "-a +c ", "what differs");
    is_str(listed(), "b c ", "is what it has then");
    is_str(renewed("[\"b\",\"c\"]"), "", "nothing");
    is_str(renewed("[\"allusers\",\"ann\"]"), "-b -c ", "not what every client has");
    is_str(renewed("[]"), "", "nor when it is named no more");
    ok(!client.has_rooms, "none");
    is_str(renewed("\"x\""), "+x ", "some again");
    claim_forget(&client);
}

static void test_join(void)
{
    take("ann", "[\"a\",\"allusers\",\"ann\",\"b\"]");
    is_int(claim_join(&rooms, &client), 0, "joined");
    ok(is_in("a") && is_in("b"), "are those that it names");
    ok(!is_in("ann") && !is_in("allusers"), "but for those that every client has");
    is_int(claim_join(&rooms, &client), 0, "again");
    is_int((long)client.member.n, 2, "is nothing more");
    room_leave_all(&rooms, &client.member);
}

static void test_memory(void)
{
    struct token_user user = user_named("bob", "\"c\"");
    struct token_rooms *before;
    struct slices gone = {0}, come = {0};

    nomem = 1;
    is_int(claim_take(&client, &user), -1, "without memory");
    ok(user.rooms != NULL && slice_eq(client_uid(&client), SLICE("ann")), "it stays who it is");
    is_str(listed(), "a b ", "with its rooms");
    token_rooms_free(&user.rooms);
    user = user_named("ann", "\"c\"");
    nomem = 1;
    is_int(claim_renew(&client, &user, &before, &gone, &come), -1, "nor is it renewed");
    ok(user.rooms != NULL, "the new ones are not taken");
    is_str(listed(), "a b ", "it has its own");
    token_rooms_free(&user.rooms);
    slices_clear(&gone);
    slices_clear(&come);
    nomem = 2;
    is_int(claim_join(&rooms, &client), -1, "joins without memory");
    nomem = 0;
    ok(is_in("a") != is_in("b"), "some of them");
    room_leave_all(&rooms, &client.member);
    claim_forget(&client);
}

int main(void)
{
    rooms_init(&rooms);
    test_take();
    test_renew();
    test_join();
    test_memory();
    rooms_clear(&rooms);
    return tap_done();
}
