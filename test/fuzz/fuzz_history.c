/* The history as a worker has it, with anything in it: what is read is within it, and every
 * walk comes to an end.  The first byte says how much of the file's head is put right. */
#include "ipc/history.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEADS  8
#define WORDS  1024 /* two pages: what is behind them is not mapped with them */
#define BODIES (WORDS - HISTORY_FILE_WORDS - HEADS * HISTORY_HEAD)

enum { SOUND = 1, FILLED = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

/* The first words of the file, then the heads and the messages: what is between them is for
 * nobody. */
static void fill(uint64_t words[WORDS], unsigned how, const uint8_t *data, size_t size)
{
    size_t head = (HISTORY_WORD_END + 1) * 8, rest = (WORDS - HISTORY_FILE_WORDS) * 8;

    memset(words, 0, WORDS * 8);
    if (size > 0)
        memcpy(words, data, size < head ? size : head);
    if (size > head)
        memcpy(words + HISTORY_FILE_WORDS, data + head, size - head < rest ? size - head : rest);
    if ((how & SOUND) != 0) {
        words[HISTORY_WORD_MAGIC] = HISTORY_MAGIC;
        words[HISTORY_WORD_HEADS] = 1 + words[HISTORY_WORD_HEADS] % HEADS;
        words[HISTORY_WORD_BODIES] = 1 + words[HISTORY_WORD_BODIES] % BODIES;
    }
    if ((how & FILLED) != 0) {
        words[HISTORY_WORD_BEGIN] = 1 + words[HISTORY_WORD_BEGIN] % 16;
        words[HISTORY_WORD_END] = words[HISTORY_WORD_BEGIN] + words[HISTORY_WORD_END] % (HEADS + 2);
    }
}

/* Every position from there on, as a worker goes through them. */
static void walk(const struct history_view *view, uint64_t pos)
{
    static struct buf message;
    struct history_entry entry;
    int is_copied;

    for (unsigned steps = 0; history_next(view, pos, &entry) == HISTORY_ENTRY; steps++) {
        must(steps <= HEADS && entry.at >= pos && entry.next == entry.at + 1 && entry.size > 0);
        must((unsigned)entry.nrooms + entry.nexcept <= HISTORY_HASHES);
        buf_reset(&message);
        is_copied = history_copy(view, entry.at, &message) == HISTORY_ENTRY;
        must(message.len == (is_copied ? entry.size : 0));
        pos = entry.next;
    }
}

static void look(int fd, uint64_t begin)
{
    struct history_view *view = history_view_open(fd);

    if (view == NULL)
        return;
    must(history_hash(view, SLICE("room")) != 0);
    for (uint64_t pos = begin - 2; pos != begin + HEADS + 4; pos++)
        walk(view, pos);
    walk(view, 0);
    walk(view, UINT64_MAX);
    history_view_close(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t words[WORDS];
    static int fd = -1;

    if (size == 0)
        return 0;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    fill(words, data[0], data + 1, size - 1);
    must(pwrite(fd, words, sizeof(words), 0) == (ssize_t)sizeof(words));
    look(fd, words[HISTORY_WORD_BEGIN]);
    return 0;
}
