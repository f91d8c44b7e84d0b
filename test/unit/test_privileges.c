#include "conf.h"
#include "master/privileges.h"
#include "tap.h"

/* What privileges_find() says of a user and a group, without what only root could do. */
static const char *found(const char *user, const char *group, struct privileges *found)
{
    static struct buf error;
    struct conf conf = {.user = user ? strdup(user) : NULL, .group = group ? strdup(group) : NULL};
    buf_reset(&error);
    (void)privileges_find(found, &conf, &error);
    free(conf.user);
    free(conf.group);
    (void)buf_putc(&error, '\0');
    return (const char *)error.data;
}

int main(void)
{
    struct privileges privileges;
    is_str(found("4294967296", NULL, &privileges), "user 4294967296 is not known",
           "a user past the last is not root");
    is_str(found(NULL, "4294967296", &privileges), "group 4294967296 is not known",
           "nor is such a group");
    is_str(found(NULL, "4294967295", &privileges), "group 4294967295 is not known",
           "what stands for no change is no group");
    is_str(found("nosuch user", NULL, &privileges), "user nosuch user is not known",
           "a name that nobody has");
    is_str(found(NULL, "-1", &privileges), "group -1 is not known", "a negative number");
    (void)found(NULL, "4294967294", &privileges);
    is_int(privileges.gid, 4294967294, "the last group");
    (void)found("0", NULL, &privileges);
    is_int(privileges.uid, 0, "a user by its number");
    return tap_done();
}
