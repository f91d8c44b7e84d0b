/* Who has had a session back last. */
#include "master/newest.h"
#include "tap.h"

int main(void)
{
    static struct newest newest;
    uint8_t ann[SESSION_LEN] = {1, [7] = 9}, bob[SESSION_LEN] = {2, [7] = 9};

    ok(!newest_is_later(&newest, ann, 0), "nobody at first");
    newest_note(&newest, ann, 100);
    ok(newest_is_later(&newest, ann, 99), "who asked before comes too late");
    ok(!newest_is_later(&newest, ann, 100) && !newest_is_later(&newest, ann, 101),
       "who asked then, or after it, does not");
    ok(!newest_is_later(&newest, bob, 0), "nor does another, at the same place");
    newest_note(&newest, ann, NEWEST_MS + 100);
    ok(newest_is_later(&newest, ann, 101) && !newest_is_later(&newest, ann, 100),
       "nor who asked so long before that a clock must have been set");
    newest_note(&newest, bob, 50);
    ok(newest_is_later(&newest, bob, 49) && !newest_is_later(&newest, ann, 0),
       "which it has after that");
    return tap_done();
}
