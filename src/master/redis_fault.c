#include "master/redis_fault.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_MS 60000

int redis_fault_note(struct redis_fault *fault, enum redis_fault_kind kind, const char *fmt, ...)
{
    va_list args;

    if (fault->is_found)
        return -1;
    va_start(args, fmt);
    (void)vsnprintf(fault->why, sizeof(fault->why), fmt, args);
    va_end(args);
    fault->is_found = 1;
    fault->kind = kind;
    return -1;
}

void redis_fault_log(struct redis_fault *fault, const char *where, uint64_t now_ms)
{
    unsigned bit = 1U << fault->kind;

    if (where != NULL && fault->logged & bit && now_ms - fault->logged_ms < AGAIN_MS) {
        log_event(DEBUG, "redis_attempt_failed", "redis: another attempt has failed[: {}]",
                  LOG_STR("error", fault->why), LOG_STR("server", where));
        return;
    }
    if (where == NULL)
        log_event(WARN, "redis_lost", "redis lost[: {}]; retrying", LOG_STR("error", fault->why));
    else
        log_event(WARN, "redis_not_reachable", "redis not reachable[ at {}: {}]; retrying",
                  LOG_STR("server", where), LOG_STR("error", fault->why));
    fault->logged |= bit;
    fault->logged_ms = now_ms;
}

void redis_fault_over(struct redis_fault *fault)
{
    fault->logged = 0;
}

enum redis_fault_kind redis_fault_kind(const char *error)
{
    if (strncmp(error, "NOAUTH", 6) == 0 || strncmp(error, "WRONGPASS", 9) == 0)
        return REDIS_FAULT_PASSWORD;
    if (strstr(error, "invalid password") != NULL ||
        strstr(error, "AUTH <password> called without") != NULL)
        return REDIS_FAULT_PASSWORD;
    if (strncmp(error, "NOPERM", 6) == 0)
        return REDIS_FAULT_PERMISSION;
    if (strncmp(error, "LOADING", 7) == 0)
        return REDIS_FAULT_LOADING;
    return strstr(error, "max number of clients") != NULL ? REDIS_FAULT_CLIENTS : REDIS_FAULT_ERROR;
}
