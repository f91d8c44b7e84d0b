/* tls_fault - why TLS with a client came to nothing: what is counted, and said in the log. */
#ifndef NET_TLS_FAULT_H
#define NET_TLS_FAULT_H

enum tls_fault {
    TLS_TIMEOUT,       /* the handshake was not done in its time */
    TLS_CLOSED,        /* the client left before it was */
    TLS_HTTP,          /* what came is plain HTTP ... */
    TLS_PROXY_LINE,    /* ... a PROXY header, which is not expected there */
    TLS_NOT_TLS,       /* ... or something else */
    TLS_VERSION,       /* the client's versions are too old */
    TLS_CIPHER,        /* it has no cipher, curve or signature that is known here */
    TLS_ALPN,          /* it wants another protocol than HTTP/1.1 */
    TLS_REFUSED,       /* the client refused it, and said why (an alert) */
    TLS_RECORD,        /* its records are malformed, too large or forged */
    TLS_FLOOD,         /* too many of them carry nothing */
    TLS_RENEGOTIATION, /* it began a second handshake */
    TLS_NO_MEMORY,
    TLS_FAULTS /* how many there are */
};

#endif
