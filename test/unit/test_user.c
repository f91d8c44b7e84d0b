#include "master/user.h"

#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "2:7": the oldest that stays; "-" for none. */
static const char *oldest(const struct user *user)
{
    static char text[32];
    unsigned lane = 0;
    uint64_t handle = 0;

    if (user_oldest(user, &lane, &handle) < 0)
        return "-";
    snprintf(text, sizeof(text), "%u:%llu", lane, (unsigned long long)handle);
    return text;
}

/* "2 2 1": the lanes of all. */
static const char *lanes(const struct user *user)
{
    static char text[256];
    size_t at = 0, n = 0;
    unsigned lane;

    text[0] = '\0';
    while ((lane = user_next(user, &at, NULL)) != USER_END && n < sizeof(text) - 8)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u", n ? " " : "", lane);
    return text;
}

static void test_one(void)
{
    struct user user;

    is_int(sizeof(user), 16, "one connection costs 16 bytes");
    user_init(&user, 3, 9);
    is_int((long)user_count(&user), 1, "one is there");
    is_str(oldest(&user), "3:9", "which is the oldest");
    is_str(lanes(&user), "3", "and the only one");
    is_int(user_take(&user, 3, 8), -1, "another name is not there");
    is_int(user_take(&user, 2, 9), -1, "nor the same name of another worker");
    is_int(user_take(&user, 3, 9), 0, "it goes");
    is_int((long)user_count(&user), 0, "nobody is left");
    is_str(oldest(&user), "-", "nor an oldest");
    is_str(lanes(&user), "", "nor a worker");
    is_int(user_take(&user, USER_END, 9), -1, "who is not there is not taken");
    is_int(user_oust(&user), -1, "nor told to leave");
    is_int(user_add(&user, 1, 1), 0, "somebody comes again");
    is_str(lanes(&user), "1", "and is there");
    user_drop_lane(&user, 2);
    is_int((long)user_count(&user), 1, "another worker's end does not matter");
    user_drop_lane(&user, 1);
    is_int((long)user_count(&user), 0, "its own does");
    user_init(&user, 1, 1);
    is_int(user_oust(&user), 0, "an only one is told to leave");
    is_int((long)user_staying(&user), 0, "and does not count");
    is_int((long)user_count(&user), 1, "but is there");
    is_int(user_oust(&user), -1, "once");
    is_int(user_add(&user, 2, 2), 0, "one more comes");
    is_int(user_take(&user, 1, 1), 0, "then the first goes");
    is_int((long)user_staying(&user), 1, "the other stays");
    is_int(user_oust_one(&user, 2, 3), -1, "one that is not there is not told to leave");
    is_int(user_add(&user, 3, 3), 0, "another comes");
    is_int(user_oust_one(&user, 3, 3), 0, "and is told to leave, though it is the newest");
    is_int(user_oust_one(&user, 3, 3), 0, "twice");
    is_int((long)user_staying(&user), 1, "one stays");
    is_str(oldest(&user), "2:2", "which is the oldest");
    is_int(user_take(&user, 3, 3), 0, "the other goes");
    is_int((long)user_staying(&user), 1, "and nothing changes");
    user_drop_all(&user);
    is_int((long)user_count(&user), 0, "all dropped");
}

/* Against a plain list, in the order of admission. */
static struct {
    unsigned lane;
    uint64_t handle;
    int told;
} list[4096];
static size_t nlist;

static void list_remove(size_t i)
{
    memmove(&list[i], &list[i + 1], (nlist - i - 1) * sizeof(list[0]));
    nlist--;
}

static int same(const struct user *user)
{
    size_t staying = 0, at = 0, first = nlist;
    unsigned lane = 0;
    uint64_t handle = 0;

    for (size_t i = 0; i < nlist; i++) {
        if (!list[i].told && staying++ == 0)
            first = i;
        if (user_next(user, &at, NULL) != list[i].lane)
            return 0;
    }
    if (user_next(user, &at, NULL) != USER_END || user_count(user) != nlist ||
        user_staying(user) != staying)
        return 0;
    if (user_oldest(user, &lane, &handle) < 0)
        return staying == 0;
    return staying > 0 && lane == list[first].lane && handle == list[first].handle;
}

/* Fills up to most, empties, again and again: every size is passed both ways. */
static int churn(size_t most, int steps)
{
    struct user user;
    unsigned seed = 4711;
    uint64_t handle = 0;
    int wrong = 0, filling = 1;

    user_init(&user, 0, 0);
    user_drop_all(&user);
    nlist = 0;
    for (int i = 0; i < steps; i++) {
        unsigned dice;
        seed = seed * 1103515245 + 12345;
        dice = seed >> 16;
        filling = nlist == 0 || (filling && nlist < most);
        if (dice % 16 < (filling ? 10 : 2) && nlist < most) {
            list[nlist].lane = dice / 16 % 5;
            list[nlist].handle = handle;
            list[nlist++].told = 0;
            wrong += user_add(&user, dice / 16 % 5, handle++) != 0;
        } else if (dice % 16 < 14 && nlist > 0) {
            size_t k = dice / 16 % nlist;
            wrong += user_take(&user, list[k].lane, list[k].handle) != 0;
            wrong += user_take(&user, list[k].lane, list[k].handle) != -1;
            list_remove(k);
        } else if (dice % 2 == 0 && nlist > 0) {
            size_t k = dice / 16 % nlist;
            wrong += user_oust_one(&user, list[k].lane, list[k].handle) != 0;
            wrong += user_oust_one(&user, list[k].lane, handle) != -1;
            list[k].told = 1;
        } else {
            size_t k = 0;
            while (k < nlist && list[k].told)
                k++;
            wrong += (user_oust(&user) == 0) != (k < nlist);
            if (k < nlist)
                list[k].told = 1;
        }
        if (dice % 1024 == 0) {
            user_drop_lane(&user, 3);
            for (size_t k = nlist; k-- > 0;)
                if (list[k].lane == 3)
                    list_remove(k);
        }
        wrong += !same(&user);
    }
    user_drop_all(&user);
    return wrong;
}

/* What a crowd costs must not grow with its size: a walk would take minutes here. */
static void test_crowd(void)
{
    enum { CROWD = 200000 };
    struct user user;
    int wrong = 0;

    user_init(&user, 0, 0);
    for (uint64_t i = 1; i < CROWD; i++)
        wrong += user_add(&user, i % 16, i << 32 | i) != 0;
    for (uint64_t i = CROWD; i-- > 1;)
        wrong += user_take(&user, (i * 7919 % CROWD) % 16,
                           (i * 7919 % CROWD) << 32 | (i * 7919 % CROWD)) != 0;
    is_int(wrong, 0, "a crowd comes and goes in another order");
    is_str(oldest(&user), "0:0", "the first of all is left");
    for (uint64_t i = 1; i < CROWD; i++) {
        wrong += user_add(&user, 1, i) != 0;
        wrong += user_oust(&user) != 0;
        wrong += user_take(&user, i == 1 ? 0 : 1, i - 1) != 0;
    }
    is_int(wrong, 0, "one goes for one that comes, again and again");
    is_int((long)user_count(&user), 1, "one is left");
    user_drop_all(&user);
}

int main(void)
{
    test_one();
    is_int(churn(3, 20000), 0, "a few come and go");
    is_int(churn(20, 20000), 0, "more of them");
    is_int(churn(1500, 20000), 0, "a crowd");
    test_crowd();
    return tap_done();
}
