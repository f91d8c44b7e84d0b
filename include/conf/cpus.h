/* cpus - how many CPUs this process may use. */
#ifndef CONF_CPUS_H
#define CONF_CPUS_H

/* Those that it may run on, or, where its cgroups give it less time than that, as many
 * as that time is worth, rounded up.  At least 1. */
int cpus_usable(void);

/* What the cgroups give, of both versions, those above its own too; 0: there is no
 * limit.  root is what stands before /proc/self and the mount points: "" but in tests. */
int cpus_quota(const char *root);

#endif
