#include "ipc/balance.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

#define CACHE_LINE 64 /* bytes; a worker's stores disturb nobody else's line */

/* Above the mean by less than this a worker still accepts.  Less would make the
 * workers take turns at every connection; the spread wanted is 1.10 to the mean. */
#define MARGIN         4  /* clients */
#define MARGIN_DIVISOR 64 /* and the mean divided by this besides */

struct line {
    _Alignas(CACHE_LINE) _Atomic uint32_t clients;
    _Atomic uint32_t accepted;
    _Atomic uint8_t accepts;
    _Atomic uint8_t rests;
};

struct balance {
    unsigned n;
    struct line lines[];
};

static size_t size_for(unsigned workers)
{
    return sizeof(struct balance) + workers * sizeof(struct line);
}

/* Every order of the loads and stores is good enough. */
static uint32_t get(const _Atomic uint32_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

struct balance *balance_new(unsigned workers)
{
    struct balance *balance =
        mmap(NULL, size_for(workers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (balance == MAP_FAILED)
        return NULL;
    balance->n = workers;
    return balance;
}

void balance_free(struct balance **balance)
{
    if (*balance != NULL)
        munmap(*balance, size_for((*balance)->n));
    *balance = NULL;
}

void balance_accepts(struct balance *balance, unsigned worker, int on)
{
    atomic_store_explicit(&balance->lines[worker].accepts, on != 0, memory_order_relaxed);
}

void balance_set(struct balance *balance, unsigned worker, uint32_t clients)
{
    atomic_store_explicit(&balance->lines[worker].clients, clients, memory_order_relaxed);
}

void balance_accepted(struct balance *balance, unsigned worker, uint32_t n)
{
    atomic_fetch_add_explicit(&balance->lines[worker].accepted, n, memory_order_relaxed);
}

static int is_accepting(const struct line *line)
{
    return atomic_load_explicit(&line->accepts, memory_order_relaxed);
}

unsigned balance_room(const struct balance *balance, unsigned worker, unsigned max)
{
    uint64_t own = get(&balance->lines[worker].clients), sum = own, n = 1, limit;

    for (unsigned i = 0; i < balance->n; i++) {
        if (i == worker || !is_accepting(&balance->lines[i]))
            continue;
        sum += get(&balance->lines[i].clients);
        n++;
    }
    if (n == 1)
        return max;
    limit = sum / n + sum / n / MARGIN_DIVISOR + MARGIN;
    if (own >= limit)
        return 0;
    return limit - own < max ? (unsigned)(limit - own) : max;
}

uint32_t balance_others(const struct balance *balance, unsigned worker)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < balance->n; i++)
        if (i != worker)
            sum += get(&balance->lines[i].accepted);
    return sum;
}

void balance_rests(struct balance *balance, unsigned worker, int on)
{
    atomic_store_explicit(&balance->lines[worker].rests, on != 0, memory_order_relaxed);
}

unsigned balance_awake(const struct balance *balance, unsigned worker)
{
    unsigned n = 0;

    for (unsigned i = 0; i < balance->n; i++) {
        const struct line *line = &balance->lines[i];

        n += i != worker && is_accepting(line) &&
             !atomic_load_explicit(&line->rests, memory_order_relaxed);
    }
    return n;
}
