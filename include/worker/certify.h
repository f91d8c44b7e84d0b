/* certify - the certificates of the configuration become those of the engine. */
#ifndef WORKER_CERTIFY_H
#define WORKER_CERTIFY_H

struct conf_tls;
struct engine;

/* What the engine has; zero at first. */
struct certified {
    unsigned char digest[32];
};

/* From now on with these, which takes milliseconds where they are others; with none, with
 * those that there are.  The texts of the private keys are overwritten: what is needed of them
 * is in the engine then.  Returns 0, or -1 (logged) and the engine has what it had. */
int certify(struct certified *certified, struct engine *engine, const struct conf_tls *tls);

#endif
