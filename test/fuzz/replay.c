/* Runs a fuzz target on a corpus without libFuzzer: on every file that is named
 * or lies in a directory that is named, on every prefix of the small ones, and
 * on the empty input.  Each input ends right before an unreadable page. */
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>

#define PREFIXES_BELOW_BYTES 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

static void run(const uint8_t *data, size_t size)
{
    inputs++;
    if (LLVMFuzzerTestOneInput(data, size) != 0)
        abort();
}

static void run_bytes(const uint8_t *bytes, size_t size)
{
    unsigned char *guarded = tap_guard(bytes, size);

    run(guarded, size);
    /* The target may not write, so the bytes are still those of the file. */
    for (size_t n = size < PREFIXES_BELOW_BYTES ? size : 0; n-- > 0;) {
        memmove(guarded + size - n, bytes, n);
        run(guarded + size - n, n);
    }
    tap_guard_free(guarded, size);
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    size_t size = 0, cap = 0, n;
    int result = -1;

    if (file == NULL)
        goto out;
    do {
        if (size == cap) {
            uint8_t *more = realloc(bytes, cap = cap ? cap * 2 : 4096);

            if (more == NULL)
                goto out;
            bytes = more;
        }
        n = fread(bytes + size, 1, cap - size, file);
        size += n;
    } while (n > 0);
    if (ferror(file))
        goto out;
    printf("# %s\n", path); /* before: should it end the program, this is the culprit */
    run_bytes(bytes, size);
    result = 0;
out:
    if (result < 0)
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    if (file != NULL)
        fclose(file);
    free(bytes);
    return result;
}

static int run_directory(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort), result = 0;

    if (n < 0)
        return run_file(path);
    for (int i = 0; i < n; i++) {
        char file[PATH_MAX];

        if (names[i]->d_name[0] != '.') {
            snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
            if (run_file(file) < 0)
                result = -1;
        }
        free(names[i]);
    }
    free(names);
    return result;
}

int main(int argc, char **argv)
{
    int result = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    run_bytes((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        if (run_directory(argv[i]) < 0)
            result = 1;
    printf("# %lu inputs\n", inputs);
    return result;
}
