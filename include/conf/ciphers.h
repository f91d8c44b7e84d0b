/* ciphers - what tls has beside its certificates, tried with OpenSSL.  Private to conf/. */
#ifndef CONF_CIPHERS_H
#define CONF_CIPHERS_H

#include "conf.h"
#include "conf/settings.h"

/* Would OpenSSL take all of conf->tls?  What it would not is reported. */
void ciphers_check(const struct conf *conf, struct settings *set);

#endif
