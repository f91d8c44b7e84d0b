#include "master/admit.h"

#include "tap.h"

#include <stdlib.h>

static int same(const struct slices *a, const struct slice *want, size_t n)
{
    int equal = a->n == n;

    for (size_t i = 0; equal && i < n; i++)
        equal = slice_eq(a->at[i], want[i]);
    return equal;
}

/* Whatever becomes of what it was copied from. */
static void test_copy(void)
{
    char text[] = "annguildclan";
    struct slice rooms[] = {{text + 3, 5}, {text + 8, 4}};
    const struct slice want[] = {SLICE("guild"), SLICE("clan")};
    struct admit admit = {.lane = 3,
                          .client = 9,
                          .uid = {text, 3},
                          .rooms = {.at = rooms, .n = 2},
                          .has_offset = 1,
                          .offset = 5,
                          .resumes = 1};
    struct admit *copy;

    is_int((long)admit_names(&admit), 3 + 9, "its names");
    copy = admit_copy(&admit);
    memset(text, 'x', sizeof(text));
    memset(rooms, 0, sizeof(rooms));
    ok(copy->lane == 3 && copy->client == 9 && copy->has_offset && copy->offset == 5 &&
           copy->resumes,
       "numbers");
    ok(slice_eq(copy->uid, SLICE("ann")) && copy->session.len == 0 && copy->pid.len == 0, "names");
    ok(same(&copy->rooms, want, 2), "rooms");
    free(copy);
}

static void test_bare(void)
{
    static const uint8_t session[SESSION_LEN] = {1, 2}, pid[PID_LEN] = {3, 4};
    struct admit admit = {.uid = SLICE("a"),
                          .session = {(const char *)session, SESSION_LEN},
                          .pid = {(const char *)pid, PID_LEN}};
    struct admit *copy = admit_copy(&admit);

    is_int((long)admit_names(&admit), 1 + SESSION_LEN + PID_LEN, "all of them");
    ok(!copy->resumes && copy->rooms.n == 0, "without rooms");
    ok(slice_eq(copy->session, admit.session) && slice_eq(copy->pid, admit.pid), "ids");
    free(copy);
}

int main(void)
{
    test_copy();
    test_bare();
    return tap_done();
}
