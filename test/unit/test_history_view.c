/* The reader: on what the writer has written, while it writes, and on what nobody wrote. */
#include "history_put.h"
#include "ipc/history.h"
#include "nomem.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#define BYTES (128UL * 1024)
#define KEEP  1000000

static struct buf got, want;

static int is_whole(uint64_t seq, size_t len)
{
    message_make(&want, seq, len);
    return got.len == len && memcmp(got.data, want.data, len) == 0;
}

static void test_reading(void)
{
    struct history *history = history_new(BYTES, KEEP);
    struct history_view *view = history_view_open(history_fd(history));
    struct history_entry entry;
    uint64_t pos = history_end(history), at;

    is_int(history_next(view, pos, &entry), HISTORY_END, "nothing yet");
    ok(entry.next == pos && entry.seq == 0 && entry.offset == 0, "not even a last one");
    put_to(history, 7, 21, "a", 0);
    history_step(history, offset_n(1000), 0);
    history_step(history, offset_n(1001), 0);
    put_to(history, 9, 40, NULL, 0);
    history_step(history, offset_n(1002), 0);
    is_int(history_next(view, pos, &entry), HISTORY_ENTRY, "an entry");
    ok(entry.at == pos && entry.next == pos + 1 && entry.seq == 7 && entry.offset == offset_n(7) &&
           entry.size == 21,
       "all of its head");
    ok(entry.nrooms == 1 && entry.nexcept == 0 &&
           entry.hashes[0] == history_hash(view, slice_str("a")),
       "its room");
    is_int(history_copy(view, pos, &got), HISTORY_ENTRY, "and its message");
    ok(is_whole(7, 21), "as it was");
    at = entry.next;
    is_int(history_next(view, at, &entry), HISTORY_ENTRY, "steps are passed over");
    ok(entry.at == at + 2 && entry.seq == 9 && entry.nrooms == 0, "to the next message");
    is_int(history_copy(view, at, &got), HISTORY_ENTRY, "also by who copies");
    ok(got.len == 61 && memcmp(got.data + 21, (message_make(&want, 9, 40), want.data), 40) == 0,
       "which is appended");
    is_int(history_next(view, entry.next, &entry), HISTORY_END,
           "then there is a step, and the end");
    ok(entry.next == history_end(history) && entry.at == entry.next && entry.seq == 9 &&
           entry.offset == offset_n(1002),
       "which says where that is");
    at = entry.next;
    memset(&entry, 0, sizeof(entry));
    is_int(history_next(view, at, &entry), HISTORY_END, "at the end itself");
    ok(entry.next == at && entry.seq == 9 && entry.offset == offset_n(1002), "the same");
    is_int(history_copy(view, at, &got), HISTORY_END, "nothing to copy");
    ok(got.len == 61, "nothing copied");
    is_int(history_next(view, at + 1, &entry), HISTORY_OVERRUN,
           "beyond the end is another history");
    is_int(history_next(view, 0, &entry), HISTORY_OVERRUN, "before the first one, too");
    is_int(history_next(view, UINT64_MAX, &entry), HISTORY_OVERRUN, "and nowhere");
    history_cut(history);
    is_int(history_next(view, at, &entry), HISTORY_OVERRUN, "who was at the end hears of a cut");
    is_int(history_next(view, pos, &entry), HISTORY_OVERRUN, "and who was not");
    is_int(history_copy(view, pos, &got), HISTORY_OVERRUN, "and who copies");
    ok(got.len == 61, "without a byte");
    at = history_end(history);
    is_int(history_next(view, at, &entry), HISTORY_END, "behind the cut nothing has come");
    ok(entry.seq == 0 && entry.offset == 0 && entry.next == at,
       "and what was before does not count");
    history_view_close(&view);
    ok(view == NULL, "closed");
    history_view_close(&view);
    history_free(&history);
    buf_free(&got);
}

static struct slices names(const char *const *from, size_t n)
{
    struct slices list = {0};

    for (size_t i = 0; i < n; i++)
        if (slices_put(&list, slice_str(from[i])) < 0)
            abort();
    return list;
}

/* The head of a message to nrooms rooms and nexcept exceptions. */
static struct history_entry head_of(size_t nrooms, size_t nexcept)
{
    static const char *const rooms[] = {"r1", "r2", "r3", "r4"}, *const except[] = {"x1", "x2",
                                                                                    "x3", "x4"};
    struct history *history = history_new(BYTES, KEEP);
    struct history_view *view = history_view_open(history_fd(history));
    struct broadcast bc = {.rooms = names(rooms, nrooms), .except = names(except, nexcept)};
    struct history_entry entry = {0};
    uint64_t begin = history_end(history);
    int hashed = 1;

    history_put(history, 1, 2, &bc, SLICE("message"), 0);
    is_int(history_next(view, begin, &entry), HISTORY_ENTRY, "a head");
    for (size_t i = 0; i < entry.nrooms; i++)
        hashed &= entry.hashes[i] == history_hash(view, bc.rooms.at[i]);
    for (size_t i = 0; i < entry.nexcept; i++)
        hashed &= entry.hashes[entry.nrooms + i] == history_hash(view, bc.except.at[i]);
    ok(hashed, "rooms, then exceptions");
    broadcast_clear(&bc);
    history_view_close(&view);
    history_free(&history);
    return entry;
}

static void test_hashes(void)
{
    struct history_entry entry = head_of(3, 0);

    ok(entry.nrooms == 3 && entry.nexcept == 0, "three rooms have place");
    entry = head_of(1, 2);
    ok(entry.nrooms == 1 && entry.nexcept == 2, "a room and two exceptions");
    entry = head_of(0, 3);
    ok(entry.nrooms == 0 && entry.nexcept == 3, "everybody but three");
    entry = head_of(2, 2);
    ok(entry.nrooms == 2 && entry.nexcept == 0, "one exception too many: none");
    entry = head_of(4, 1);
    ok(entry.nrooms == 0 && entry.nexcept == 0, "four rooms: look at the message");
    entry = head_of(0, 4);
    ok(entry.nrooms == 0 && entry.nexcept == 0, "everybody but four: look at the message");
}

static void test_keyed(void)
{
    struct history *a = history_new(BYTES, KEEP), *b = history_new(BYTES, KEEP);
    struct history_view *va = history_view_open(history_fd(a)),
                        *vb = history_view_open(history_fd(b));
    struct history_entry entry;
    int same = 0, zero = 0;

    for (int i = 0; i < 100; i++) {
        char name[32];

        snprintf(name, sizeof(name), "room %d", i);
        same += history_hash(va, slice_str(name)) == history_hash(vb, slice_str(name));
        zero += history_hash(va, slice_str(name)) == 0;
    }
    ok(same < 3, "another history, other hashes");
    put_to(a, 1, 10, NULL, 0);
    put_to(b, 1, 10, NULL, 0);
    is_int(history_next(vb, history_end(a) - 1, &entry), HISTORY_OVERRUN, "and other positions");
    is_int(history_next(va, history_end(b) - 1, &entry), HISTORY_OVERRUN, "both ways");
    is_int(zero, 0, "none is 0");
    history_view_close(&va);
    history_view_close(&vb);
    history_free(&a);
    history_free(&b);
}

/* All lengths, over the end of the ring again and again. */
static void test_wrapping(void)
{
    struct history *history = history_new(BYTES, KEEP);
    struct history_view *view = history_view_open(history_fd(history));
    struct history_entry entry;
    uint64_t read = 0, begin = history_end(history), pos = begin;
    int whole = 1;

    for (uint64_t seq = 1; seq <= 20000; seq++) {
        size_t len = 1 + seq % 977;

        put_to(history, seq, len, "r", seq);
        for (; history_next(view, pos, &entry) == HISTORY_ENTRY; pos = entry.next, read++) {
            buf_reset(&got);
            whole &= history_copy(view, entry.at, &got) == HISTORY_ENTRY && entry.size == len &&
                     entry.seq == seq && entry.offset == offset_n(seq) && is_whole(seq, len);
        }
    }
    ok(whole && read == 20000, "20000 messages of 1 to 977 bytes: each as it was");
    is_int(history_next(view, begin, &entry), HISTORY_OVERRUN, "the first has gone");
    is_int(history_copy(view, begin, &got), HISTORY_OVERRUN, "for who copies, too");
    /* Everything that is still valid can be read to the end. */
    for (pos = history_end(history); history_next(view, pos - 1, &entry) != HISTORY_OVERRUN; pos--)
        ;
    for (read = 0; history_next(view, pos, &entry) == HISTORY_ENTRY; pos = entry.next, read++) {
        buf_reset(&got);
        whole &= history_copy(view, pos, &got) == HISTORY_ENTRY && is_whole(entry.seq, entry.size);
    }
    ok(whole && read > 100, "%llu messages are in it", (unsigned long long)read);
    history_view_close(&view);
    history_free(&history);
    buf_free(&got);
}

static void test_no_memory(void)
{
    struct history *history = history_new(BYTES, KEEP);
    struct history_view *view = history_view_open(history_fd(history));
    uint64_t begin = history_end(history);

    put_to(history, 1, 5000, NULL, 0);
    buf_free(&got);
    nomem = 1;
    is_int(history_copy(view, begin, &got), HISTORY_OVERRUN, "no memory for the copy");
    nomem = 0;
    ok(got.len == 0 && got.failed, "which is said");
    buf_reset(&got);
    is_int(history_copy(view, begin, &got), HISTORY_ENTRY, "then there is");
    history_view_close(&view);
    history_free(&history);
    buf_free(&got);
}

/* --- while the other side writes -------------------------------------------------- */

static uint64_t race_messages = 100000;

static size_t race_len(uint64_t seq)
{
    return 1 + (size_t)(offset_n(seq) % 600);
}

static int is_torn(const struct history_view *view, const struct history_entry *entry)
{
    return entry->offset != offset_n(entry->seq) || entry->size != race_len(entry->seq) ||
           entry->hashes[0] != history_hash(view, slice_str("r"));
}

/* Reads the oldest again and again until it is overwritten, up to the cut behind the last.  Returns
 * 0 if all that it got was whole. */
static int race_reader(int fd, uint64_t begin)
{
    struct history_view *view = history_view_open(fd);
    struct history_entry entry;
    uint64_t pos = begin, torn = 0, overruns = 0, read = 0;
    enum history_read result;

    while ((result = history_next(view, pos, &entry)) != HISTORY_END ||
           pos < begin + race_messages) {
        if (result == HISTORY_ENTRY) {
            torn += is_torn(view, &entry);
            buf_reset(&got);
            result = history_copy(view, entry.at, &got);
            torn += result == HISTORY_ENTRY && !is_whole(entry.seq, race_len(entry.seq));
            read += result == HISTORY_ENTRY;
        }
        overruns += result == HISTORY_OVERRUN;
        pos += result == HISTORY_OVERRUN;
    }
    printf("# read %llu, overrun %llu times, torn %llu\n", (unsigned long long)read,
           (unsigned long long)overruns, (unsigned long long)torn);
    buf_free(&got);
    buf_free(&want);
    history_view_close(&view);
    return torn > 0 || read == 0 || overruns < race_messages;
}

static void test_race(void)
{
    struct history *history = history_new(BYTES, KEEP);
    uint64_t begin = history_end(history);
    pid_t child;
    int status = -1;

    fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(race_reader(history_fd(history), begin));
    for (uint64_t seq = 1; seq <= race_messages; seq++)
        put_to(history, seq, race_len(seq), "r", 0);
    history_cut(history);
    waitpid(child, &status, 0);
    is_int(status, 0, "whoever reads while it is written gets what is whole, or nothing");
    history_free(&history);
}

/* --- what nobody wrote ------------------------------------------------------------- */

static int file_of(const void *bytes, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
        abort();
    return fd;
}

static void refused(const uint64_t *words, size_t len, const char *name)
{
    int fd = file_of(words, len);
    struct history_view *view;

    errno = 0;
    view = history_view_open(fd);
    ok(view == NULL && errno == EINVAL, "refused: %s", name);
    history_view_close(&view);
    close(fd);
}

static void test_other_files(void)
{
    static uint64_t words[HISTORY_FILE_WORDS + 4 * HISTORY_HEAD + 8];
    struct history_view *view;
    int fd;

    errno = 0;
    view = history_view_open(-1);
    ok(view == NULL && errno == EBADF, "no file");
    refused(words, 0, "an empty one");
    refused(words, HISTORY_FILE_WORDS * 8 - 1, "a short one");
    refused(words, sizeof(words), "one with nothing in it");
    words[HISTORY_WORD_MAGIC] = HISTORY_MAGIC;
    refused(words, sizeof(words), "no heads");
    words[HISTORY_WORD_HEADS] = 4;
    refused(words, sizeof(words), "no place for messages");
    words[HISTORY_WORD_BODIES] = 9;
    refused(words, sizeof(words), "more than there is");
    words[HISTORY_WORD_BODIES] = UINT64_MAX - HISTORY_FILE_WORDS;
    refused(words, sizeof(words), "much more");
    words[HISTORY_WORD_BODIES] = 8;
    words[HISTORY_WORD_HEADS] = 3;
    refused(words, sizeof(words), "not a power of 2");
    words[HISTORY_WORD_HEADS] = UINT64_C(1) << 62;
    refused(words, sizeof(words), "more heads than there may be");
    words[HISTORY_WORD_HEADS] = 8;
    refused(words, sizeof(words), "more heads than have place");
    words[HISTORY_WORD_HEADS] = 4;
    words[HISTORY_WORD_MAGIC]++;
    refused(words, sizeof(words), "another format");
    words[HISTORY_WORD_MAGIC]--;
    fd = file_of(words, sizeof(words));
    view = history_view_open(fd);
    ok(view != NULL, "all that belongs to one: taken");
    history_view_close(&view);
    close(fd);
}

/* A stop whose head says what cannot be. */
static void hostile(const uint64_t head[HISTORY_HEAD], enum history_read want_next,
                    enum history_read want_copy, const char *name)
{
    uint64_t words[HISTORY_FILE_WORDS + 4 * HISTORY_HEAD + 8] = {
        [HISTORY_WORD_MAGIC] = HISTORY_MAGIC,
        [HISTORY_WORD_HEADS] = 4,
        [HISTORY_WORD_BODIES] = 8,
        [HISTORY_WORD_BEGIN] = 1,
        [HISTORY_WORD_END] = 2,
    };
    struct history_entry entry;
    struct history_view *view;
    int fd;

    memcpy(words + HISTORY_FILE_WORDS + HISTORY_HEAD, head, HISTORY_HEAD * 8);
    fd = file_of(words, sizeof(words));
    view = history_view_open(fd);
    is_int(history_next(view, 1, &entry), want_next, name);
    is_int(history_copy(view, 1, &got), want_copy, "... and its message");
    ok((got.len > 0) == (want_copy == HISTORY_ENTRY), "... of which there is as much");
    buf_free(&got);
    history_view_close(&view);
    close(fd);
}

static void test_hostile(void)
{
    hostile((uint64_t[]){1, 2, 0, 64, 0, 0}, HISTORY_ENTRY, HISTORY_ENTRY, "all there is");
    hostile((uint64_t[]){1, 2, 5, 64, 0, 0}, HISTORY_ENTRY, HISTORY_ENTRY, "from the middle on");
    hostile((uint64_t[]){1, 2, UINT64_MAX, 64, 0, 0}, HISTORY_ENTRY, HISTORY_ENTRY,
            "from nowhere on");
    hostile((uint64_t[]){1, 2, 0, 65, 0, 0}, HISTORY_ENTRY, HISTORY_OVERRUN, "a byte too many");
    hostile((uint64_t[]){1, 2, 0, UINT32_MAX, 0, 0}, HISTORY_ENTRY, HISTORY_OVERRUN, "4 GB");
    hostile((uint64_t[]){1, 2, 0, 8, 4, 0}, HISTORY_OVERRUN, HISTORY_OVERRUN, "four rooms");
    hostile((uint64_t[]){1, 2, 0, 8, 2 | 2 << 16, 0}, HISTORY_OVERRUN, HISTORY_OVERRUN,
            "two rooms and two exceptions");
    hostile((uint64_t[]){1, 2, 0, 8, 0xffffffff, 0}, HISTORY_OVERRUN, HISTORY_OVERRUN,
            "as many as can be");
}

/* Begin and end that cannot be. */
static void test_hostile_ends(void)
{
    static const uint64_t values[] = {0, 1, 2, 4, 5, 6, 1000, UINT64_MAX - 1, UINT64_MAX};
    const size_t n = sizeof(values) / sizeof(values[0]);
    uint64_t words[HISTORY_FILE_WORDS + 4 * HISTORY_HEAD + 8] = {
        [HISTORY_WORD_MAGIC] = HISTORY_MAGIC,
        [HISTORY_WORD_HEADS] = 4,
        [HISTORY_WORD_BODIES] = 8,
    };
    int wrong = 0;

    for (size_t i = 0; i < n * n * n; i++) {
        uint64_t pos = values[i / n / n];
        struct history_entry entry;
        struct history_view *view;
        enum history_read result;
        int fd;

        words[HISTORY_WORD_BEGIN] = values[i % n];
        words[HISTORY_WORD_END] = values[i / n % n];
        fd = file_of(words, sizeof(words));
        view = history_view_open(fd);
        result = history_next(view, pos, &entry);
        /* Only steps are there. */
        wrong += result == HISTORY_ENTRY || (result == HISTORY_END && entry.next < pos) ||
                 history_copy(view, pos, &got) != result;
        history_view_close(&view);
        close(fd);
    }
    is_int(wrong, 0, "whatever begin and end are, reading comes to an end");
}

/* As a worker whose place others take: what comes is in another history, whose positions are not
 * this one's. */
static void test_freed(void)
{
    struct history *history = history_new(BYTES, KEEP);
    struct history_view *view = history_view_open(history_fd(history));
    struct history_entry entry;
    uint64_t pos = history_end(history), end;
    int all = 1;

    put_to(history, 1, 20, "a", 0);
    put_to(history, 2, 20, "a", 0);
    end = history_end(history);
    history_free(&history);
    for (uint64_t at = pos - 1; at < end + 4; at++)
        all &= history_next(view, at, &entry) == HISTORY_OVERRUN;
    ok(all, "nothing is in one that is not written any more, not even its end");
    buf_reset(&got);
    is_int(history_copy(view, pos, &got), HISTORY_OVERRUN, "also for who copies");
    history_view_close(&view);
}

int main(void)
{
    if (getenv("VALGRIND") != NULL)
        race_messages = 10000;
    test_reading();
    test_freed();
    test_hashes();
    test_keyed();
    test_wrapping();
    test_no_memory();
    test_race();
    test_other_files();
    test_hostile();
    test_hostile_ends();
    buf_free(&got);
    buf_free(&want);
    return tap_done();
}
