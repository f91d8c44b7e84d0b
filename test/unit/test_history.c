/* The writer: what it keeps, what it finds, and that nobody else writes.  What it has written is
 * read in test_history_view. */
#include "history_put.h"
#include "ipc/history.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define BYTES (128UL * 1024)
#define KEEP  100

/* The position that the offset of stop n names, 0 if it is unknown. */
static uint64_t find(const struct history *history, uint64_t n)
{
    uint64_t pos = 0;

    return history_find(history, offset_n(n), &pos) == 0 ? pos : 0;
}

static struct history_stats stats(const struct history *history, uint64_t now_ms)
{
    struct history_stats got;

    history_stats(history, now_ms, &got);
    return got;
}

static void test_finding(void)
{
    struct history *history = history_new(BYTES, KEEP);
    uint64_t begin = history_end(history);

    ok(begin > 0, "a position is not 0");
    is_int(find(history, 1), 0, "nothing is known");
    history_step(history, offset_n(1), 0);
    is_int(find(history, 1), begin + 1, "behind a step");
    put_to(history, 2, 10, NULL, 0);
    is_int(find(history, 2), begin + 2, "behind a message");
    is_int(find(history, 2), history_end(history), "which is the end");
    history_step(history, offset_n(3), 0);
    is_int(find(history, 1), begin + 1, "as before");
    is_int(find(history, 2), begin + 2, "as before");
    is_int(find(history, 3), begin + 3, "one more");
    is_int(find(history, 4), 0, "none that has not come");
    ok(history_find(history, 0, &begin) < 0, "nor is none one");
    history_free(&history);
    ok(history == NULL, "freed");
    history_free(&history);
}

static void test_age(uint64_t now)
{
    struct history *history = history_new(BYTES, KEEP);

    put_to(history, 1, 10, NULL, now);
    history_step(history, offset_n(2), now + 1);
    put_to(history, 3, 10, NULL, now + 2);
    is_int((long long)stats(history, now + 7).age_ms, 7, "the age of the oldest");
    is_int((long long)history_age_of(history, find(history, 2), now + 9), 8, "of another one");
    history_trim(history, now + KEEP);
    ok(find(history, 1) != 0, "as old as may be");
    history_trim(history, now + KEEP + 1);
    ok(find(history, 1) == 0 && find(history, 2) != 0, "older, and gone");
    is_int((long long)stats(history, now + KEEP + 1).entries, 1, "a message is left");
    history_step(history, offset_n(4), now + KEEP + 2);
    ok(find(history, 2) == 0 && find(history, 3) != 0, "what comes takes along what is too old");
    put_to(history, 5, 10, NULL, now + 10 * KEEP);
    ok(find(history, 4) == 0 && find(history, 5) != 0, "all of it");
    is_int((long long)stats(history, now + 10 * KEEP).entries, 1, "but the one that came");
    is_int((long long)stats(history, now + 10 * KEEP).crowded, 0, "nothing went before its time");
    history_free(&history);
}

static void test_cut(void)
{
    struct history *history = history_new(BYTES, KEEP);
    uint64_t end;

    put_to(history, 1, 10, NULL, 0);
    put_to(history, 2, 10, NULL, 0);
    end = history_end(history);
    history_cut(history);
    ok(find(history, 1) == 0 && find(history, 2) == 0, "what was before a cut is unknown");
    is_int((long long)history_end(history), (long long)end + 1, "a cut takes up a position");
    is_int((long long)stats(history, 0).cuts, 1, "it is counted");
    is_int((long long)stats(history, 0).entries, 0, "nothing is left");
    is_int((long long)stats(history, 0).bytes, 0, "not a byte");
    is_int((long long)stats(history, 50).age_ms, 0, "of no age");
    history_step(history, offset_n(3), 0);
    is_int(find(history, 3), (long long)end + 2, "it goes on");
    history_cut(history);
    history_cut(history);
    is_int((long long)stats(history, 0).cuts, 3, "also when there is nothing");
    history_free(&history);
}

/* Which is another way. */
static void test_cut_many(void)
{
    struct history *history = history_new(1 << 20, KEEP);
    unsigned known = 0;

    for (uint64_t seq = 1; seq <= 3000; seq++)
        put_to(history, seq, 10, NULL, 0);
    history_cut(history);
    for (uint64_t seq = 1; seq <= 3000; seq++)
        known += find(history, seq) != 0;
    is_int((long long)known, 0, "of many that are cut none is known");
    is_int((long long)stats(history, 0).entries, 0, "nor left");
    for (uint64_t seq = 2001; seq <= 5000; seq++)
        put_to(history, seq, 10, NULL, 0);
    for (uint64_t seq = 1; seq <= 5000; seq++)
        known += find(history, seq) != 0;
    is_int((long long)known, 3000, "those that come then are");
    history_free(&history);
}

/* What the file says there is place for. */
static uint64_t file_word(const struct history *history, enum history_word word)
{
    uint64_t value = 0;

    if (pread(history_fd(history), &value, 8, (off_t)word * 8) != 8)
        abort();
    return value;
}

static void test_full_of_heads(void)
{
    struct history *history = history_new(BYTES, KEEP);
    uint64_t n = file_word(history, HISTORY_WORD_HEADS);

    for (uint64_t i = 1; i <= n; i++)
        put_to(history, i, 1, NULL, 0);
    ok(find(history, 1) != 0, "as many as there are heads");
    is_int((long long)stats(history, 0).entries, (long long)n, "all of them");
    is_int((long long)stats(history, 0).crowded, 0, "none had to go");
    history_step(history, offset_n(n + 1), 0);
    ok(find(history, 1) == 0 && find(history, 2) != 0, "one more, one less");
    is_int((long long)stats(history, 0).entries, (long long)n - 1, "a step takes the place of one");
    is_int((long long)stats(history, 0).crowded, 1, "which is counted");
    history_free(&history);
}

static void test_full_of_messages(void)
{
    struct history *history = history_new(BYTES, KEEP);
    size_t room = file_word(history, HISTORY_WORD_BODIES) * 8, part = room / 4 / 8 * 8;

    put_to(history, 1, part, NULL, 0);
    put_to(history, 2, part, NULL, 0);
    put_to(history, 3, part, NULL, 0);
    put_to(history, 4, room - 3 * part, NULL, 0);
    ok(find(history, 1) != 0, "full to the last byte");
    ok(stats(history, 0).bytes >= room && stats(history, 0).bytes <= BYTES, "so many bytes");
    history_step(history, offset_n(5), 0);
    ok(find(history, 1) != 0, "a step needs none");
    put_to(history, 6, 1, NULL, 0);
    ok(find(history, 1) == 0 && find(history, 2) != 0, "a byte does, of the oldest");
    put_to(history, 7, part - 8, NULL, 0);
    ok(find(history, 2) != 0, "whose rest is enough for this one");
    put_to(history, 8, 1, NULL, 0);
    ok(find(history, 2) == 0 && find(history, 3) != 0, "and not for one more");
    put_to(history, 9, room, NULL, 0);
    ok(find(history, 8) == 0 && find(history, 9) == (uint64_t)history_end(history),
       "one as large as all has the place of all");
    is_int((long long)stats(history, 0).cuts, 0, "without a cut: whoever is behind finds out");
    put_to(history, 10, room + 1, NULL, 0);
    ok(find(history, 9) == 0, "a byte more has no place, and empties it");
    is_int((long long)stats(history, 0).cuts, 1, "which is a cut");
    is_int(find(history, 10), (long long)history_end(history), "who has it goes on from there");
    is_int((long long)stats(history, 0).entries, 0, "it is not in it");
    history_free(&history);
}

static void test_memory(void)
{
    struct history *history = history_new(16 << 20, KEEP);
    struct stat st;

    fstat(history_fd(history), &st);
    ok((uint64_t)st.st_size + file_word(history, HISTORY_WORD_HEADS) * 8 <= 16 << 20,
       "file and index are within what it may have");
    ok(st.st_size > 15 << 20, "and use it");
    ok(st.st_blocks * 512 < 100000, "memory comes with what is written: %lld bytes so far",
       (long long)st.st_blocks * 512);
    history_free(&history);
    for (size_t pages = 16; pages < 2000; pages = pages * 5 / 4) {
        size_t bytes = pages * 4096 + pages % 7 * 100;

        history = history_new(bytes, KEEP);
        if (history == NULL || fstat(history_fd(history), &st) < 0 ||
            (uint64_t)st.st_size + file_word(history, HISTORY_WORD_HEADS) * 8 > bytes)
            ok(0, "%zu bytes", bytes);
        history_free(&history);
    }
    history = history_new(15 * 4096, KEEP);
    ok(history == NULL, "too little for one");
}

static void test_holes(void)
{
    struct history *history = history_new(BYTES, KEEP);

    is_int((long long)history_holed(history), 0, "no hole");
    put_to(history, 1, 10, NULL, 0);
    history_hole(history, offset_n(2), 0);
    is_int(find(history, 2), (long long)history_end(history), "a hole is a step");
    is_int((long long)history_holed(history), (long long)history_end(history),
           "behind which it is known");
    put_to(history, 3, 10, NULL, 0);
    history_step(history, offset_n(4), 0);
    is_int((long long)history_holed(history), find(history, 2), "others are none");
    history_free(&history);
}

static void test_offset_of(void)
{
    struct history *history = history_new(BYTES, KEEP);

    ok(history_offset_of(history, 5) == 0, "nothing is in it");
    put_to(history, 10, 10, NULL, 0);
    history_step(history, offset_n(1000), 0);
    history_step(history, offset_n(1001), 0);
    put_to(history, 12, 10, NULL, 1);
    put_to(history, 13, 10, NULL, 2);
    ok(history_offset_of(history, 9) == 0, "before the first");
    ok(history_offset_of(history, 10) == offset_n(10), "right behind the first, not behind steps");
    ok(history_offset_of(history, 11) == offset_n(10), "one that is not kept");
    ok(history_offset_of(history, 12) == offset_n(12), "another");
    ok(history_offset_of(history, 13) == offset_n(13), "the last");
    ok(history_offset_of(history, 14) == offset_n(13), "one to come");
    ok(history_offset_of(history, UINT64_MAX) == offset_n(13), "whatever comes");
    history_trim(history, KEEP + 1);
    ok(history_offset_of(history, 11) == 0, "older than the history");
    ok(history_offset_of(history, 12) == offset_n(12), "what is left");
    history_step(history, offset_n(1002), KEEP + 2);
    history_trim(history, KEEP + 3);
    ok(history_offset_of(history, 13) == offset_n(1002),
       "of a message that has gone, the step behind it");
    history_free(&history);
}

/* Against a list of all that ever came: what is found is what came last, without a hole, each
 * where it was put. */
static void test_long(void)
{
    struct history *history = history_new(BYTES, KEEP);
    uint64_t first = 1, now = 0, chance = 1, wrong = 0;

    for (uint64_t n = 1; n <= 60000; n++) {
        chance = offset_n(chance);
        now += chance >> 60 == 0 ? chance >> 50 & 63 : 0;
        if (chance % 4 == 0)
            history_step(history, offset_n(n), now);
        else
            put_to(history, n, 1 + (size_t)(chance >> 20 & (chance % 16 == 1 ? 8191 : 127)), NULL,
                   now);
        while (find(history, first) == 0)
            first++;
        wrong += find(history, n) != history_end(history) || first > n;
        for (int i = 0; i < 3; i++) {
            uint64_t m = n - (chance >> (8 * i)) % n;
            uint64_t want = m < first ? 0 : history_end(history) - (n - m);

            wrong += find(history, m) != want;
        }
        if (n % 1000 == 0)
            for (uint64_t m = first; m <= n; m++)
                wrong += find(history, m) != history_end(history) - (n - m);
    }
    is_int((long long)wrong, 0, "60000 stops: each is found where it is, and none that has gone");
    history_free(&history);
}

/* --- without memory --------------------------------------------------------------- */

int __real_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice);

static int populates = -1; /* so many more times; -1: always */
static int populate_errno; /* else */
static size_t populated;   /* bytes */

int __wrap_madvise(void *at, size_t len, int advice)
{
    if (advice != MADV_POPULATE_WRITE)
        return __real_madvise(at, len, advice);
    if (populates == 0) {
        errno = populate_errno;
        return -1;
    }
    populates -= populates > 0;
    populated += len;
    return __real_madvise(at, len, advice);
}

static void test_no_memory(void)
{
    struct history *history = history_new(8 << 20, KEEP);
    uint64_t end;

    put_to(history, 1, 10, NULL, 0);
    populate_errno = EFAULT;
    populates = 0;
    put_to(history, 2, 10, NULL, 0);
    ok(find(history, 2) != 0, "what there is memory for is kept");
    end = history_end(history);
    put_to(history, 3, 1 << 20, NULL, 0);
    ok(find(history, 2) == 0, "where there is none it is emptied");
    is_int(find(history, 3), (long long)end + 2, "goes on from there");
    is_int((long long)stats(history, 0).entries, 0, "and has no message");
    for (uint64_t i = 4; i < 9000; i++)
        history_step(history, offset_n(i), 0);
    ok(find(history, 8999) == 0, "nor have steps a place without");
    is_int((long long)stats(history, 0).bytes, 0, "there is nothing");
    put_to(history, 9000, 10, NULL, 0);
    ok(find(history, 9000) == 0, "nor messages");
    populates = -1;
    put_to(history, 9001, 10, NULL, 0);
    put_to(history, 9002, 1 << 20, NULL, 0);
    is_int(find(history, 9001), find(history, 9002) - 1, "then there is memory again");
    history_free(&history);
    populates = 0;
    history = history_new(BYTES, KEEP);
    ok(history == NULL, "none for the first page: there is no history");
    populate_errno = EINVAL;
    history = history_new(BYTES, KEEP);
    ok(history != NULL, "a kernel that does not know how to ask");
    for (uint64_t i = 1; i < 1000; i++)
        put_to(history, i, 100, NULL, 0);
    ok(find(history, 999) != 0, "gives it when it is written");
    history_free(&history);
    populates = -1;
}

/* All that is ever written was asked for, and not more than there is. */
static void test_asked_for(void)
{
    struct history *history;
    struct stat st;

    populated = 0;
    history = history_new(1 << 20, KEEP);
    fstat(history_fd(history), &st);
    for (uint64_t i = 1; i < 20000; i++)
        put_to(history, i, 1 + i % 500, NULL, 0);
    ok(populated >= (size_t)st.st_size && populated < (size_t)st.st_size + 20 * 4096,
       "%zu bytes of %lld, each once", populated, (long long)st.st_size);
    history_free(&history);
}

/* --- who may write --------------------------------------------------------------- */

/* 1 if this cannot be done, for a reason that is not of the test. */
static int denied(int result)
{
    return result < 0 && (errno == EPERM || errno == EACCES || errno == EBADF || errno == EINVAL);
}

static int cannot_map(int fd)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return denied(at == MAP_FAILED ? -1 : 0);
}

/* What a worker that somebody has taken over does with its descriptor.  Returns which of them
 * worked, a bit each. */
static int attack(int fd)
{
    void *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    char path[64];
    int result = 0, again;

    result |= (at == MAP_FAILED) << 0;
    result |= !cannot_map(fd) << 1;
    result |= !denied(mprotect(at, 4096, PROT_READ | PROT_WRITE)) << 2;
    result |= !denied((int)write(fd, "x", 1)) << 3;
    result |= !denied((int)pwrite(fd, "x", 1, 0)) << 4;
    result |= !denied(ftruncate(fd, 0)) << 5;
    result |= !denied(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)) << 6;
    result |= !denied(madvise(at, 4096, MADV_REMOVE)) << 7;
    result |= !denied(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)) << 8;
    /* Opened anew for writing, where permissions allow that or can be made to. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    (void)fchmod(fd, 0777);
    again = open(path, O_RDWR);
    if (again >= 0) {
        result |= !cannot_map(again) << 9;
        result |= !denied((int)write(again, "x", 1)) << 10;
        result |= !denied((int)pwrite(again, "x", 1, 4096)) << 11;
        result |= !denied(ftruncate(again, 0)) << 12;
        result |= !denied(ftruncate(again, 1 << 30)) << 13;
        result |= !denied(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096))
                  << 14;
    }
    again = open(path, O_RDONLY | O_TRUNC);
    return result;
}

/* 1 if this process has it mapped, in any way. */
static int is_mapped(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int found = 0;

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        found |= strstr(line, "axr-notifyd history") != NULL;
    if (maps != NULL)
        fclose(maps);
    return found;
}

/* In a child; as another user where that is possible. */
static int status_of(int (*what)(int), int fd, int is_other)
{
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (is_other && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(0);
        status = what(fd);
        if (status != 0)
            printf("# worked: %x\n", status);
        fflush(stdout);
        _exit(status != 0);
    }
    waitpid(child, &status, 0);
    return status;
}

static int has_mapping(int fd)
{
    (void)fd;
    return is_mapped();
}

static void test_worker(void)
{
    struct history *history = history_new(BYTES, KEEP);
    uint64_t magic = file_word(history, HISTORY_WORD_MAGIC), pos = 0;
    struct stat st;

    put_to(history, 1, 100, NULL, 0);
    fstat(history_fd(history), &st);
    ok(is_mapped(), "who writes has it mapped");
    is_int(status_of(has_mapping, -1, 0), 0, "children have not");
    ok((fcntl(history_fd(history), F_GETFL) & O_ACCMODE) == O_RDONLY,
       "what they get is for reading");
    ok((fcntl(history_fd(history), F_GETFD) & FD_CLOEXEC) != 0, "and not for who is executed");
    is_int(status_of(attack, history_fd(history), 0), 0, "the same user cannot write");
    is_int(status_of(attack, history_fd(history), 1), 0, "nor another");
    ok(file_word(history, HISTORY_WORD_MAGIC) == magic, "it is as it was");
    is_int((long long)lseek(history_fd(history), 0, SEEK_END), (long long)st.st_size,
           "as long as it was");
    put_to(history, 2, 100, NULL, 0);
    ok(history_find(history, offset_n(2), &pos) == 0 && file_word(history, HISTORY_WORD_END) == pos,
       "and is written on");
    history_free(&history);
}

int main(void)
{
    test_finding();
    test_age(0);
    test_age((UINT64_C(1) << 32) - 50);
    test_age(UINT64_C(5) << 32);
    test_cut();
    test_cut_many();
    test_full_of_heads();
    test_full_of_messages();
    test_memory();
    test_holes();
    test_offset_of();
    test_long();
    test_no_memory();
    test_asked_for();
    test_worker();
    return tap_done();
}
