#include "ipc/counters.h"

#include <stdio.h>

/* --- labels ------------------------------------------------------------------- */

static const char *label_TRANSPORT(unsigned i)
{
    static const char *const labels[] = {
        "transport=\"polling\",protocol=\"3\"",
        "transport=\"polling\",protocol=\"4\"",
        "transport=\"websocket\",protocol=\"3\"",
        "transport=\"websocket\",protocol=\"4\"",
    };

    return labels[i];
}

static const char *label_REASON(unsigned i)
{
    static const char *const labels[] = {
        "reason=\"client\"",       "reason=\"ping_timeout\"",    "reason=\"connect_timeout\"",
        "reason=\"send_timeout\"", "reason=\"send_buffer\"",     "reason=\"protocol\"",
        "reason=\"too_big\"",      "reason=\"refused\"",         "reason=\"expired\"",
        "reason=\"left\"",         "reason=\"replaced\"",        "reason=\"taken\"",
        "reason=\"disconnected\"", "reason=\"history_overrun\"", "reason=\"evicted\"",
        "reason=\"shutdown\"",     "reason=\"no_memory\"",
    };

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == COUNTERS_REASONS, "one for each");
    return labels[i];
}

static const char *label_STRANGER(unsigned i)
{
    static const char *const labels[] = {"kind=\"socket\"", "kind=\"polling\"",
                                         "kind=\"websocket\""};

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == COUNTERS_STRANGERS, "one for each");
    return labels[i];
}

static const char *label_TLS(unsigned i)
{
    static const char *const labels[] = {
        "version=\"1.2\",resumed=\"false\"", "version=\"1.2\",resumed=\"true\"",
        "version=\"1.3\",resumed=\"false\"", "version=\"1.3\",resumed=\"true\""};

    return labels[i];
}

static const char *label_TLS_FAULT(unsigned i)
{
    static const char *const labels[] = {
        "reason=\"timeout\"",  "reason=\"closed\"",  "reason=\"http\"",
        "reason=\"proxy\"",    "reason=\"not_tls\"", "reason=\"version\"",
        "reason=\"cipher\"",   "reason=\"alpn\"",    "reason=\"refused\"",
        "reason=\"record\"",   "reason=\"flood\"",   "reason=\"renegotiation\"",
        "reason=\"no_memory\""};

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == COUNTERS_TLS, "one for each");
    return labels[i];
}

static const char *label_PROXY_VERSION(unsigned i)
{
    return i == 0 ? "version=\"1\"" : "version=\"2\"";
}

static const char *label_PROXY(unsigned i)
{
    static const char *const labels[] = {"reason=\"not_a_proxy\"", "reason=\"absent\"",
                                         "reason=\"malformed\"", "reason=\"too_long\"",
                                         "reason=\"incomplete\""};

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == COUNTERS_PROXY, "one for each");
    return labels[i];
}

static const char *label_MEMBER(unsigned i)
{
    return i == 0 ? "reason=\"connections\"" : "reason=\"sessions\"";
}

/* A good token is refused for one reason only. */
static const char *label_REFUSAL(unsigned i)
{
    static char label[64];

    snprintf(label, sizeof(label), "reason=\"%s\"",
             i == TOKEN_OK ? "user_limit" : token_result_code((enum token_result)i));
    return label;
}

const char *renewal_code(unsigned result)
{
    if (result == RENEWAL_OTHER_USER)
        return "token_other_user";
    if (result == RENEWAL_RATE)
        return "token_rate";
    return result == TOKEN_OK ? "ok" : token_result_code((enum token_result)result);
}

static const char *label_RENEWAL(unsigned i)
{
    static char label[64];

    snprintf(label, sizeof(label), "result=\"%s\"", renewal_code(i));
    return label;
}

static const char *label_ROOM(unsigned i)
{
    static const char *const labels[] = {"reason=\"limit\"", "reason=\"name\"",
                                         "reason=\"no_memory\""};

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == ROOM_REFUSALS, "one for each");
    return labels[i];
}

static const char *label_REPLAY(unsigned i)
{
    static const char *const labels[] = {"result=\"recovered\"", "result=\"malformed\"",
                                         "result=\"unfit\"", "result=\"history_overrun\"",
                                         "result=\"no_memory\""};

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == REPLAY_RESULTS, "one for each");
    return labels[i];
}

static const char *label_STATUS(unsigned i)
{
#define STATUS(status) "status=\"" #status "\"",
    static const char *const labels[] = {HTTP_ERRORS(STATUS) "status=\"other\""};
#undef STATUS

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == HTTP_ERROR_KINDS, "one for each");
    return labels[i];
}

static const char *label_EIO_ERROR(unsigned i)
{
    static const char *const labels[] = {
        "error=\"unknown_transport\"", "error=\"unknown_sid\"", "error=\"bad_handshake_method\"",
        "error=\"bad_request\"",       "error=\"forbidden\"",   "error=\"unsupported_version\"",
    };

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == EIO_ERRORS, "one for each");
    return labels[i];
}

static const char *label_ACK_DROP(unsigned i)
{
    static const char *const labels[] = {"reason=\"late\"",      "reason=\"second\"",
                                         "reason=\"foreign\"",   "reason=\"malformed\"",
                                         "reason=\"too_large\"", "reason=\"queue_full\"",
                                         "reason=\"no_room\""};

    _Static_assert(sizeof(labels) / sizeof(labels[0]) == ACK_DROPS, "one for each");
    return labels[i];
}

static const char *label_DIRECTION(unsigned i)
{
    return i == 0 ? "direction=\"in\"" : "direction=\"out\"";
}

static const char *label_RESULT(unsigned i)
{
    return i == 0 ? "result=\"done\"" : "result=\"failed\"";
}

#define label_NONE NULL

const struct counter_family counter_families[COUNTER_FAMILY_COUNT] = {
#define COUNTER_ROW(id, n, type, label, name, help)                                                \
    {name, help, COUNTER_##type, COUNTER_##id, (n), label_##label},
    COUNTER_FAMILIES(COUNTER_ROW)
#undef COUNTER_ROW
};

/* --- on the pipe -------------------------------------------------------------- */

int counters_put(struct buf *out, uint32_t id, const struct counters *counters)
{
    size_t mark = msg_begin(out, MSG_COUNTERS);

    msg_put_u32(out, id);
    msg_put_u32(out, COUNTERS * sizeof(uint64_t)); /* "bytes" */
    for (unsigned i = 0; i < COUNTERS; i++)
        msg_put_u64(out, counters->at[i]);
    return msg_end(out, mark);
}

int counters_get(struct msg *msg, uint32_t *id, struct counters *counters)
{
    *id = msg_get_u32(msg);
    if (msg_get_u32(msg) != COUNTERS * sizeof(uint64_t))
        return -1;
    for (unsigned i = 0; i < COUNTERS; i++)
        counters->at[i] = msg_get_u64(msg);
    return msg_close(msg);
}

/* --- sums --------------------------------------------------------------------- */

void counters_add(struct counters *sum, const struct counters *one)
{
    for (unsigned i = 0; i < COUNTERS; i++)
        sum->at[i] += one->at[i];
}

void counters_add_totals(struct counters *sum, const struct counters *gone)
{
    for (unsigned f = 0; f < COUNTER_FAMILY_COUNT; f++) {
        const struct counter_family *family = &counter_families[f];

        for (unsigned i = family->first; i < family->first + family->n; i++)
            if (family->type != COUNTER_GAUGE)
                sum->at[i] += gone->at[i];
    }
}
