/* tls_words - what does not hold of a server's TLS, in words for the log: for tls_client. */
#ifndef CODEC_TLS_WORDS_H
#define CODEC_TLS_WORDS_H

#include "codec/tls_client.h"

#define TLS_WORDS_NAME 64
#define TLS_WORDS_TIME 32

/* Whose a certificate is: the common name, escaped, or where there is none the organisation. */
const char *tls_words_name(const X509_NAME *name, char dst[TLS_WORDS_NAME]);

/* 2026-11-30 18:48:25 UTC */
const char *tls_words_time(const ASN1_TIME *time, char dst[TLS_WORDS_TIME]);

/* What is wrong with the chain that a server shows, which is to have the name wanted. */
void tls_words_chain(struct tls_client_why *why, const char *wanted, X509_STORE_CTX *store);

/* Why a call of OpenSSL has failed with that result; errno is as it was then. */
void tls_words_failure(struct tls_client_why *why, SSL *ssl, int result);

#endif
