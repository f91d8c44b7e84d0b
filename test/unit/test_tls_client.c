/* A client of TLS against a server in the same process: whom it trusts, and what it says of
 * the others. */
#include "codec/tls_client.h"

#include "scratch.h"
#include "tap.h"
#include "tls_server.h"

#define DAY 86400L

static struct made authority, stranger, alone;
static struct buf error;

/* --- both ends -------------------------------------------------------------------- */

static struct tls_client *client_of(const struct tls_client_options *options)
{
    enum tls_client_part part;
    struct tls_client *client;

    buf_reset(&error);
    client = tls_client_new(options, &error, &part);
    if (client == NULL) {
        printf("# %.*s\n", (int)error.len, (char *)error.data);
        abort();
    }
    return client;
}

/* What one has written goes to the other. */
static void carry(SSL *from, SSL *to)
{
    char bytes[4096];
    int n;

    while ((n = BIO_read(SSL_get_wbio(from), bytes, sizeof(bytes))) > 0)
        BIO_write(SSL_get_rbio(to), bytes, n);
}

static void give_bios(SSL *ssl)
{
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
}

/* Shakes hands and reads once.  Returns NULL where all is well, else what is said of it. */
static const char *meet(const struct tls_client *client, const char *name, SSL_CTX *ctx,
                        struct tls_client_why *why)
{
    SSL *one = tls_client_session(client, name, why), *other = SSL_new(ctx);
    char byte;
    int rc = -1;

    give_bios(one);
    give_bios(other);
    SSL_set_accept_state(other);
    for (int i = 0; i < 20; i++) {
        rc = SSL_read(one, &byte, 1); /* which shakes hands first */
        if (SSL_get_error(one, rc) != SSL_ERROR_WANT_READ)
            break;
        carry(one, other);
        (void)SSL_read(other, &byte, 1);
        ERR_clear_error();
        carry(other, one);
    }
    if (SSL_get_error(one, rc) != SSL_ERROR_WANT_READ)
        tls_client_explain(one, rc);
    SSL_free(one);
    SSL_free(other);
    return why->text[0] != '\0' ? why->text : NULL;
}

static void is_met(const struct tls_client_options *options, const char *name,
                   const struct tls_server_options *server, const char *sni, const char *what)
{
    struct tls_client *client = client_of(options);
    struct tls_client_why why;
    char said[64] = "(none)";
    SSL_CTX *ctx = tls_server_new(server, said);

    is_str(meet(client, name, ctx, &why), NULL, what);
    is_str(said, sni, "the name that it says");
    SSL_CTX_free(ctx);
    tls_client_free(&client);
}

static void is_refused(const struct tls_client_options *options, const char *name,
                       const struct tls_server_options *server, enum tls_client_fault kind,
                       const char *text)
{
    struct tls_client *client = client_of(options);
    struct tls_client_why why;
    SSL_CTX *ctx = tls_server_new(server, NULL);
    const char *said = meet(client, name, ctx, &why);

    is_int(why.kind, kind, text);
    if (!ok(said != NULL && strncmp(said, text, strlen(text)) == 0, "is said"))
        printf("# %s\n", said != NULL ? said : "nothing");
    SSL_CTX_free(ctx);
    tls_client_free(&client);
}

/* --- names ------------------------------------------------------------------------ */

static const char wanted[] = "its certificate is for a.example, *.b.example, 10.1.1.1 and 2 more, "
                             "wanted ";

static void test_names(void)
{
    struct made cert = make((struct make){
        .name = "cn.example",
        .names = "DNS:a.example,DNS:*.b.example,IP:10.1.1.1,IP:2001:db8::1,DNS:c.example",
        .issuer = &authority});
    struct made plain = make((struct make){.name = "cn.example", .issuer = &authority});
    const struct tls_client_options trusting = {.ca = authority.cert, .verify = 1};
    const struct tls_server_options server = {.cert = &cert}, old = {.cert = &plain};
    char text[200];

    is_met(&trusting, "a.example", &server, "a.example", "a name");
    is_met(&trusting, "A.Example.", &server, "A.Example", "in another case, with its last dot");
    is_met(&trusting, "x.b.example", &server, "x.b.example", "one of many");
    is_met(&trusting, "10.1.1.1", &server, "", "an address");
    is_met(&trusting, "2001:DB8:0::1", &server, "", "another, spelt otherwise");
    is_met(&trusting, "2001:db8::1%lo", &server, "", "with a zone");
    is_met(&trusting, "cn.example", &old, "cn.example", "a common name, where there is no other");
    for (size_t i = 0; i < 5; i++) {
        static const char *const names[] = {"cn.example", "b.example", "x.y.b.example", "10.1.1.2",
                                            "::1"};

        (void)snprintf(text, sizeof(text), "%s%s (tls:servername)", wanted, names[i]);
        is_refused(&trusting, names[i], &server, TLS_CLIENT_CERTIFICATE, text);
    }
    is_refused(&trusting, "10.1.1.1", &old, TLS_CLIENT_CERTIFICATE,
               "its certificate is for cn.example, wanted 10.1.1.1");
    made_free(&cert);
    made_free(&plain);
}

/* What a server says goes to a log. */
static void test_odd_names(void)
{
    struct made odd = make((struct make){.name = "a\nb\x1b[1m", .issuer = &authority});
    struct made many = make((struct make){
        .name = "m",
        .names = "DNS:an-overlong-name-of-more-than-sixty-four-bytes-that-nobody-wants-to-see.x,"
                 "DNS:another-overlong-name-of-more-than-sixty-four-bytes-that-nobody-wants.y",
        .issuer = &authority});
    const struct tls_client_options trusting = {.ca = authority.cert, .verify = 1};

    is_refused(&trusting, "x", &(struct tls_server_options){.cert = &odd}, TLS_CLIENT_CERTIFICATE,
               "its certificate is for a\\x0ab\\x1b[1m, wanted x (tls:servername)");
    is_refused(&trusting, "x", &(struct tls_server_options){.cert = &many}, TLS_CLIENT_CERTIFICATE,
               "its certificate is for an-overlong-name-of-more-than-sixty-four-bytes-that-");
    made_free(&odd);
    made_free(&many);
}

/* --- trust and time --------------------------------------------------------------- */

static void test_trust(void)
{
    struct made cert = make((struct make){.name = "a", .issuer = &stranger});
    const struct tls_client_options trusting = {.ca = authority.cert, .verify = 1};
    const struct tls_client_options careless = {.ca = NULL, .verify = 0}, both = {NULL, 0, 0, 1};

    is_refused(&trusting, "a", &(struct tls_server_options){.cert = &cert}, TLS_CLIENT_CERTIFICATE,
               "its certificate is signed by an authority that is not known: stranger "
               "(tls:caFile)");
    is_refused(&trusting, "a", &(struct tls_server_options){.cert = &cert, .chain = &stranger},
               TLS_CLIENT_CERTIFICATE,
               "its certificate is signed by an authority that is not known: stranger, "
               "self-signed certificate in chain (tls:caFile)");
    is_refused(&trusting, "alone", &(struct tls_server_options){.cert = &alone},
               TLS_CLIENT_CERTIFICATE,
               "its certificate is signed by itself, and not one that is trusted (tls:caFile)");
    is_refused(&both, "alone", &(struct tls_server_options){.cert = &alone}, TLS_CLIENT_CERTIFICATE,
               "its certificate is signed by itself");
    is_met(&(struct tls_client_options){.ca = alone.cert, .verify = 1}, "alone",
           &(struct tls_server_options){.cert = &alone}, "alone", "one that is trusted itself");
    is_met(&careless, "b", &(struct tls_server_options){.cert = &cert}, "b",
           "who does not look trusts all");
    made_free(&cert);
}

static void write_pem(const char *name, const struct made *made)
{
    FILE *file = fopen(scratch_path(name), "w");

    if (file == NULL || fputs(made->cert, file) < 0)
        abort();
    fclose(file);
}

/* Where the environment says that they are: in a directory by their hash, or in a file. */
static void test_system(void)
{
    struct made cert = make((struct make){.name = "a", .issuer = &authority});
    const struct tls_server_options server = {.cert = &cert};
    const struct tls_client_options options = {.verify = 1};
    char hashed[16];

    scratch_make("test_tls_client");
    setenv("SSL_CERT_DIR", scratch, 1);
    is_refused(&options, "a", &server, TLS_CLIENT_CERTIFICATE,
               "its certificate is signed by an authority that is not known: authority");
    (void)snprintf(hashed, sizeof(hashed), "%08lx.0", X509_subject_name_hash(authority.x509));
    write_pem(hashed, &authority);
    is_met(&options, "a", &server, "a", "a directory of the system");
    write_pem("file", &authority);
    unlink(scratch_path(hashed));
    setenv("SSL_CERT_FILE", scratch_path("file"), 1);
    is_met(&options, "a", &server, "a", "a file of the system");
    is_refused(&(struct tls_client_options){.ca = stranger.cert, .verify = 1}, "a", &server,
               TLS_CLIENT_CERTIFICATE, "its certificate is signed by an authority that is not");
    unlink(scratch_path("file"));
    rmdir(scratch);
    unsetenv("SSL_CERT_DIR");
    unsetenv("SSL_CERT_FILE");
    made_free(&cert);
}

static void test_times(void)
{
    struct made late =
        make((struct make){.name = "a", .from_s = -3 * DAY, .to_s = -DAY, .issuer = &authority});
    struct made early =
        make((struct make){.name = "a", .from_s = DAY, .to_s = 3 * DAY, .issuer = &authority});
    struct made gone =
        make((struct make){.name = "gone", .from_s = -3 * DAY, .to_s = -DAY, .is_authority = 1});
    struct made of_gone = make((struct make){.name = "a", .issuer = &gone});
    const struct tls_client_options trusting = {.ca = authority.cert, .verify = 1};
    struct buf lines = {0};
    char both[3 * sizeof(authority.cert)];

    is_refused(&trusting, "a", &(struct tls_server_options){.cert = &late}, TLS_CLIENT_CERTIFICATE,
               "its certificate has expired on 20");
    is_refused(&trusting, "a", &(struct tls_server_options){.cert = &early}, TLS_CLIENT_CERTIFICATE,
               "its certificate is not valid before 20");
    is_refused(&(struct tls_client_options){.ca = gone.cert, .verify = 1}, "a",
               &(struct tls_server_options){.cert = &of_gone}, TLS_CLIENT_CERTIFICATE,
               "the certificate of its authority gone has expired on 20");
    (void)snprintf(both, sizeof(both), "%s%s%s", authority.cert, gone.cert, early.cert);
    is_int(tls_client_dates(both, time(NULL), &lines), 1, "one of three is good");
    buf_putc(&lines, '\0');
    ok(strstr((char *)lines.data, "the certificate of gone has expired on 20") != NULL &&
           strstr((char *)lines.data, "UTC\nthe certificate of a is not valid before 20") != NULL,
       "what the others are");
    is_int(tls_client_dates("no PEM", time(NULL), &lines), 0, "none of none");
    buf_free(&lines);
    made_free(&late);
    made_free(&early);
    made_free(&gone);
    made_free(&of_gone);
}

/* --- who we are ------------------------------------------------------------------- */

static void test_ours(void)
{
    struct made cert = make((struct make){.name = "a", .issuer = &authority});
    struct made ours = make((struct make){.name = "us", .issuer = &stranger});
    const struct tls_client_options none = {.ca = authority.cert, .verify = 1};
    const struct tls_client_options with = {authority.cert, ours.cert, ours.pem_key, 1};
    const struct tls_client_options other = {authority.cert, alone.cert, alone.pem_key, 1};

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        const struct tls_server_options server = {
            .cert = &cert, .clients = &stranger, .min_version = version, .max_version = version};

        is_met(&with, "a", &server, "a", "a certificate that pleases");
        is_refused(&none, "a", &server, TLS_CLIENT_OURS,
                   "it wants a client certificate (tls:certFile, tls:keyFile)");
        is_refused(&other, "a", &server, TLS_CLIENT_OURS,
                   "it does not accept the client certificate: ");
        is_met(&with, "a",
               &(struct tls_server_options){
                   .cert = &cert, .min_version = version, .max_version = version},
               "a", "one that nobody asks for");
    }
    made_free(&cert);
    made_free(&ours);
}

/* --- other speech ----------------------------------------------------------------- */

/* A server that says text, and nothing else. */
static void is_odd(const char *text, size_t len, enum tls_client_fault kind, const char *what)
{
    const struct tls_client_options options = {.ca = authority.cert, .verify = 1};
    struct tls_client *client = client_of(&options);
    struct tls_client_why why;
    SSL *ssl = tls_client_session(client, "a", &why);
    int rc;

    give_bios(ssl);
    BIO_set_mem_eof_return(SSL_get_rbio(ssl), 0);
    BIO_write(SSL_get_rbio(ssl), text, (int)len);
    rc = SSL_do_handshake(ssl);
    tls_client_explain(ssl, rc);
    is_int(why.kind, kind, what);
    is_str(why.text, what, "is said");
    tls_client_explain(ssl, rc);
    is_str(why.text, what, "and stays");
    SSL_free(ssl);
    tls_client_free(&client);
}

static void test_speech(void)
{
    struct made cert = make((struct make){.name = "a", .issuer = &authority});
    const struct tls_client_options options = {.ca = authority.cert, .verify = 1};

    is_odd("-ERR unknown command\r\n", 22, TLS_CLIENT_SPEECH, "it does not speak TLS");
    is_odd("HTTP/1.1 400 Bad Request\r\n", 26, TLS_CLIENT_SPEECH, "it does not speak TLS");
    is_odd("\x15\x03\x03\0\2\2\x46", 7, TLS_CLIENT_SPEECH, "it speaks no TLS 1.2 or later");
    is_odd("\x15\x03\x03\0\2\2\x50", 7, TLS_CLIENT_SPEECH, "it has sent an alert: internal error");
    is_odd("", 0, TLS_CLIENT_CLOSED, "it closed the connection");
    is_odd("\x16\x03\x03", 3, TLS_CLIENT_CLOSED, "it closed the connection");
    is_refused(&options, "a",
               &(struct tls_server_options){.cert = &cert, .max_version = TLS1_1_VERSION},
               TLS_CLIENT_SPEECH, "it speaks no TLS 1.2 or later");
    made_free(&cert);
}

/* --- what no client is made of ---------------------------------------------------- */

static void is_bad(const struct tls_client_options *options, enum tls_client_part part,
                   const char *text)
{
    enum tls_client_part where = TLS_CLIENT_CA;
    struct tls_client *client;

    buf_reset(&error);
    client = tls_client_new(options, &error, &where);
    buf_putc(&error, '\0');
    ok(client == NULL, "refused");
    is_str((char *)error.data, text, "for that");
    is_int(where, part, "which is there");
    tls_client_free(&client);
}

static void test_bad(void)
{
    struct made weak = make((struct make){.name = "weak", .rsa = 1024});

    is_bad(&(struct tls_client_options){.ca = "x", .verify = 1}, TLS_CLIENT_CA,
           "found no certificate, wanted PEM");
    is_bad(&(struct tls_client_options){.cert = "", .key = alone.pem_key}, TLS_CLIENT_CERT,
           "found no certificate, wanted PEM");
    is_bad(&(struct tls_client_options){.cert = alone.cert, .key = ""}, TLS_CLIENT_KEY,
           "found no private key, wanted PEM");
    is_bad(&(struct tls_client_options){.cert = alone.cert, .key = stranger.pem_key},
           TLS_CLIENT_KEY, "it does not fit the certificate");
    is_bad(&(struct tls_client_options){.cert = weak.cert, .key = weak.pem_key}, TLS_CLIENT_CERT,
           "ee key too small");
    made_free(&weak);
}

int main(void)
{
    authority = make((struct make){.name = "authority", .is_authority = 1});
    stranger = make((struct make){.name = "stranger", .is_authority = 1});
    alone = make((struct make){.name = "alone"});
    test_names();
    test_odd_names();
    test_trust();
    test_system();
    test_times();
    test_ours();
    test_speech();
    test_bad();
    made_free(&authority);
    made_free(&stranger);
    made_free(&alone);
    buf_free(&error);
    return tap_done();
}
