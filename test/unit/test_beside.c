#include "conf/beside.h"

#include "scratch.h"
#include "tap.h"

#include <ftw.h>

#define UNIT "lib/systemd/system/axr-notifyd.service"
#define NAME "/" UNIT

static struct buf lines;

static void put(const char *path, const char *text)
{
    char part[60];

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        (void)mkdir(scratch_path(part), 0700);
    }
    if (strchr(path, '.') != NULL)
        scratch_text(path, text);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    return ftw->level > 0 ? remove(path) : 0;
}

static void unit(const char *service)
{
    char text[1024];

    put("run/systemd/system/x", "");
    (void)snprintf(text, sizeof(text), "[Service]\n%s\n", service);
    put(UNIT, text);
}

static void is_told(const struct conf_args *args, const char *want, const char *name)
{
    buf_reset(&lines);
    beside_put(args, scratch, &lines);
    buf_putc(&lines, '\0');
    is_str((const char *)lines.data, want, name);
}

static void test_file(void)
{
    struct conf_args args = {0};

    is_told(&args, "", "no service");
    unit("ExecStart=/usr/sbin/axr-notifyd -d --workers 4");
    is_told(&args, "", "one with the default file, and what is none of tokens");
    unit("ExecStart=/usr/sbin/axr-notifyd -c " CONF_DEFAULT_FILE);
    is_told(&args, "", "the default file by its name");
    args.file = "/nowhere/x";
    is_told(&args, "", "with another that is given here, that daemon is not asked about");
    args.file = NULL;
    unit("Environment=O=-c/nowhere/other.json\n"
         "ExecStart=/usr/sbin/axr-notifyd -c " CONF_DEFAULT_FILE " $O");
    is_told(&args,
            "the service (" NAME
            ") starts the daemon with -c /nowhere/other.json, and this reads " CONF_DEFAULT_FILE
            ": give -c /nowhere/other.json here, too\n",
            "another file, which is the last");
    args.file = "/nowhere/other.json";
    is_told(&args, "", "given here, too");
    unit("ExecStart=/usr/sbin/axr-notifyd --auth:secret");
    args.file = NULL;
    is_told(&args, "", "a command line that is wrong");
}

#define END ", and tokens are judged without it here, where it is not given\n"

static void test_keys(void)
{
    char issuer[] = "--auth.options.issuer", me[] = "me", secret[] = "auth__secret=x";
    char *options[] = {issuer, me}, *variables[] = {secret, NULL};
    struct conf_args args = {.options = options, .noptions = 2, .environ = variables};

    unit("Environment=AXR_NOTIFYD__AUTH__SECRET=sesame auth__options__issuer= "
         "limits__tokenBytes=9k\n"
         "ExecStart=/usr/sbin/axr-notifyd --auth:options:issuer=me --limits '{}' --port 5 "
         "--auth.options.algorithms HS512");
    is_told(&args,
            "the service (" NAME ") gives the daemon --limits" END "the service (" NAME
            ") gives the daemon --auth.options.algorithms" END "the service (" NAME
            ") gives the daemon the variable limits__tokenBytes" END,
            "what is not given here, however it is spelt");
    args = (struct conf_args){.file = CONF_DEFAULT_FILE};
    is_told(&args,
            "the service (" NAME ") gives the daemon --auth:options:issuer" END "the service (" NAME
            ") gives the daemon --limits" END "the service (" NAME
            ") gives the daemon --auth.options.algorithms" END "the service (" NAME
            ") gives the daemon the variable AXR_NOTIFYD__AUTH__SECRET" END "the service (" NAME
            ") gives the daemon the variable limits__tokenBytes" END,
            "with the file, and nothing else; no value is shown");
}

int main(void)
{
    scratch_make("test_beside");
    test_file();
    test_keys();
    nftw(scratch, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    (void)rmdir(scratch);
    buf_free(&lines);
    return tap_done();
}
