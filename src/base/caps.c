#include "base/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS _LINUX_CAPABILITY_U32S_3

/* No libcap for two system calls. */
static int caps_get(struct __user_cap_data_struct data[WORDS])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return (int)syscall(SYS_capget, &header, data);
}

static int caps_set(const struct __user_cap_data_struct data[WORDS])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return (int)syscall(SYS_capset, &header, data);
}

/* EPERM: it is not ours to change.  EINVAL: past the last that the kernel knows. */
static int bounding_drop(void)
{
    for (unsigned long cap = 0; cap < 64; cap++) {
        int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

        if (has < 0)
            return errno == EINVAL ? 0 : -1;
        if (has > 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return errno == EPERM ? 0 : -1;
    }
    return 0;
}

/* EINVAL: a kernel before 4.3, without them. */
static int ambient_clear(void)
{
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL ? -1 : 0;
}

int caps_limit(int keep_bind)
{
    struct __user_cap_data_struct data[WORDS] = {0};
    uint32_t kept = 0;

    if (caps_get(data) < 0)
        return -1;
    if (keep_bind)
        kept = data[0].permitted & 1U << CAP_NET_BIND_SERVICE;
    if (bounding_drop() < 0 || ambient_clear() < 0)
        return -1;
    for (int i = 0; i < WORDS; i++)
        data[i] = (struct __user_cap_data_struct){0};
    data[0].effective = data[0].permitted = kept;
    if (caps_set(data) < 0)
        return -1;
    return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
}

int caps_keep(void)
{
    return bounding_drop() < 0 ? -1 : prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
}

int caps_are_limited(int bind_allowed)
{
    struct __user_cap_data_struct data[WORDS] = {0};
    uint32_t allowed = bind_allowed ? 1U << CAP_NET_BIND_SERVICE : 0;

    if (caps_get(data) < 0)
        return 0;
    for (int i = 0; i < WORDS; i++) {
        if (data[i].inheritable != 0 || (data[i].permitted & ~allowed) != 0 ||
            (data[i].effective & ~allowed) != 0)
            return 0;
        allowed = 0;
    }
    return 1;
}
