/* Small files, and what is none. */
#include "conf/file.h"

#include "base/clock.h"
#include "scratch.h"
#include "tap.h"

#include <errno.h>

ssize_t __real_read(int fd, void *dst, size_t n);
ssize_t __wrap_read(int fd, void *dst, size_t n);

static int dry; /* read() brings nothing for now, whatever it reads */

ssize_t __wrap_read(int fd, void *dst, size_t n)
{
    if (!dry)
        return __real_read(fd, dst, n);
    errno = EAGAIN;
    return -1;
}

#define AT_ONCE_MS 2900 /* the shortest time that anything is waited for is 3 s */

/* error: 0, or errno as it is to be.  What is refused is refused at once. */
static void is_read(const char *name, enum file_kind kind, const char *text, int error)
{
    uint64_t begun_ms = clock_ms();
    struct file file;
    int result = file_read(&file, name, 100, kind), saved = errno;

    ok(result == (error ? -1 : 0) && (!error || saved == error), "%s, kind %d: %s", name, kind,
       error ? file_strerror(error) : "read");
    if (result < 0 && saved != error)
        printf("# %s\n", strerror(saved));
    if (text != NULL)
        is_str(file.text, text, "its text");
    if (error != ETIMEDOUT || kind == FILE_AT_ONCE)
        ok(clock_ms() - begun_ms < AT_ONCE_MS, "at once");
    file_clear(&file);
}

static void test_regular(void)
{
    struct file file;

    scratch_text("text", "some text");
    scratch_text("long", "0123456789012345678901234567890123456789012345678901234567890123456789"
                         "0123456789012345678901234567891");
    for (int kind = FILE_REGULAR; kind <= FILE_AT_ONCE; kind++) {
        is_read(scratch_path("text"), (enum file_kind)kind, "some text", 0);
        is_read(scratch_path("long"), (enum file_kind)kind, NULL, EFBIG);
        is_read(scratch_path("none"), (enum file_kind)kind, NULL, ENOENT);
        is_read(scratch, (enum file_kind)kind, NULL, EISDIR);
    }
    ok(symlink("text", scratch_path("link")) == 0, "a link");
    is_read(scratch_path("link"), FILE_REGULAR, "some text", 0);
    ok(file_read(&file, scratch_path("text"), 100, FILE_ANY) == 0 && file.regular && !file.shared,
       "it is a regular one, and nobody else's");
    file_clear(&file);
}

/* As /proc/kmsg is, from which the kernel's messages are taken away by reading. */
static void test_dry(void)
{
    dry = 1;
    for (int kind = FILE_REGULAR; kind <= FILE_AT_ONCE; kind++)
        is_read(scratch_path("text"), (enum file_kind)kind, NULL, FILE_EKIND);
    dry = 0;
}

static void test_fifo(void)
{
    const char *fifo = scratch_path("fifo");
    int fd;

    ok(mkfifo(fifo, 0600) == 0, "a fifo");
    fd = open(fifo, O_RDWR); /* a writer that says nothing */
    is_read(scratch_path("fifo"), FILE_REGULAR, NULL, FILE_EKIND);
    is_read(scratch_path("fifo"), FILE_AT_ONCE, NULL, ETIMEDOUT);
    is_read(scratch_path("fifo"), FILE_ANY, NULL, ETIMEDOUT);
    ok(write(fd, "piped", 5) == 5, "a writer");
    is_read(scratch_path("fifo"), FILE_REGULAR, NULL, FILE_EKIND);
    is_read(scratch_path("fifo"), FILE_AT_ONCE, NULL, ETIMEDOUT); /* there may be more */
    close(fd);
    is_read(scratch_path("fifo"), FILE_AT_ONCE, "", 0); /* nobody writes */
}

static void test_device(void)
{
    struct file file;

    is_read("/dev/null", FILE_ANY, "", 0);
    is_read("/dev/null", FILE_AT_ONCE, "", 0);
    is_read("/dev/null", FILE_REGULAR, "", 0);
    is_read("/dev/zero", FILE_REGULAR, NULL, FILE_EKIND);
    is_read("/dev/zero", FILE_ANY, NULL, EFBIG);
    ok(file_read(&file, "/dev/null", 100, FILE_ANY) == 0 && !file.regular, "a device is none");
    file_clear(&file);
}

static void test_chomp(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {{"a\n", "a"},   {"a\r\n", "a"}, {"a", "a"}, {"a\n\n", "a\n"},
                 {"a\r", "a\r"}, {"\n", ""},     {"", ""}};
    struct file file;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scratch_text("text", cases[i].text);
        ok(file_read(&file, scratch_path("text"), 100, FILE_REGULAR) == 0, "case %zu", i);
        file_chomp(&file);
        is_str(file.text, cases[i].want, "one newline less");
        file_clear(&file);
    }
}

static void test_same(void)
{
    scratch_text("text", "a");
    scratch_text("long", "a");
    (void)unlink(scratch_path("link"));
    ok(symlink("text", scratch_path("link")) == 0, "a link");
    is_int(file_is_same(scratch_path("text"), scratch_path("link")), 1, "one file");
    is_int(file_is_same(scratch_path("text"), scratch_path("long")), 0, "two files");
    is_int(file_is_same(scratch_path("text"), scratch_path("none")), 0, "one is not there");
    is_int(file_is_same(scratch_path("none"), scratch_path("none")), 0, "nor the other");
}

int main(void)
{
    scratch_make("test_file");
    test_regular();
    test_dry();
    test_fifo();
    test_device();
    test_chomp();
    test_same();
    (void)unlink(scratch_path("text"));
    (void)unlink(scratch_path("long"));
    (void)unlink(scratch_path("link"));
    (void)unlink(scratch_path("fifo"));
    (void)rmdir(scratch);
    return tap_done();
}
