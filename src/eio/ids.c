/* ids - sessions by their ids (codec/sid.h). */
#include "codec/sid.h"
#include "eio/session.h"

#include <openssl/crypto.h>

_Static_assert(EIO_SID_LEN == SID_LEN, "session ids");

size_t session_sid(const struct session *session, char dst[EIO_SID_LEN + 1])
{
    const struct eio_options *options = &session->eio->options;
    struct sid_home home = {options->process, options->generation, session->index};

    return sid_encode(dst, session->random, &home);
}

struct session *session_by_sid(const struct eio *eio, struct slice sid)
{
    struct session *session;
    struct sid_home home;
    char own[EIO_SID_LEN + 1];

    if (sid_decode(sid, &home) < 0 || home.index >= eio->nslots ||
        (session = eio->slots[home.index].session) == NULL)
        return NULL;
    session_sid(session, own);
    return CRYPTO_memcmp(own, sid.ptr, EIO_SID_LEN) == 0 ? session : NULL;
}
