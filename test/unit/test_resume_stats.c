#include "master/resume_stats.h"

#include "tap.h"

int main(void)
{
    for (int why = 0; why < RESUME_REFUSALS; why++) {
        const char *name = resume_refusal_name((enum resume_refusal)why);

        ok(strcmp(name, "unknown_reason") != 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz_") > 0,
           "reason %d has a name: %s", why, name);
        for (int other = 0; other < why; other++)
            if (strcmp(name, resume_refusal_name((enum resume_refusal)other)) == 0)
                ok(0, "%s is the name of two", name);
    }
    is_str(resume_refusal_name(RESUME_REFUSALS), "unknown_reason", "one that is none");
    return tap_done();
}
