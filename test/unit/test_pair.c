/* Pairs of sockets, and what is said beside the bytes, with the kernel that is here. */
#include "net/pair.h"

#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fds[2];
static char got[65536];
static size_t len;
static int says;

static int receive(size_t cap)
{
    return pair_receive(fds[0], got, cap, &len, &says);
}

/* What the next read brings. */
static void brings(size_t cap, const char *bytes, int said, const char *name)
{
    is_int(receive(cap), 1, name);
    is_mem(got, len, bytes, strlen(bytes), "... the bytes");
    is_int(says, said, "... what is said");
}

static void put(const char *bytes)
{
    if (send(fds[1], bytes, strlen(bytes), MSG_DONTWAIT) != (ssize_t)strlen(bytes))
        abort();
}

static void make(void)
{
    if (pair_make(fds) < 0)
        abort();
}

static void drop(void)
{
    close(fds[0]);
    close(fds[1]);
}

/* socketpair(2), out of descriptors on demand; it is linked with --wrap. */
static int no_pair;
int __real_socketpair(int domain, int type, int protocol, int pair[2]);
int __wrap_socketpair(int domain, int type, int protocol, int pair[2]);

int __wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
    errno = EMFILE;
    return no_pair ? -1 : __real_socketpair(domain, type, protocol, pair);
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_make(void)
{
    make();
    for (int i = 0; i < 2; i++) {
        is_int(fcntl(fds[i], F_GETFD), FD_CLOEXEC, "closed by exec");
        ok((fcntl(fds[i], F_GETFL) & O_NONBLOCK) != 0, "never waits");
    }
    is_int(receive(10), -1, "nothing is there");
    ok(errno == EAGAIN && len == 0 && says == -1, "and it says so");
    drop();
}

static void test_say(void)
{
    int before;

    make();
    before = open_fds();
    is_int(pair_say(fds[1], PAIR_USER), 0, "said first");
    brings(100, "", PAIR_USER, "alone");
    put("abc");
    is_int(pair_say(fds[1], 0), 0, "said behind bytes");
    put("def");
    brings(100, "abc", 0, "a read ends behind it");
    brings(100, "def", -1, "and the rest comes next");
    put("abc");
    pair_say(fds[1], PAIR_USER | PAIR_STREAMS);
    brings(3, "abc", -1, "a read with room for the bytes only");
    brings(3, "", PAIR_USER | PAIR_STREAMS, "does not take it for one of them");
    put("ab");
    put("cd");
    pair_say(fds[1], 1);
    pair_say(fds[1], 2);
    put("e");
    brings(3, "abc", -1, "some of the bytes");
    brings(3, "d", 1, "the others, and the first");
    brings(3, "", 2, "then the second");
    brings(3, "e", -1, "and what is behind it");
    is_int(open_fds(), before, "no descriptor comes of all that");
    pair_say(fds[1], 1);
    close(fds[1]);
    brings(3, "", 1, "said last");
    is_int(receive(3), 0, "then the end");
    close(fds[0]);
}

/* Every byte as it was, each saying once and in its order, however reads fall. */
static void test_many(unsigned seed)
{
    char sent = 'a', next = 'a';
    unsigned said = 0, heard = 0;
    int wrong = 0;

    srand(seed);
    make();
    for (int i = 0; i < 10000; i++) {
        int what = rand() % 4;
        if (what == 0 && pair_say(fds[1], said % 4) == 0)
            said++;
        if (what == 1 && send(fds[1], &sent, 1, MSG_DONTWAIT) == 1)
            sent = sent == 'z' ? 'a' : (char)(sent + 1);
        if (what != 2 || receive((size_t)(1 + rand() % 5)) != 1)
            continue;
        for (size_t j = 0; j < len; j++) {
            wrong += got[j] != next;
            next = next == 'z' ? 'a' : (char)(next + 1);
        }
        if (says >= 0)
            wrong += (unsigned)says != heard++ % 4;
    }
    ok(said > 500 && heard > 500, "said %u, heard %u", said, heard);
    is_int(wrong, 0, "all as it was sent");
    drop();
}

/* What it takes while nobody reads. */
static void test_full(void)
{
    static char bytes[16384];
    size_t large = 0, small = 0;
    ssize_t n;

    make();
    while ((n = send(fds[1], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        large += (size_t)n;
    printf("# in large pieces: %zu bytes\n", large);
    ok(large >= 8192 && large <= 4UL * PAIR_SNDBUF_BYTES, "bounded");
    is_int(pair_say(fds[1], 1), -1, "nothing can be said then");
    is_int(errno, EAGAIN, "which is told");
    while (receive(sizeof(got)) == 1)
        ;
    is_int(pair_say(fds[1], 1), 0, "later it can");
    drop();
    make();
    while ((n = send(fds[1], bytes, 100, MSG_DONTWAIT)) > 0)
        small += (size_t)n;
    printf("# in pieces of 100: %zu bytes\n", small);
    ok(small > 1000 && small <= 2UL * PAIR_SNDBUF_BYTES, "bounded in small pieces, too");
    drop();
}

static void test_no_descriptors(void)
{
    no_pair = 1;
    is_int(pair_make(fds), -1, "out of descriptors");
    is_int(errno, EMFILE, "which is told");
    no_pair = 0;
}

int main(void)
{
    test_make();
    test_say();
    for (unsigned seed = 1; seed < 4; seed++)
        test_many(seed);
    test_full();
    test_no_descriptors();
    return tap_done();
}
