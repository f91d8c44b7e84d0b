/* What workers count: on the pipe, in sums, and in the table of names. */
#include "ipc/counters.h"

#include "net/close.h"
#include "tap.h"

#include <ctype.h>
#include <stdlib.h>

static void fill(struct counters *counters, uint64_t from)
{
    for (unsigned i = 0; i < COUNTERS; i++)
        counters->at[i] = from + i;
}

static void test_pipe(void)
{
    struct counters put, got;
    struct buf out = {0};
    struct msg msg;
    uint32_t id = 0;
    int taken = 0;

    fill(&put, UINT64_MAX - COUNTERS);
    is_int(counters_put(&out, 7, &put), 0, "put");
    ok(out.len <= 4096, "short enough for a worker's link");
    is_int(msg_decode(&msg, out.data, out.len, 4096), out.len, "one whole message");
    is_int(msg.type, MSG_COUNTERS, "of its type");
    is_int(counters_get(&msg, &id, &got), 0, "get");
    is_int(id, 7, "its id");
    is_mem(&got, sizeof(got), &put, sizeof(put), "its values");
    for (size_t len = 0; len < out.len - 5; len++) { /* of type and fields, every prefix */
        msg = (struct msg){MSG_COUNTERS, out.data + 5, out.data + 5 + len, 0, 0};
        taken += counters_get(&msg, &id, &got) == 0;
    }
    is_int(taken, 0, "no part of it is taken for a whole");
    buf_putc(&out, 0);
    msg = (struct msg){MSG_COUNTERS, out.data + 5, out.data + out.len, 0, 0};
    is_int(counters_get(&msg, &id, &got), -1, "nor more than it");
    out.data[5 + 4] ^= 8;
    msg = (struct msg){MSG_COUNTERS, out.data + 5, out.data + out.len - 1, 0, 0};
    is_int(counters_get(&msg, &id, &got), -1, "nor another number of values");
    out.failed = 1;
    is_int(counters_put(&out, 7, &put), -1, "no memory");
    buf_free(&out);
}

static void test_sums(void)
{
    struct counters sum = {{0}}, one;
    int wrong = 0;

    fill(&one, 1);
    counters_add(&sum, &one);
    counters_add(&sum, &one);
    for (unsigned i = 0; i < COUNTERS; i++)
        wrong += sum.at[i] != 2 * one.at[i];
    is_int(wrong, 0, "a sum has everything");
    counters_add_totals(&sum, &one);
    is_int(sum.at[COUNTER_CLIENTS], 2 * one.at[COUNTER_CLIENTS], "the gauges of the dead are gone");
    is_int(sum.at[COUNTER_SESSIONS_LAST], 2 * one.at[COUNTER_SESSIONS_LAST], "all of them");
    is_int(sum.at[COUNTER_CONNECTS], 3 * one.at[COUNTER_CONNECTS], "their totals stay");
    is_int(sum.at[COUNTER_LATENCY_LAST], 3 * one.at[COUNTER_LATENCY_LAST], "histograms too");
}

static int is_name(const char *name)
{
    for (; *name != '\0'; name++)
        if (!islower((unsigned char)*name) && *name != '_')
            return 0;
    return 1;
}

static int ends(const char *text, const char *end)
{
    return strlen(text) > strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void test_table(void)
{
    unsigned next = 0;

    for (unsigned f = 0; f < COUNTER_FAMILY_COUNT; f++) {
        const struct counter_family *family = &counter_families[f];
        int twice = 0, same = 0;

        is_int(family->first, next, family->name);
        next += family->n;
        for (unsigned g = 0; g < f; g++)
            twice += strcmp(counter_families[g].name, family->name) == 0;
        ok(is_name(family->name) && !twice, "%s is a name of its own", family->name);
        ok(ends(family->name, "_total") == (family->type == COUNTER_TOTAL),
           "and ends in _total if it is one");
        ok(family->help[0] != '\0' && strpbrk(family->help, "\\\n") == NULL &&
               ends(family->help, "."),
           "it is explained in a sentence");
        ok((family->label != NULL) == (family->n > 1) || family->type == COUNTER_HISTOGRAM,
           "several values have labels");
        for (unsigned i = 0; family->label != NULL && i < family->n; i++) {
            char label[128];

            snprintf(label, sizeof(label), "%s", family->label(i));
            ok(strstr(label, "=\"") != NULL && ends(label, "\""), "%s", label);
            for (unsigned k = 0; k < i; k++)
                same += strcmp(family->label(k), label) == 0;
        }
        is_int(same, 0, "no label twice");
    }
    is_int(next, COUNTERS, "every value has a family");
}

static const struct counter_family *disconnects(void)
{
    for (unsigned f = 0; f < COUNTER_FAMILY_COUNT; f++)
        if (counter_families[f].first == COUNTER_DISCONNECTS)
            return &counter_families[f];
    abort();
}

/* The words for reasons are those of the log, with an underscore or fewer words. */
static void test_reasons(void)
{
    const struct counter_family *closed = disconnects();

    for (unsigned i = 0; i < CLOSE_REASONS; i++) {
        char label[64], *end;

        snprintf(label, sizeof(label), "%s", closed->label(i) + strlen("reason=\""));
        label[strlen(label) - 1] = '\0';
        while ((end = strchr(label, '_')) != NULL)
            *end = ' ';
        if (!ok(close_reason_name((enum close_reason)i) != NULL, "reason %u has a name", i))
            continue;
        ok(strstr(close_reason_name((enum close_reason)i), label) != NULL, "%s is %s", label,
           close_reason_name((enum close_reason)i));
    }
}

/* Those of clients that have never been in are in no line of the log. */
static int is_logged(enum close_reason why)
{
    return why != CLOSE_CONNECT_TIMEOUT && why != CLOSE_REFUSED && why != CLOSE_EVICTED;
}

/* 1 if the label is a word of a list in the manual: "label ,", or "label ." at its end. */
static int is_listed(const char *page, const char *label)
{
    size_t len = strlen(label);

    for (const char *at = page; (at = strstr(at, label)) != NULL; at++)
        if (at > page && at[-1] == ' ' && at[len] == ' ' &&
            (at[len + 1] == ',' || at[len + 1] == '.'))
            return 1;
    return 0;
}

/* axr-notifyd(8) has them as labels, and as words of the log. */
static void test_manual(void)
{
    static char page[1 << 20];
    FILE *file = fopen("man/axr-notifyd.8", "r"); /* tests run in the top directory */
    size_t len = file != NULL ? fread(page, 1, sizeof(page) - 1, file) : 0;
    const char *metrics;

    page[len] = '\0';
    if (file != NULL)
        fclose(file);
    metrics = strstr(page, ".It Cm sessions , sessions_opened_total");
    for (unsigned i = 0; i < CLOSE_REASONS; i++) {
        char label[64], words[64];

        snprintf(label, sizeof(label), "%s", disconnects()->label(i) + strlen("reason=\""));
        label[strlen(label) - 1] = '\0';
        ok(metrics != NULL && is_listed(metrics, label), "the manual knows the reason %s", label);
        if (close_reason_name((enum close_reason)i) == NULL)
            continue;
        snprintf(words, sizeof(words), ".Dq %s", close_reason_name((enum close_reason)i));
        ok(!is_logged((enum close_reason)i) || strstr(page, words) != NULL, "as %s", words);
    }
}

static void test_latency(void)
{
    struct latency latency = {{0}, 0};

    latency_observe(&latency, 0);
    latency_observe(&latency, 500);
    latency_observe(&latency, 501);
    latency_observe(&latency, 10000000);
    latency_observe(&latency, 10000001);
    is_int(latency.buckets[0], 2, "a bound belongs to its bucket");
    is_int(latency.buckets[1], 1, "what is above to the next");
    is_int(latency.buckets[LATENCY_BUCKETS - 2], 1, "the last with a bound");
    is_int(latency.buckets[LATENCY_BUCKETS - 1], 1, "and what is above all");
    is_int(latency.sum_us, 20001002, "the sum");
}

int main(void)
{
    test_pipe();
    test_sums();
    test_table();
    test_reasons();
    test_manual();
    test_latency();
    return tap_done();
}
