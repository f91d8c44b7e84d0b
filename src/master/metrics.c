#include "master/metrics.h"

#include "master/admin_counts.h"
#include "master/stats.h"
#include "master/status.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "axr_notifyd_"

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    (void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct buf *out, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    put_head(out, name, type, help);
    (void)buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void put_seconds(struct buf *out, const char *name, const char *type, const char *help,
                        uint64_t ms)
{
    put_head(out, name, type, help);
    (void)buf_printf(out, "%s %llu.%03llu\n", name, (unsigned long long)(ms / 1000),
                     (unsigned long long)(ms % 1000));
}

/* --- what workers count ------------------------------------------------------- */

/* name{worker="1",label} or less, with a space behind. */
static void put_name(struct buf *out, const char *name, const char *suffix, unsigned worker,
                     const char *label)
{
    (void)buf_printf(out, "%s%s", name, suffix);
    if (worker > 0 && label != NULL)
        (void)buf_printf(out, "{worker=\"%u\",%s}", worker, label);
    else if (worker > 0)
        (void)buf_printf(out, "{worker=\"%u\"}", worker);
    else if (label != NULL)
        (void)buf_printf(out, "{%s}", label);
    (void)buf_putc(out, ' ');
}

static void put_histogram(struct buf *out, const char *name, unsigned worker,
                          const uint64_t *values)
{
#define LE(us, text) "le=\"" text "\"",
    static const char *const bounds[] = {LATENCY_BOUNDS(LE) "le=\"+Inf\""};
#undef LE
    uint64_t count = 0, sum_us = values[LATENCY_BUCKETS];

    for (int i = 0; i < LATENCY_BUCKETS; i++) {
        count += values[i];
        put_name(out, name, "_bucket", worker, bounds[i]);
        (void)buf_printf(out, "%llu\n", (unsigned long long)count);
    }
    put_name(out, name, "_sum", worker, NULL);
    (void)buf_printf(out, "%llu.%06llu\n", (unsigned long long)(sum_us / 1000000),
                     (unsigned long long)(sum_us % 1000000));
    put_name(out, name, "_count", worker, NULL);
    (void)buf_printf(out, "%llu\n", (unsigned long long)count);
}

/* worker 0: the sum of all. */
static void put_values(struct buf *out, const char *name, const struct counter_family *family,
                       unsigned worker, const struct counters *counters)
{
    if (family->type == COUNTER_HISTOGRAM) {
        put_histogram(out, name, worker, counters->at + family->first);
        return;
    }
    for (unsigned i = 0; i < family->n; i++) {
        put_name(out, name, "", worker, family->label != NULL ? family->label(i) : NULL);
        (void)buf_printf(out, "%llu\n", (unsigned long long)counters->at[family->first + i]);
    }
}

static void put_family(struct buf *out, const struct stats *stats,
                       const struct counter_family *family, const struct counters *sum)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    struct counters one;
    char name[128], help[512];

    (void)snprintf(name, sizeof(name), PREFIX "%s", family->name);
    put_head(out, name, types[family->type], family->help);
    put_values(out, name, family, 0, sum);
    (void)snprintf(name, sizeof(name), PREFIX "worker_%s", family->name);
    (void)snprintf(help, sizeof(help), "By worker: %s", family->help);
    put_head(out, name, types[family->type], help);
    for (unsigned number = 1; number <= stats_workers(stats); number++) {
        stats_worker(stats, number, &one);
        put_values(out, name, family, number, &one);
    }
}

static void put_counters(struct buf *out, const struct stats *stats)
{
    struct counters sum;

    stats_sum(stats, &sum);
    for (unsigned f = 0; f < COUNTER_FAMILY_COUNT; f++)
        put_family(out, stats, &counter_families[f], &sum);
}

/* --- what the master knows ---------------------------------------------------- */

static void put_redis(struct buf *out, const struct status *status)
{
    const struct redis_stats *redis = &status->redis;

    put_one(out, PREFIX "redis_up", "gauge", "1 while subscribed to redis.",
            status->redis_subscribed != 0);
    put_one(out, PREFIX "redis_attempts_total", "counter", "Attempts to connect to redis.",
            redis->attempts);
    put_one(out, PREFIX "redis_gaps_total", "counter",
            "Subscriptions lost, and changes of redis at which messages may have been lost.",
            redis->gaps);
    put_seconds(out, PREFIX "redis_gap_seconds_total", "counter",
                "Time without a subscription, of the gaps that are over.", redis->gap_ms);
    put_one(out, PREFIX "redis_messages_total", "counter", "Messages received from redis.",
            redis->messages);
    put_one(out, PREFIX "redis_odd_replies_total", "counter",
            "Replies of redis that mean nothing here and were ignored.", redis->odd);
    put_one(out, PREFIX "redis_sentinels_up", "gauge", "Sentinels that answer.",
            status->sentinels.answering);
    put_one(out, PREFIX "redis_switches_total", "counter",
            "Changes of the master that sentinels name.", status->sentinels.switches);
}

static void put_commands(struct buf *out, const struct feed_commands *commands)
{
    put_one(out, PREFIX "redis_commands_up", "gauge", "1 while answers can be published in redis.",
            commands->is_ready != 0);
    put_one(out, PREFIX "redis_commands_attempts_total", "counter",
            "Attempts to connect to redis for that.", commands->stats.attempts);
    put_one(out, PREFIX "redis_published_total", "counter", "Answers that redis has confirmed.",
            commands->stats.published);
    put_one(out, PREFIX "redis_unpublished_total", "counter",
            "Answers that redis has refused, or that were lost with the connection.",
            commands->stats.failed);
    put_one(out, PREFIX "cluster_counted", "gauge",
            "1 while other servers of the cluster count this one, and wait for its answers.",
            commands->is_counted != 0);
}

/* --- what other servers ask ----------------------------------------------------- */

static void put_requests(struct buf *out, const struct cluster_stats *cluster)
{
    put_head(out, PREFIX "requests_total", "counter",
             "Requests of other servers of the cluster, by type.");
    for (int type = 0; type < REQUEST_TYPES; type++)
        (void)buf_printf(out, PREFIX "requests_total{type=\"%s\"} %llu\n",
                         request_type_name((enum request_type)type),
                         (unsigned long long)cluster->requests[type]);
    put_head(out, PREFIX "requests_dropped_total", "counter",
             "Requests that were not carried out, by reason.");
    for (int reason = REQUEST_OK + 1; reason < REQUEST_RESULTS; reason++)
        (void)buf_printf(out, PREFIX "requests_dropped_total{reason=\"%s\"} %llu\n",
                         request_result_name((enum request_result)reason),
                         (unsigned long long)cluster->dropped[reason]);
    put_head(out, PREFIX "request_answers_total", "counter",
             "Requests, and copies of them, that had to be answered, by what became of that.");
    for (int result = 0; result < RESPONSE_RESULTS; result++)
        (void)buf_printf(out, PREFIX "request_answers_total{result=\"%s\"} %llu\n",
                         response_result_name((enum response_result)result),
                         (unsigned long long)cluster->results[result]);
    put_one(out, PREFIX "request_acks_total", "counter",
            "Acknowledgements of clients that were published.", cluster->acks);
    put_one(out, PREFIX "request_acks_lost_total", "counter",
            "Acknowledgements of clients that nobody waited for any more, or that could not be "
            "published.",
            cluster->acks_lost);
}

static void put_presence(struct buf *out, const struct presence_stats *presence)
{
    static const char *const states[] = {"offline", "online"};

    put_head(out, PREFIX "presence_total", "counter",
             "Users that have gone or come, as servers of the cluster were told, by state.");
    for (int online = 0; online < 2; online++)
        (void)buf_printf(out, PREFIX "presence_total{state=\"%s\"} %llu\n", states[online],
                         (unsigned long long)presence->told[online]);
    put_one(out, PREFIX "presence_failed_total", "counter",
            "... that redis has refused, or that were lost with the connection.", presence->failed);
    put_one(out, PREFIX "presence_waiting", "gauge", "Users of whom something is to be told.",
            presence->waiting);
}

/* --- connection state recovery --------------------------------------------------- */

static void put_history(struct buf *out, const struct recovery_stats *recovery)
{
    const struct history_stats *history = &recovery->history;

    put_one(out, PREFIX "history_bytes", "gauge",
            "Bytes of what is kept for clients that come back.", history->bytes);
    put_one(out, PREFIX "history_limit_bytes", "gauge",
            "Memory that it may take, with all that belongs to it; 0: there is none.",
            recovery->max_bytes);
    put_one(out, PREFIX "history_messages", "gauge", "Messages in it.", history->entries);
    put_seconds(out, PREFIX "history_age_seconds", "gauge", "How far back it reaches.",
                history->age_ms);
    put_one(out, PREFIX "history_crowded_total", "counter",
            "Messages that went before their time, for want of room.", history->crowded);
    put_one(out, PREFIX "history_cuts_total", "counter",
            "How often it was emptied, for something was missing behind it.", history->cuts);
}

static void put_resumed(struct buf *out, const struct resume_stats *resume)
{
    put_one(out, PREFIX "recovered_total", "counter", "Clients that were given their session back.",
            resume->recovered);
    put_head(out, PREFIX "recovery_refused_total", "counter",
             "Clients that were not, though they had one, by reason.");
    for (int reason = 0; reason < RESUME_REFUSALS; reason++)
        (void)buf_printf(out, PREFIX "recovery_refused_total{reason=\"%s\"} %llu\n",
                         resume_refusal_name((enum resume_refusal)reason),
                         (unsigned long long)resume->refused[reason]);
    put_one(out, PREFIX "recovery_takeovers_total", "counter",
            "Connections that were closed, for their client has come back over another.",
            resume->takeovers);
}

static void put_peers(struct buf *out, const struct resume_stats *resume)
{
    put_one(out, PREFIX "recovery_waiting", "gauge",
            "Clients that wait for another daemon, or for redis.", resume->waiting);
    put_one(out, PREFIX "peers_asked_total", "counter",
            "Sessions that other daemons were asked for.", resume->asked);
    put_one(out, PREFIX "peers_silent_total", "counter",
            "Sessions for which none of them has answered in time.", resume->silent);
    put_one(out, PREFIX "peers_answered_total", "counter",
            "Questions of other daemons about sessions that this one knows.", resume->answered);
    put_one(out, PREFIX "peers_dropped_total", "counter",
            "Messages on the channel of daemons that are none, or were not heeded.",
            resume->dropped);
}

static void put_recovery(struct buf *out, const struct recovery_stats *recovery)
{
    put_one(out, PREFIX "recovery_on", "gauge", "1 while clients may have their sessions back.",
            recovery->is_on != 0);
    put_one(out, PREFIX "recovery_offsets_shared", "gauge",
            "1 while other daemons on this redis know the offsets of this one.",
            recovery->is_shared != 0);
    put_one(out, PREFIX "recovery_sessions", "gauge", "Sessions of clients that are connected.",
            recovery->sessions);
    put_one(out, PREFIX "recovery_sessions_gone", "gauge",
            "Sessions of clients that may come back, or have ended not long ago.", recovery->gone);
    put_one(out, PREFIX "recovery_sessions_forgotten_total", "counter",
            "Of these, those that were forgotten before their time.", recovery->forgotten);
    put_resumed(out, &recovery->resume);
    put_peers(out, &recovery->resume);
    put_history(out, recovery);
}

static int is_error(enum emit_result cause)
{
    return cause >= EMIT_MALFORMED;
}

static void put_causes(struct buf *out, const char *name, const char *help,
                       const struct relay_stats *relay, int errors)
{
    put_head(out, name, "counter", help);
    for (int cause = EMIT_OK + 1; cause < EMIT_RESULTS; cause++)
        if (is_error((enum emit_result)cause) == errors)
            (void)buf_printf(out, "%s{cause=\"%s\"} %llu\n", name,
                             emit_result_name((enum emit_result)cause),
                             (unsigned long long)relay->dropped[cause]);
}

static void put_relay(struct buf *out, const struct status *status)
{
    static const char *const verdicts[] = {"ok", "user_limit", "no_memory"};
    const struct relay_stats *relay = &status->relay;

    put_one(out, PREFIX "messages_relayed_total", "counter",
            "Messages handed to one worker at least.", relay->relayed);
    put_one(out, PREFIX "messages_unheard_total", "counter",
            "Good messages for rooms in which nobody is.", relay->nobody);
    put_causes(out, PREFIX "messages_passed_over_total",
               "Messages that are not meant for clients of this server, by cause.", relay, 0);
    put_causes(out, PREFIX "messages_dropped_total",
               "Messages that could not be relayed, by cause.", relay, 1);
    put_one(out, PREFIX "users", "gauge", "Users that are connected.", status->users);
    put_one(out, PREFIX "further_rooms", "gauge",
            "Rooms beside those of users and of everybody, on all workers.", status->rooms);
    put_one(out, PREFIX "memberships", "gauge",
            "Clients in rooms beside those of users and of everybody, once for each room.",
            status->memberships);
    put_head(out, PREFIX "admissions_total", "counter",
             "Clients that workers asked about, by verdict.");
    for (unsigned i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++)
        (void)buf_printf(out, PREFIX "admissions_total{verdict=\"%s\"} %llu\n", verdicts[i],
                         (unsigned long long)relay->admissions[i]);
}

static void put_each(struct buf *out, const struct status *status, size_t n, const char *name,
                     const char *type, const char *help,
                     uint64_t (*value)(const struct status_worker *worker))
{
    put_head(out, name, type, help);
    for (size_t i = 0; i < n; i++)
        (void)buf_printf(out, "%s{worker=\"%u\"} %llu\n", name, status->workers[i].number,
                         (unsigned long long)value(&status->workers[i]));
}

static uint64_t value_up(const struct status_worker *worker)
{
    return worker->up != 0;
}

static uint64_t value_restarts(const struct status_worker *worker)
{
    return worker->restarts;
}

static uint64_t value_queued(const struct status_worker *worker)
{
    return worker->queued;
}

static void put_workers(struct buf *out, const struct status *status)
{
    uint64_t up = 0, restarts = 0, queued = 0;

    for (size_t i = 0; i < status->numbers; i++) {
        up += value_up(&status->workers[i]);
        restarts += status->workers[i].restarts;
        queued += status->workers[i].queued;
    }
    put_one(out, PREFIX "workers", "gauge", "Workers that there ought to be.", status->nworkers);
    put_one(out, PREFIX "workers_up", "gauge", "Workers that serve clients and give signs of life.",
            up);
    put_each(out, status, status->nworkers, PREFIX "worker_up", "gauge",
             "1 if the worker serves clients and gives signs of life.", value_up);
    put_one(out, PREFIX "restarts_total", "counter", "Workers forked in place of others.",
            restarts);
    put_each(out, status, status->numbers, PREFIX "worker_restarts_total", "counter",
             "By worker: Workers forked in place of others.", value_restarts);
    put_one(out, PREFIX "pipe_queue_bytes", "gauge",
            "Bytes that wait for workers in the master's queues and in the pipes.", queued);
    put_each(out, status, status->numbers, PREFIX "worker_pipe_queue_bytes", "gauge",
             "By worker: Bytes that wait for workers in the master's queues and in the pipes.",
             value_queued);
}

static void put_master(struct buf *out, const struct status *status)
{
    put_head(out, PREFIX "build_info", "gauge", "1, with the version.");
    (void)buf_puts(out, PREFIX "build_info{version=\"" AXR_VERSION "\"} 1\n");
    put_head(out, PREFIX "reloads_total", "counter", "Reloads of the configuration, by result.");
    (void)buf_printf(out, PREFIX "reloads_total{result=\"ok\"} %llu\n",
                     (unsigned long long)status->reloads);
    (void)buf_printf(out, PREFIX "reloads_total{result=\"failed\"} %llu\n",
                     (unsigned long long)status->reloads_failed);
    put_one(out, PREFIX "config_generation", "gauge",
            "Configurations that have been in force, this one included.", status->generation);
    put_one(out, PREFIX "master_log_lines_lost_total", "counter",
            "Log lines of the master that could not be written.", status->log_lost);
}

/* One of several with the same name is not told if another ends before it. */
static int is_first_to_end(const struct conf_tls *tls, size_t i)
{
    for (size_t j = 0; j < tls->n; j++) {
        const struct conf_certificate *one = &tls->at[i], *other = &tls->at[j];

        if (j != i && strcmp(one->names[0], other->names[0]) == 0 &&
            (other->not_after < one->not_after || (other->not_after == one->not_after && j < i)))
            return 0;
    }
    return 1;
}

static void put_tls(struct buf *out, const struct status *status)
{
    const struct conf_tls *tls = status->tls;
    int64_t now = time(NULL);

    put_head(out, PREFIX "tls_certificate_expiry_seconds", "gauge",
             "Until a certificate expires, by its first name; negative: it has.");
    for (size_t i = 0; i < tls->n; i++)
        if (is_first_to_end(tls, i))
            (void)buf_printf(out, PREFIX "tls_certificate_expiry_seconds{name=\"%s\"} %lld\n",
                             tls->at[i].names[0], (long long)(tls->at[i].not_after - now));
    put_head(out, PREFIX "tls_reloads_total", "counter",
             "Times that other certificates came into force, and that old ones had to stay.");
    (void)buf_printf(out, PREFIX "tls_reloads_total{result=\"ok\"} %llu\n",
                     (unsigned long long)status->certificates.good);
    (void)buf_printf(out, PREFIX "tls_reloads_total{result=\"failed\"} %llu\n",
                     (unsigned long long)status->certificates.failed);
}

/* --- the admin address --------------------------------------------------------- */

static void put_admin(struct buf *out)
{
    uint64_t count;
    int status;

    put_head(out, PREFIX "admin_requests_total", "counter",
             "Requests answered on the admin address, by status.");
    for (size_t i = 0; admin_counts_next(i, &status, &count); i++) {
        if (status != 0)
            (void)buf_printf(out, PREFIX "admin_requests_total{status=\"%d\"} ", status);
        else
            (void)buf_puts(out, PREFIX "admin_requests_total{status=\"other\"} ");
        (void)buf_printf(out, "%llu\n", (unsigned long long)count);
    }
    put_head(out, PREFIX "admin_actions_total", "counter",
             "What was asked for on the admin address and redis has taken, by action.");
    for (int i = 0; i < ADMIN_ACTIONS; i++)
        (void)buf_printf(out, PREFIX "admin_actions_total{action=\"%s\"} %llu\n",
                         admin_action_name((enum admin_action)i),
                         (unsigned long long)admin_counts_action((enum admin_action)i));
}

/* --- the master as a process -------------------------------------------------- */

/* statm begins with size and resident set, in pages. */
static void put_memory(struct buf *out)
{
    char line[256] = "", *end;
    unsigned long long page = (unsigned long long)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");

    if (file == NULL)
        return;
    if (fgets(line, sizeof(line), file) != NULL) {
        unsigned long long size = strtoull(line, &end, 10), resident = strtoull(end, NULL, 10);
        put_one(out, "process_virtual_memory_bytes", "gauge", "Virtual memory of the master.",
                size * page);
        put_one(out, "process_resident_memory_bytes", "gauge", "Resident memory of the master.",
                resident * page);
    }
    (void)fclose(file);
}

static void put_files(struct buf *out)
{
    struct rlimit limit;
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;
    const struct dirent *item;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        put_one(out, "process_max_fds", "gauge", "Descriptors that the master may open.",
                limit.rlim_cur);
    if (dir == NULL)
        return;

    while ((item = readdir(dir)) != NULL)
        n += item->d_name[0] != '.';
    closedir(dir);
    put_one(out, "process_open_fds", "gauge", "Descriptors that the master has open.", n - 1);
}

static void put_process(struct buf *out, const struct status *status)
{
    struct rusage usage;

    put_seconds(out, "process_start_time_seconds", "gauge", "When the master started, since 1970.",
                (uint64_t)status->started_ms);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        put_seconds(out, "process_cpu_seconds_total", "counter", "CPU time of the master.",
                    (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                        (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
    put_memory(out);
    put_files(out);
}

void metrics_put(const struct status *status, struct buf *out)
{
    put_master(out, status);
    put_tls(out, status);
    put_workers(out, status);
    put_redis(out, status);
    put_commands(out, &status->commands);
    put_relay(out, status);
    put_requests(out, &status->cluster);
    put_presence(out, &status->presence);
    put_recovery(out, &status->recovery);
    put_admin(out);
    put_counters(out, status->stats);
    put_process(out, status);
}
