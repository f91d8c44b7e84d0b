#include "master/newest.h"

#include <string.h>

#define CHANCE_AT 7 /* from there on an id is made by chance */

static uint32_t place_of(const uint8_t session[SESSION_LEN])
{
    return (session[CHANCE_AT] | (uint32_t)session[CHANCE_AT + 1] << 8) % NEWEST_PLACES;
}

void newest_note(struct newest *newest, const uint8_t session[SESSION_LEN], uint64_t asked_ms)
{
    struct newest_place *place = &newest->places[place_of(session)];

    memcpy(place->session, session, SESSION_LEN);
    place->asked_ms = asked_ms;
}

int newest_is_later(const struct newest *newest, const uint8_t session[SESSION_LEN],
                    uint64_t asked_ms)
{
    const struct newest_place *place = &newest->places[place_of(session)];

    return place->asked_ms > asked_ms && place->asked_ms - asked_ms < NEWEST_MS &&
           memcmp(place->session, session, SESSION_LEN) == 0;
}
