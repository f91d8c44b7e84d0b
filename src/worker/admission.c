#include "worker/admission.h"
#include "engine/engine.h"
#include "ipc/msg.h"
#include "worker/claim.h"
#include "worker/client.h"
#include "worker/uplink.h"

#include <stdlib.h>
#include <string.h>

void admissions_init(struct admissions *admissions, struct uplink *uplink)
{
    *admissions = (struct admissions){.uplink = uplink, .end = &admissions->first};
}

void admissions_clear(struct admissions *admissions)
{
    struct admission *admission;

    while ((admission = admissions->first) != NULL) {
        admissions->first = admission->next;
        free(admission);
    }
    admissions->end = &admissions->first;
    slices_clear(&admissions->rooms);
}

/* What the master is to know of its session: nothing, where it is to have none.  A client that has
 * gone, which is read late, may be back elsewhere: it must not be put out there. */
static void put_session(const struct admissions *admissions, const struct admission *admission,
                        uint8_t session[SESSION_LEN], struct msg_admit *admit)
{
    const struct client *client = admission->client;
    const struct sio_claim *claim = &admission->claim;

    if (!admissions->recovers || client->forgoes || !claim->wants ||
        socket_session(client->socket, session) < 0)
        return;
    admit->session = (struct slice){(const char *)session, SESSION_LEN};
    if (!claim->has_pid || claim->bad_offset || socket_has_ended(client->socket))
        return;
    admit->pid = (struct slice){(const char *)claim->pid, PID_LEN};
    admit->has_offset = claim->has_offset != 0;
    admit->offset = claim->has_offset ? claim->offset : 0;
    admit->opened_ms = socket_opened_ms(client->socket);
}

int admission_ask(struct admissions *admissions, struct client *client,
                  const struct sio_claim *claim)
{
    struct admission *admission = malloc(sizeof(*admission) + client->uid_len);
    struct msg_admit admit = {.uid = client_uid(client)};
    uint8_t session[SESSION_LEN];

    admissions->rooms.n = 0;
    if (admission == NULL || claim_list(client, &admissions->rooms) < 0) {
        free(admission);
        return -1;
    }
    *admission = (struct admission){.client = client,
                                    .handle = socket_handle(client->socket),
                                    .claim = *claim,
                                    .uid_len = client->uid_len};
    memcpy(admission->uid, client->uid, client->uid_len);
    *admissions->end = admission;
    admissions->end = &admission->next;
    client->asked = admission;
    admit.client = admission->handle;
    admit.rooms = admissions->rooms;
    put_session(admissions, admission, session, &admit);
    uplink_admit(admissions->uplink, &admit);
    return 0;
}

/* It has left in between, and with that what it has claimed. */
void admission_again(struct admission *admission, const struct sio_claim *claim)
{
    if (admission->claim.has_pid || claim->has_pid || !admission->claim.wants != !claim->wants)
        admission->changed = 1;
    admission->claim = *claim;
}

/* Mostly the first one: the master answers in order, but for those that it holds. */
struct admission *admission_take(struct admissions *admissions, uint64_t handle)
{
    struct admission **at = &admissions->first, *found;

    while (*at != NULL && (*at)->handle != handle)
        at = &(*at)->next;
    found = *at;
    if (found == NULL)
        return NULL;
    *at = found->next;
    if (found->next == NULL)
        admissions->end = at;
    return found;
}

int admission_stands(const struct admission *admission)
{
    const struct client *client = admission->client;

    return client != NULL && client->state == CLIENT_JOINING && !admission->changed &&
           slice_eq(admission_uid(admission), client_uid(client));
}
