#include "master/names.h"

#include "master/resolve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct name {
    struct names *names;
    struct name *next;
    struct resolve *resolve; /* NULL: it is not being looked up */
    char *addresses;         /* NULL: not known */
    char host[];
};

struct names {
    struct event_base *base;
    const struct names_ops *ops;
    void *arg;
    struct name *first;
    unsigned waiting;
};

/* --- answers ------------------------------------------------------------------ */

static void failed(struct names *names, const char *host, const char *why)
{
    char text[512];

    names->waiting = 0;
    for (struct name *name = names->first; name != NULL; name = name->next)
        resolve_free(&name->resolve);
    (void)snprintf(text, sizeof(text), "cannot look %.200s up: %.200s", host, why);
    names->ops->done(text, names->arg);
}

static void on_resolved(const char *addresses, const char *why, void *arg)
{
    struct name *name = arg;
    struct names *names = name->names;
    char copy[256]; /* why is the resolver's */

    (void)snprintf(copy, sizeof(copy), "%.200s", why != NULL ? why : "out of memory");
    if (addresses != NULL)
        name->addresses = strdup(addresses);
    resolve_free(&name->resolve);
    if (name->addresses == NULL)
        failed(names, name->host, copy);
    else if (--names->waiting == 0)
        names->ops->done(NULL, names->arg);
}

static const struct resolve_ops resolve_ops = {.done = on_resolved};

/* --- questions ---------------------------------------------------------------- */

static struct name *find(const struct names *names, const char *host)
{
    struct name *name = names->first;

    while (name != NULL && strcmp(name->host, host) != 0)
        name = name->next;
    return name;
}

static struct name *add(struct names *names, const char *host)
{
    size_t len = strlen(host) + 1;
    struct name *name = calloc(1, sizeof(*name) + len);

    if (name == NULL)
        return NULL;
    name->names = names;
    memcpy(name->host, host, len);
    name->next = names->first;
    names->first = name;
    return name;
}

int names_add(struct names *names, const char *host)
{
    struct name *name;

    if (resolve_is_numeric(host) || find(names, host) != NULL)
        return 0;
    name = add(names, host);
    if (name == NULL)
        return -1;
    name->resolve = resolve_new(names->base, host, NAMES_WAIT_S, &resolve_ops, name);
    if (name->resolve == NULL)
        return -1;
    names->waiting++;
    return 0;
}

int names_put(struct names *names, const char *host, const char *addresses)
{
    struct name *name;

    if (resolve_is_numeric(host) || find(names, host) != NULL)
        return 0;
    name = add(names, host);
    if (name != NULL)
        name->addresses = strdup(addresses);
    return name != NULL && name->addresses != NULL ? 0 : -1;
}

unsigned names_waiting(const struct names *names)
{
    return names->waiting;
}

const char *names_find(const struct names *names, const char *host)
{
    const struct name *name;

    if (resolve_is_numeric(host))
        return host;
    name = find(names, host);
    return name != NULL ? name->addresses : NULL;
}

/* --- coming and going --------------------------------------------------------- */

struct names *names_new(struct event_base *base, const struct names_ops *ops, void *arg)
{
    struct names *names = calloc(1, sizeof(*names));

    if (names == NULL)
        return NULL;
    names->base = base;
    names->ops = ops;
    names->arg = arg;
    return names;
}

void names_free(struct names **namesp)
{
    struct names *names = *namesp;

    if (names == NULL)
        return;
    *namesp = NULL;
    while (names->first != NULL) {
        struct name *name = names->first;
        names->first = name->next;
        resolve_free(&name->resolve);
        free(name->addresses);
        free(name);
    }
    free(names);
}
