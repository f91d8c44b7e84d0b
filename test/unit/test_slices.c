#include "base/slices.h"

#include "nomem.h"
#include "tap.h"

int main(void)
{
    struct slices list = {0};
    int wrong = 0;
    const struct slice *kept;

    for (size_t i = 0; i < 1000; i++)
        wrong += slices_put(&list, (struct slice){"abcdefg", i % 8}) != 0;
    for (size_t i = 0; i < 1000; i++)
        wrong += !slice_eq(list.at[i], (struct slice){"abcdefg", i % 8});
    is_int(wrong, 0, "1000 are kept in their order");
    is_int(list.n, 1000, "their count");
    ok(list.cap >= list.n && list.cap < 2 * list.n + 8, "capacity keeps in step");

    kept = list.at;
    list.n = 0;
    is_int(slices_put(&list, SLICE("again")), 0, "one more, after n = 0");
    ok(list.at == kept && list.n == 1, "into the same memory");

    while (list.n < list.cap)
        slices_put(&list, SLICE("x"));
    nomem = 1;
    is_int(slices_put(&list, SLICE("y")), -1, "not without memory");
    ok(list.n == list.cap && slice_eq(list.at[0], SLICE("again")), "then it is as it was");
    is_int(slices_put(&list, SLICE("y")), 0, "later it goes on");
    ok(slice_eq(list.at[list.n - 1], SLICE("y")), "with what is put then");

    slices_clear(&list);
    ok(list.at == NULL && list.n == 0 && list.cap == 0, "clear leaves it empty");
    is_int(slices_put(&list, (struct slice){NULL, 0}), 0, "and valid; nothing is a string, too");
    is_int(list.n, 1, "one");
    slices_clear(&list);
    slices_clear(&list);
    return tap_done();
}
