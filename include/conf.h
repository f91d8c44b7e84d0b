/* conf - the configuration: read, checked as a whole, then never changed.
 *
 * Sources, as nconf orders them: command line over environment over file over
 * defaults.  axr-notifyd.conf(5) has every key. */
#ifndef CONF_H
#define CONF_H

#include "base/buf.h"
#include "base/log.h"
#include "base/network.h"
#include "codec/token.h"

#include <stddef.h>
#include <stdint.h>

#define CONF_DEFAULT_FILE      AXR_SYSCONFDIR "/axr-notifyd/axr-notifyd.conf"
#define CONF_WORKERS_MAX       256
#define CONF_NSP_MAX           256 /* bytes */
#define CONF_CONNECTIONS_MAX   16000000
#define CONF_MESSAGE_BYTES_MAX (64 << 20)
/* Of limits:connections, for limits:strangers, which is no less than a few clients that
 * come at once. */
#define CONF_STRANGERS_PART 4
#define CONF_STRANGERS_MIN  16
/* Descriptors of a worker that are no clients, beside two for each worker. */
#define CONF_FILES_RESERVED 64

struct conf_listen {
    char *host;      /* NULL: all addresses; no brackets around IPv6 */
    int port;        /* 0: any free one */
    char *unix_path; /* set: a Unix socket, host and port mean nothing */
    int tls;         /* its clients speak TLS */
    int proxy;       /* each connection begins with a PROXY header */
};

/* A certificate with the others of its chain and its private key, both PEM, as they were
 * read from their files and found good. */
struct conf_certificate {
    char *cert_file, *key_file; /* may be the same */
    char *cert, *key;           /* the key is overwritten before it is freed */
    size_t cert_len, key_len;
    /* What is said of it, by who has read the files; a worker that takes it later has none. */
    char **names;                  /* NULL-terminated, one at least */
    char *kind;                    /* of its key: "ECDSA P-256" */
    int64_t not_before, not_after; /* seconds since 1970, of all of the chain */
    int unread; /* nothing of it is there: who we are by now may not read its files */
};

#define CONF_CERTIFICATES_MAX 64
#define CONF_TLS_1_2          0x0303 /* as OpenSSL numbers versions */
#define CONF_TLS_1_3          0x0304

struct conf_tls {
    struct conf_certificate *at; /* the first is for clients that name none of them */
    size_t n;                    /* 0: no listener speaks TLS */
    int min_version;             /* CONF_TLS_... */
    char *ciphers;               /* of TLS 1.2, OpenSSL's syntax; NULL: those of net/tls_context */
    char *cipher_suites;         /* of TLS 1.3, likewise */
};

/* TLS to a server, as its client. */
struct conf_redis_tls {
    int on;                               /* 0: the rest means nothing */
    int verify;                           /* rejectUnauthorized */
    char *servername;                     /* that its certificate is to have; NULL: the host's */
    char *ca_file, *cert_file, *key_file; /* names, or NULL */
    char *ca, *cert, *key;                /* PEM, of these files or as given, or NULL.  ca: who is
                                             trusted in place of the system's authorities */
    int unread;                           /* the key is not there: who we are by now may not read
                                             its file */
};

/* Who is believed to say whose the connections and requests are that come from it. */
struct conf_proxies {
    struct networks from;
    int header; /* enum forwarded_header (codec/forwarded.h) */
};

struct conf_sentinel {
    char *host;
    int port;
};

struct conf_redis {
    char *host; /* with sentinels it means nothing, nor do port and path */
    int port;
    int database;   /* pub/sub ignores it; selected where not 0 */
    char *path;     /* Unix socket, or NULL: TCP */
    char *username; /* ACL user, or NULL */
    char *password; /* or NULL */
    struct conf_redis_tls tls;

    struct conf_sentinel *sentinels; /* they know where redis is; NULL: none */
    size_t nsentinels;
    char *name; /* of the master that is asked for; with sentinels never NULL */
    char *sentinel_username, *sentinel_password; /* as above, or NULL */
    struct conf_redis_tls sentinel_tls;
};

#define CONF_ADMIN_TOKEN_MAX 1024 /* bytes */

/* Where a key that tokens are checked with is from. */
struct conf_key_origin {
    const char *setting; /* one with a name: "auth:secretFile" */
    long element;        /* of auth:keys, or -1 */
    char *file;          /* that it is in, as the configuration calls it, or NULL */
    unsigned number, of; /* of how many that are from there it is which: 1 of 1 */
};

struct conf {
    int workers; /* "auto" is resolved */
    struct conf_listen *listen;
    size_t nlisten;
    struct conf_tls tls;

    struct conf_proxies proxies;

    char *path; /* of the endpoint; begins and ends with '/' */
    char *nsp;  /* the namespace; begins with '/', at most 256 bytes */
    char *key;  /* channel prefix of the emitters, not empty */
    struct conf_redis redis;
    int presence; /* servers of the cluster are told who is connected */
    uint32_t ping_interval_ms, ping_timeout_ms, connect_timeout_ms, upgrade_timeout_ms;
    uint32_t recovery_ms;   /* how long a client may be away; see below */
    size_t max_http_buffer; /* bytes of one message from a client */
    int polling, websocket; /* offered transports */
    int allow_eio3;
    int recovery;          /* connectionStateRecovery; where it is off the rest means nothing */
    size_t recovery_bytes; /* of the history, at most */
    char *recovery_file;   /* name of the secret's file, or NULL */
    char *recovery_secret; /* what sessions are signed with, or NULL: the secrets of tokens */
    size_t recovery_secret_len;
    char *client_file; /* its name, or NULL */
    char *client_text; /* what was in it */
    size_t client_len;

    struct token_policy token;     /* points to keys and to the lists of strings */
    struct token_keys *keys;       /* all that are in force */
    struct token_keys *given_keys; /* those without the JWKS file; NULL if there is no such file */
    struct conf_key_origin *key_origins; /* of all that were there when it was loaded */
    size_t nkey_origins;
    char *jwks_file;             /* its name, or NULL */
    char **audiences, **issuers; /* NULL-terminated, or NULL */
    char **token_types;          /* likewise */
    char **cors_origins;         /* NULL-terminated, may be empty; "*" for any; scheme and
                                    host in lower case, without a default port */
    int cors_any;                /* "*" is among them */
    int cors_credentials;

    size_t connections_max;            /* per worker */
    size_t strangers_max;              /* likewise: places of those without a good token */
    uint32_t connections_per_user;     /* 0: no limit */
    uint32_t connections_per_address;  /* likewise; and sessions; over all workers */
    uint32_t rooms_per_client;         /* everybody's and its user's among them */
    int replace_connections;           /* past it the oldest leaves, else the newest is refused */
    size_t head_bytes, head_headers;   /* of a request; HTTP_HEADERS_CAP or less */
    size_t message_bytes, attachments; /* of a notification */
    size_t send_buffer;                /* bytes that may wait for one client */
    uint32_t send_timeout_ms;
    uint32_t idle_timeout_ms;     /* between the requests of a connection */
    uint32_t requests_timeout_ms; /* for what other servers of the cluster ask */
    uint32_t shutdown_timeout_ms, drain_timeout_ms;

    enum log_level log_level;
    enum log_target log_target;
    enum log_format log_format;
    char *log_file;

    char *admin_host; /* NULL: "off" */
    int admin_port;
    char *admin_token;  /* whoever has it may change something; or NULL: nobody may */
    char *pid_file;     /* or NULL */
    char *user, *group; /* or NULL: stay who we are */
    int sandbox;        /* the workers' */
    struct buf report;  /* what conf_print() shows */
};

enum conf_for {
    CONF_FOR_DAEMON,    /* everything is needed, keys above all */
    CONF_FOR_RELOAD,    /* the same in place of one that is in force: a file that is empty is
                           one that is just being written, and certificates that may not be read
                           are left to conf_keep_certificates() */
    CONF_FOR_REHEARSAL, /* by whoever will read it for that, to hear whether they can: such
                           certificates are what conf_unread_put() names */
    CONF_FOR_NOTIFY,    /* axr-notify: only redis, namespace, key and the limits of a message are
                           used; no secret is read or required */
    CONF_FOR_PROBE,     /* axr-notifyd --health: likewise only the admin address */
    CONF_FOR_TOKENS,    /* axr-notify, to make and to check them: only what is below auth, and the
                           limits of tokens */
};

/* Where conf_load() looks.  conf_args_split() (conf/args.h) makes one from a
 * command line; zero-initialised means: defaults and the default file only. */
struct conf_args {
    const char *file; /* -c, or NULL: CONF_DEFAULT_FILE if it is there */
    char **options;   /* --KEY VALUE and --KEY=VALUE words, options not ours removed */
    size_t noptions;
    char **environ;  /* NAME=VALUE..., NULL-terminated, or NULL: nothing */
    const char *dir; /* where relative file names begin, or NULL: as they are */
};

/* Reads and checks all sources.  Returns the configuration, or NULL with a
 * complete message (one line or more, each ending in a newline) in errors.
 * warnings gets lines likewise, as of a short secret; keys that are
 * ignored are in conf_print() only.  No secret gets into either.
 * Never ends the process, so that a reload may fail. */
struct conf *conf_load(const struct conf_args *args, enum conf_for purpose, struct buf *errors,
                       struct buf *warnings);

/* The same with len bytes of text in place of the file; args->file is only
 * what messages call it. */
struct conf *conf_load_text(const struct conf_args *args, const char *text, size_t len,
                            enum conf_for purpose, struct buf *errors, struct buf *warnings);

/* What is in force: one "key = value  (source)" a line for each key, secrets
 * masked, then "key: kid, algorithms  (source, setting)" for each key of tokens in turn, and
 * "ignored: key  (source)". */
void conf_print(const struct conf *conf, struct buf *out);

/* Reads jwks_file again, which must be set, and checks it whole, with the same
 * messages as conf_load().  Returns 1 if conf->keys are others now (pointers to
 * the old ones are dangling; conf->token.keys follows), 0 if nothing has changed,
 * -1 if the file is bad or leaves no key to use, CONF_KEYS_UNREAD if it could not be
 * read, or there was no memory, which the same file may outlive.  With both
 * everything stays as it was. */
#define CONF_KEYS_UNREAD (-2)
int conf_reread_keys(struct conf *conf, struct buf *errors, struct buf *warnings);

/* Settles which certificates of a configuration made with CONF_FOR_RELOAD come into force
 * after those of now, clients' too: where we may not read the files of one, that which now has
 * of the same files stays; one whose time has not come, or is over, does not take the place of a
 * good one.  Returns 0, or -1 with errors: what is wanted cannot be in force. */
int conf_keep_certificates(const struct conf *now, struct conf *wanted, struct buf *errors,
                           struct buf *warnings);

/* A line for each certificate of one made with CONF_FOR_REHEARSAL whose files may not be
 * read. */
void conf_unread_put(const struct conf *conf, struct buf *lines);

/* Reads the files of certificate number i again.  If they are good, and others than before,
 * they take their place; whatever is wrong, the certificate stays as it was.  Returns 1 if it
 * is another, 0 if nothing has changed, -1 if it is bad, CONF_CERTIFICATE_UNREAD if a file
 * could not be read, or there was no memory, which the same files may outlive. */
#define CONF_CERTIFICATE_UNREAD    (-2)
#define CONF_CERTIFICATE_FORBIDDEN (-3) /* likewise, for who we are may not */
int conf_reread_certificate(struct conf *conf, size_t i, struct buf *errors, struct buf *warnings);

/* "example.org, *.example.org"; of many the first, and how many more. */
void conf_certificate_put_names(const struct conf_certificate *certificate, struct buf *out);

/* Overwrites the private keys, which nobody can use from then on. */
void conf_tls_wipe(const struct conf_tls *tls);

/* Frees it with its secrets overwritten. */
void conf_free(struct conf **conf);

#endif
