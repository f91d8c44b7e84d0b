#include "master/seats.h"

#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "2:7": the oldest that stays; "-" for none. */
static const char *oldest(const struct seats *seats)
{
    static char text[32];
    unsigned slot = 0;
    uint64_t handle = 0;
    if (seats_oldest(seats, &slot, &handle) < 0)
        return "-";
    snprintf(text, sizeof text, "%u:%llu", slot, (unsigned long long)handle);
    return text;
}

/* "2 2 1": the slots of all. */
static const char *slots(const struct seats *seats)
{
    static char text[256];
    size_t at = 0, n = 0;
    unsigned slot;
    text[0] = '\0';
    while ((slot = seats_next(seats, &at)) != SEATS_END && n < sizeof text - 8)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", n ? " " : "", slot);
    return text;
}

static void test_one(void)
{
    struct seats seats;
    is_int(sizeof seats, 16, "one connection costs 16 bytes");
    seats_init(&seats, 3, 9);
    is_int((long)seats_count(&seats), 1, "one is there");
    is_str(oldest(&seats), "3:9", "which is the oldest");
    is_str(slots(&seats), "3", "and the only one");
    is_int(seats_take(&seats, 3, 8), -1, "another name is not there");
    is_int(seats_take(&seats, 2, 9), -1, "nor the same name of another worker");
    is_int(seats_take(&seats, 3, 9), 0, "it goes");
    is_int((long)seats_count(&seats), 0, "nobody is left");
    is_str(oldest(&seats), "-", "nor an oldest");
    is_str(slots(&seats), "", "nor a worker");
    is_int(seats_take(&seats, SEATS_END, 9), -1, "an empty seat is not taken");
    is_int(seats_oust(&seats), -1, "nor told to leave");
    is_int(seats_add(&seats, 1, 1), 0, "somebody comes again");
    is_str(slots(&seats), "1", "and is there");
    seats_drop_slot(&seats, 2);
    is_int((long)seats_count(&seats), 1, "another worker's end does not matter");
    seats_drop_slot(&seats, 1);
    is_int((long)seats_count(&seats), 0, "its own does");
    seats_init(&seats, 1, 1);
    is_int(seats_oust(&seats), 0, "an only one is told to leave");
    is_int((long)seats_staying(&seats), 0, "and does not count");
    is_int((long)seats_count(&seats), 1, "but is there");
    is_int(seats_oust(&seats), -1, "once");
    is_int(seats_add(&seats, 2, 2), 0, "one more comes");
    is_int(seats_take(&seats, 1, 1), 0, "then the first goes");
    is_int((long)seats_staying(&seats), 1, "the other stays");
    seats_drop_all(&seats);
    is_int((long)seats_count(&seats), 0, "all dropped");
}

/* Against a plain list, in the order of admission. */
static struct {
    unsigned slot;
    uint64_t handle;
    int told;
} list[4096];
static size_t nlist;

static void list_remove(size_t i)
{
    memmove(&list[i], &list[i + 1], (nlist - i - 1) * sizeof list[0]);
    nlist--;
}

static int same(const struct seats *seats)
{
    size_t staying = 0, at = 0, first = nlist;
    unsigned slot = 0;
    uint64_t handle = 0;
    for (size_t i = 0; i < nlist; i++) {
        if (!list[i].told && staying++ == 0)
            first = i;
        if (seats_next(seats, &at) != list[i].slot)
            return 0;
    }
    if (seats_next(seats, &at) != SEATS_END || seats_count(seats) != nlist ||
        seats_staying(seats) != staying)
        return 0;
    if (seats_oldest(seats, &slot, &handle) < 0)
        return staying == 0;
    return staying > 0 && slot == list[first].slot && handle == list[first].handle;
}

/* Fills up to most, empties, again and again: every size is passed both ways. */
static int churn(size_t most, int steps)
{
    struct seats seats;
    unsigned seed = 4711;
    uint64_t handle = 0;
    int wrong = 0, filling = 1;
    seats_init(&seats, 0, 0);
    seats_drop_all(&seats);
    nlist = 0;
    for (int i = 0; i < steps; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned dice = seed >> 16;
        filling = nlist == 0 || (filling && nlist < most);
        if (dice % 8 < (filling ? 5 : 1) && nlist < most) {
            list[nlist].slot = dice / 8 % 5;
            list[nlist].handle = handle;
            list[nlist++].told = 0;
            wrong += seats_add(&seats, dice / 8 % 5, handle++) != 0;
        } else if (dice % 8 < 7 && nlist > 0) {
            size_t k = dice / 8 % nlist;
            wrong += seats_take(&seats, list[k].slot, list[k].handle) != 0;
            wrong += seats_take(&seats, list[k].slot, list[k].handle) != -1;
            list_remove(k);
        } else {
            size_t k = 0;
            while (k < nlist && list[k].told)
                k++;
            wrong += (seats_oust(&seats) == 0) != (k < nlist);
            if (k < nlist)
                list[k].told = 1;
        }
        if (dice % 1024 == 0) {
            seats_drop_slot(&seats, 3);
            for (size_t k = nlist; k-- > 0;)
                if (list[k].slot == 3)
                    list_remove(k);
        }
        wrong += !same(&seats);
    }
    seats_drop_all(&seats);
    return wrong;
}

/* What a crowd costs must not grow with its size: a walk would take minutes here. */
static void test_crowd(void)
{
    enum { CROWD = 200000 };
    struct seats seats;
    int wrong = 0;
    seats_init(&seats, 0, 0);
    for (uint64_t i = 1; i < CROWD; i++)
        wrong += seats_add(&seats, i % 16, i << 32 | i) != 0;
    for (uint64_t i = CROWD; i-- > 1;)
        wrong += seats_take(&seats, (i * 7919 % CROWD) % 16,
                            (i * 7919 % CROWD) << 32 | (i * 7919 % CROWD)) != 0;
    is_int(wrong, 0, "a crowd comes and goes in another order");
    is_str(oldest(&seats), "0:0", "the first of all is left");
    for (uint64_t i = 1; i < CROWD; i++) {
        wrong += seats_add(&seats, 1, i) != 0;
        wrong += seats_oust(&seats) != 0;
        wrong += seats_take(&seats, i == 1 ? 0 : 1, i - 1) != 0;
    }
    is_int(wrong, 0, "one goes for one that comes, again and again");
    is_int((long)seats_count(&seats), 1, "one is left");
    seats_drop_all(&seats);
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
