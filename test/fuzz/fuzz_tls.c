/* From records to the HTTP parser: a client of TLS whose ciphertext is cut, changed and added
 * to on its way, or bytes of any kind in place of it.  The input is a program: a byte of what
 * it is about, then operations.  Chance is the same each time.
 *
 * What was not changed on its way arrives, whole and in order, both ways; what was is the end
 * of the connection, and of nothing else. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "http/http.h"
#include "tls_pair.h"

#include <openssl/rand.h>
#include <signal.h>

#define OPS_MAX  200
#define TEXT_MAX 300000
#define WIRE_MAX 400000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(cond) must_hold(!!(cond), #cond, __LINE__)
static void must_hold(int holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_tls.c:%d: does not hold: %s\n", line, what);
    abort();
}

enum { OLD = 1, TICKETS = 2, HTTP = 4, BYTES_ONLY = 8, OPENED = 16 };

/* --- the program --- */

static const uint8_t *at, *end;

static unsigned u8(void)
{
    return at < end ? *at++ : 0;
}

static size_t raw(uint8_t *dst, size_t n)
{
    size_t left = (size_t)(end - at);

    if (n > left)
        n = left;
    if (n > 0)
        memcpy(dst, at, n);
    at += n;
    return n;
}

/* --- chance --- */

static uint64_t chance;

static int chance_bytes(unsigned char *dst, int n)
{
    for (int i = 0; i < n; i++) {
        chance = chance * 6364136223846793005U + 1442695040888963407U;
        dst[i] = (unsigned char)(chance >> 56);
    }
    return 1;
}

static int chance_status(void)
{
    return 1;
}

static const RAND_METHOD chance_method = {
    .bytes = chance_bytes, .pseudorand = chance_bytes, .status = chance_status};

/* --- who speaks behind TLS --- */

static uint8_t said[TEXT_MAX], told[TEXT_MAX]; /* by the client, by the server */
static size_t nsaid, nsaid_heard, ntold, ntold_heard;
static int changed; /* something on its way */
static struct http *http;

static void heard_by_server(struct conn *of, const uint8_t *bytes, size_t len)
{
    (void)of;
    must(changed || (nsaid_heard + len <= nsaid && memcmp(said + nsaid_heard, bytes, len) == 0));
    nsaid_heard += len;
}

static const struct conn_ops listener_ops = {
    .input = heard_by_server,
    .ended = speaker_ended,
    .flush = speaker_flush,
    .sent = speaker_sent,
    .timeout = speaker_timeout,
    .gone = speaker_gone,
    .free = speaker_free,
};

static void http_request(struct conn *of, const struct http_request *req, size_t head_len)
{
    (void)head_len;
    if (req->method.len == 4 && exchange_check_body(of, req, 1000) < 0)
        return;
    if (req->method.len != 4 || exchange_body(of, req))
        answer(of, 200, "text/plain", req->path);
}

static void http_body(struct conn *of, int status)
{
    answer(of, status == 0 ? 200 : status, "text/plain", slice_str("a body"));
}

static void http_ready(struct conn *of)
{
    (void)of;
}

static void http_lost(struct conn *of, enum close_reason why)
{
    (void)why;
    of->leaving = 0;
}

static void http_error(struct conn *of, enum http_fault fault)
{
    (void)fault;
    answer_refuse(of, 400);
}

static const struct http_app app = {
    .request = http_request,
    .body = http_body,
    .ready = http_ready,
    .lost = http_lost,
    .error = http_error,
};

/* --- the client and the wire --- */

static struct made identity;
static struct conn *conn;
static BIO *client_in, *client_out;
static uint8_t wire[WIRE_MAX]; /* what the client has sent, and is still on its way */
static size_t nwire;
static int is_closed_here;

static int alive(void)
{
    return net->conns == conn && conn->state == CONN_OPEN;
}

/* What the client has made since goes to the wire. */
static void onto_wire(void)
{
    int n;

    while (client != NULL && nwire < WIRE_MAX &&
           (n = BIO_read(client_out, wire + nwire, (int)(WIRE_MAX - nwire))) > 0)
        nwire += (size_t)n;
}

static void deliver(size_t n)
{
    size_t done = 0;

    ERR_clear_error(); /* the client's */
    if (n > nwire)
        n = nwire;
    while (done < n && !is_closed_here) {
        ssize_t sent = send(peer_fd, wire + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0)
            break;
        done += (size_t)sent;
        turns(1);
    }
    memmove(wire, wire + done, nwire - done);
    nwire -= done;
    turns(1);
    must(ERR_peek_error() == 0);
}

/* The client takes what has come, and goes on. */
static void client_goes_on(void)
{
    static uint8_t bytes[65536];
    ssize_t n;
    int plain;

    if (client == NULL)
        return;
    while (!is_closed_here && (n = recv(peer_fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        BIO_write(client_in, bytes, (int)n);
    ERR_clear_error();
    SSL_do_handshake(client);
    while ((plain = SSL_read(client, bytes, sizeof(bytes))) > 0) {
        if (http == NULL)
            must(ntold_heard + (size_t)plain <= ntold &&
                 memcmp(told + ntold_heard, bytes, (size_t)plain) == 0);
        ntold_heard += (size_t)plain;
    }
    ERR_clear_error();
    onto_wire();
}

static void client_says(const uint8_t *bytes, size_t n)
{
    if (client == NULL || !SSL_is_init_finished(client) || nsaid + n > TEXT_MAX ||
        nwire + n + 1000 > WIRE_MAX || n == 0)
        return;
    ERR_clear_error();
    if (SSL_write(client, bytes, (int)n) != (int)n)
        return;
    memcpy(said + nsaid, bytes, n);
    nsaid += n;
    onto_wire();
}

static void client_asks(unsigned which)
{
    static const char *const requests[] = {
        "GET /notifications/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /notifications/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        "GET /elsewhere HTTP/1.0\r\n\r\n",
        "GET /notifications/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET / HT",
    };
    const char *text = requests[which % (sizeof(requests) / sizeof(requests[0]))];

    client_says((const uint8_t *)text, strlen(text));
}

static void server_says(size_t n)
{
    if (!alive() || conn->opening || http != NULL || ntold + n > TEXT_MAX)
        return;
    for (size_t i = 0; i < n; i++)
        told[ntold + i] = (uint8_t)(ntold + i);
    if (conn_put(conn, told + ntold, n) == 0)
        ntold += n;
}

/* --- operations --- */

static void change(void)
{
    size_t where = nwire > 0 ? ((size_t)u8() << 8 | u8()) % nwire : 0;
    uint8_t with = (uint8_t)u8();

    if (nwire == 0 || with == 0)
        return;
    wire[where] ^= with;
    changed = 1;
}

static void add(void)
{
    if (nwire + 256 > WIRE_MAX)
        return;
    nwire += raw(wire + nwire, u8());
    changed = 1;
}

static void drop(void)
{
    size_t n = u8();

    if (n > nwire)
        n = nwire;
    memmove(wire, wire + n, nwire - n);
    nwire -= n;
    changed |= n > 0;
}

static void again(void)
{
    if (client == NULL || !SSL_is_init_finished(client))
        return;
    ERR_clear_error();
    if (SSL_version(client) == TLS1_3_VERSION)
        SSL_key_update(client, u8() & 1 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    else
        SSL_renegotiate(client);
    changed |= SSL_version(client) != TLS1_3_VERSION; /* it is the end */
    SSL_do_handshake(client);
    onto_wire();
}

static void close_here(int all)
{
    if (is_closed_here)
        return;
    if (all) {
        is_closed_here = 1;
        close(peer_fd);
        peer_fd = -1;
    } else {
        shutdown(peer_fd, SHUT_WR);
    }
    changed = 1;
}

static void time_is_over(void)
{
    if (net->conns != conn)
        return;
    changed = 1;
    conn->due_ms = 1;
    conn_timeout(&conn->timer, clock_ms(), net);
}

static void operation(void)
{
    uint8_t bytes[256];
    unsigned what = u8();

    switch (what % 14) {
    case 0:
        client_goes_on();
        break;
    case 1:
        client_says(bytes, raw(bytes, u8()));
        break;
    case 2:
        client_asks(u8());
        break;
    case 3:
        client_says((const uint8_t *)letters('c', 70000), (size_t)u8() * 257 + 1);
        break;
    case 4:
        deliver(nwire);
        break;
    case 5:
        deliver(u8());
        break;
    case 6:
        change();
        break;
    case 7:
        add();
        break;
    case 8:
        drop();
        break;
    case 9:
        again();
        break;
    case 10:
        server_says((size_t)u8() * 129 + 1);
        break;
    case 11:
        turns(1);
        break;
    case 12:
        if (client != NULL)
            SSL_shutdown(client);
        changed = 1;
        onto_wire();
        break;
    default:
        if (u8() % 3 == 2)
            time_is_over();
        else
            close_here(u8() & 1);
    }
}

/* --- life --- */

static void begin(unsigned about)
{
    static const struct http_options options = {.path = "/notifications/",
                                                .limits = {.head_bytes = 2000, .headers = 20},
                                                .idle_timeout_ms = 60000};
    struct tickets tickets = {.n = about & TICKETS ? 1 : 0};

    nsaid = nsaid_heard = ntold = ntold_heard = nwire = 0;
    changed = is_closed_here = 0;
    net->stats = (struct net_stats){0};
    if (about & HTTP) {
        http = http_new(net, &options);
        http_serves(http, &app, NULL);
    } else {
        net_speaks(net, &listener_ops, NULL, 60000);
    }
    net_tickets(net, &tickets);
    conn = pair_conn(4608);
    if (about & BYTES_ONLY)
        return;
    pair_client();
    client_in = BIO_new(BIO_s_mem());
    client_out = BIO_new(BIO_s_mem());
    SSL_set_bio(client, client_in, client_out);
    SSL_set_max_proto_version(client, about & OLD ? TLS1_2_VERSION : TLS1_3_VERSION);
    for (int i = 0; i < 4 && about & OPENED; i++) {
        client_goes_on();
        deliver(nwire);
    }
}

/* What was not changed has arrived. */
static void look(void)
{
    const struct net_stats *stats = &net->stats;
    uint64_t outcomes = stats->tls_handshakes[0][0] + stats->tls_handshakes[1][0];

    for (int i = 0; i < 40 && client != NULL && !changed && nwire > 0; i++) {
        client_goes_on();
        deliver(nwire);
    }
    for (int i = 0; i < 400 && client != NULL && !changed && ntold_heard < ntold; i++) {
        turns(1);
        client_goes_on();
    }
    if (client != NULL && !changed && SSL_is_init_finished(client) && http == NULL) {
        for (int i = 0; i < TLS_FAULTS && outcomes > 0; i++)
            outcomes += i != TLS_FLOOD ? 0 : stats->tls_faults[i];
        must(outcomes > 1 || (nsaid_heard == nsaid && ntold_heard == ntold && alive()));
    }
}

static void finish(void)
{
    uint64_t outcomes = 0;

    pair_client_down();
    if (is_closed_here)
        peer_fd = -1;
    peer_close();
    turns(3);
    net_kill_all(net, CLOSE_SHUTDOWN);
    for (int i = 0; i < 4; i++)
        outcomes += net->stats.tls_handshakes[i / 2][i % 2];
    for (int i = 0; i < TLS_FAULTS; i++)
        outcomes += net->stats.tls_faults[i];
    must(outcomes >= 1);
    must(net->stats.tls_connections == 0);
    must(net->stats.queued_bytes == 0);
    http_free(&http);
}

/* Contexts take longer than all else: one for all inputs. */
static void set_up(void)
{
    struct conf_certificate certificate;
    static int done;

    chance = 1;
    if (done)
        return;
    done = 1;
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    RAND_set_rand_method(&chance_method);
    identity = make((struct make){.name = "a", .names = "DNS:localhost"});
    certificate = pair_certificate(&identity);
    net_up(NULL, NULL);
    net->options.send_buffer = 1000000;
    pair_certify(&certificate, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up();
    chance = 2;
    at = data;
    end = data + size;
    begin(u8());
    for (int i = 0; at < end && i < OPS_MAX; i++)
        operation();
    look();
    finish();
    return 0;
}
