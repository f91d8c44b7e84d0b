/* Whatever there is no memory for, at any moment: each client is let in or refused, none waits for
 * ever, and nothing is lost. */
#include "nomem_nth.h"
#include "resume_world.h"

#define NTH_MAX 120

static unsigned had_back;

static int is_answered(const struct client *client)
{
    had_back += client->is_in && client->resumed;
    return client->is_in || client->is_refused;
}

/* It comes to that daemon while the nth allocation from then on fails; 1 if there was one. */
static int comes(const struct client *was, int daemon, uint64_t offset, int nth, const char *name)
{
    struct client *client;
    int has_failed;

    nomem_nth = nth;
    client = client_back(was, daemon, 2, offset);
    turns();
    has_failed = nomem_nth == 0;
    nomem_nth = 0;
    pass(3000);
    if (!is_answered(client) || resume_stats(nodes[daemon].resume).waiting != 0)
        ok(0, "%s: allocation %d: it is not answered", name, nth);
    return has_failed;
}

static void test_each(const char *name, int daemon, int is_there, int is_ahead, int has_room)
{
    int nth = 0, has_failed = 1;

    had_back = 0;
    while (has_failed && nth < NTH_MAX) {
        struct client *client;

        world_up(2, "secret");
        client = client_in(0, 1, "ann");
        if (has_room) {
            struct slice red = SLICE("red");
            const struct slices names = {&red, 1, 1}, none = {0};

            relay_rooms(nodes[0].parts.relay, 1, 0, 0, 0, &names, &none);
        }
        if (!is_there)
            client_left(client, 0);
        world_may_fail = 1;
        has_failed = comes(client, daemon, is_ahead ? 9999 : 0, ++nth, name);
        world_may_fail = 0;
        world_down();
    }
    ok(!has_failed, "%s: %d allocations, each of which may fail", name, nth - 1);
    if (!is_ahead)
        ok(had_back > 0, "%s: with memory it has its session back", name);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    test_each("away", 0, 0, 0, 0);
    test_each("connected", 0, 1, 0, 1);
    test_each("elsewhere", 1, 0, 0, 1);
    test_each("connected elsewhere", 1, 1, 0, 1);
    test_each("ahead", 0, 0, 1, 0);
    return tap_done();
}
