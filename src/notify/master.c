#include "notify/master.h"

#include "ask/place.h"
#include "notify/say.h"

int master_find(struct conf_redis *redis)
{
    char why[PLACE_WHY_MAX];

    if (place_find(redis, why, sizeof(why)) == 0)
        return 0;
    (void)say_fail("cannot find the redis master \"%s\": %s", redis->name, why);
    return -1;
}
