#include "conf/assign.h"
#include "conf/service.h"
#include "scratch.h"
#include "tap.h"

#include <ftw.h>

#define UNIT    "etc/systemd/system/axr-notifyd.service"
#define DROPINS "etc/systemd/system/axr-notifyd.service.d"
#define LIB     "usr/local/lib/systemd/system"

static struct service service;
static struct buf notes;
static int found;

static void make_dirs(const char *path)
{
    char part[60];

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        (void)mkdir(scratch_path(part), 0700);
    }
}

static void put(const char *path, const char *text)
{
    make_dirs(path);
    scratch_text(path, text);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    return ftw->level > 0 ? remove(path) : 0;
}

/* An empty machine, with or without systemd. */
static void begin(int systemd)
{
    nftw(scratch, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    if (systemd)
        make_dirs("run/systemd/system/x");
}

static void look(void)
{
    service_clear(&service);
    buf_free(&notes);
    found = service_find(&service, scratch, &notes);
    buf_putc(&notes, '\0');
}

/* Its words, or its environment, each in []. */
static const char *shown(char *const *at, size_t n)
{
    static char text[1024];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; at != NULL && (n ? i < n : at[i] != NULL); i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "[%s]", at[i]);
    return text;
}

static void is_words(const char *want, const char *name)
{
    is_str(service.nwords ? shown(service.words, service.nwords) : "", want, name);
}

static void is_env(const char *want, const char *name)
{
    is_str(shown(service.environ, 0), want, name);
}

static const char *opt(const char *text)
{
    return text != NULL ? text : "none";
}

/* --- systemd ------------------------------------------------------------------ */

static void test_unit(void)
{
    begin(1);
    look();
    is_int(found, 0, "no unit and no script");
    put(LIB "/axr-notifyd.service",
        "[Unit]\nUser=wrong\n[Service]\n# User=wrong\nUser=axr\nGroup = grp\nLogsDirectory=axr\n"
        "EnvironmentFile=-/etc/default/axr-notifyd\nEnvironment=A=1 \"B=2 3\"\n"
        "ExecStart=/usr/local/sbin/axr-notifyd -c /etc/x.conf \\\n  --pidFile \"/run/a b\" $OPTS\n"
        "[Install]\nUser=wrong\n");
    look();
    is_int(found, 1, "a unit, without the file of its environment");
    is_str(opt(service.name), "/usr/local/lib/systemd/system/axr-notifyd.service", "its name");
    is_str(opt(service.user), "axr", "user");
    is_str(opt(service.group), "grp", "group");
    is_str(opt(service.log_dir), "/var/log/axr", "log directory");
    is_str(opt(service_config(&service)), "/etc/x.conf", "configuration");
    is_words("[-c][/etc/x.conf][--pidFile][/run/a b]", "words; a variable that is not set is none");
    is_env("[A=1][B=2 3]", "environment");
    is_str((char *)notes.data, "", "nothing to note");

    put("etc/default/axr-notifyd", "# a comment\nOPTS=\"--workers 4 --log:level 'de bug'\"\n"
                                   "export X=1\nUNQUOTED=a  b \nA=5\n");
    look();
    is_words("[-c][/etc/x.conf][--pidFile][/run/a b][--workers][4][--log:level][de bug]",
             "a variable is as many words as it has");
    is_env("[A=1][B=2 3][OPTS=--workers 4 --log:level 'de bug'][UNQUOTED=a  b][A=5]",
           "lines with export are none");
}

/* What systemd puts in for them, and what only it can. */
static void test_specifiers(void)
{
    begin(1);
    put(LIB "/axr-notifyd.service",
        "[Service]\nUser=axr\nEnvironmentFile=%E/default/axr-notifyd\n"
        "Environment=A=50%%\nExecStart=/usr/local/sbin/axr-notifyd -c %E/%N/%p.conf --a %t/%n\n");
    put("etc/default/axr-notifyd", "B=%E\n");
    look();
    is_words("[-c][/etc/axr-notifyd/axr-notifyd.conf][--a][/run/axr-notifyd.service]",
             "specifiers in the command");
    is_env("[A=50%][B=%E]", "in the environment, but not in its file");
    is_str((char *)notes.data, "", "nothing to note");
    put(DROPINS "/1.conf", "[Service]\nEnvironment=C=%d/secret\n");
    look();
    is_env("[A=50%][C=%d/secret][B=%E]", "one that is not known stays");
    is_str((char *)notes.data,
           "/etc/systemd/system/axr-notifyd.service.d/1.conf: %d: only systemd can tell what it "
           "is\n",
           "and is noted");
}

/* Its limit of files and its right to low ports, with what drop-ins say of them. */
static void test_limits(void)
{
    static const struct {
        const char *dropin;
        long files;
        int low_ports;
    } cases[] = {
        {"", 1000, 1},
        {"LimitNOFILE=1024:524288\nAmbientCapabilities=CAP_CHOWN", 524288, 1},
        {"LimitNOFILE=infinity\nAmbientCapabilities=", 0, 0},
        {"LimitNOFILE=-5\nAmbientCapabilities=\nAmbientCapabilities=CAP_CHOWN CAP_KILL", 0, 0},
        {"LimitNOFILE=\nAmbientCapabilities=\nAmbientCapabilities=CAP_KILL "
         "CAP_NET_BIND_SERVICE",
         0, 1}};
    char text[256];

    begin(1);
    put(LIB "/axr-notifyd.service", "[Service]\nLimitNOFILE=1000\nAmbientCapabilities="
                                    "CAP_NET_BIND_SERVICE\nExecStart=/usr/sbin/axr-notifyd\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text), "[Service]\n%s\n", cases[i].dropin);
        put(DROPINS "/1.conf", text);
        look();
        is_int(service.files, cases[i].files, "open files");
        is_int(service.low_ports, cases[i].low_ports, "low ports");
    }
}

static void test_groups(void)
{
    begin(1);
    put(LIB "/axr-notifyd.service", "[Service]\nExecStart=/usr/local/sbin/axr-notifyd\n");
    look();
    is_str(shown(service.groups, 0), "", "no groups besides");
    put(DROPINS "/1.conf", "[Service]\nSupplementaryGroups=one two\nSupplementaryGroups=three\n");
    look();
    is_str(shown(service.groups, 0), "[one][two][three]", "groups that it has besides");
    put(DROPINS "/2.conf", "[Service]\nSupplementaryGroups=\n");
    look();
    is_str(shown(service.groups, 0), "", "empty takes them back");
}

static void test_dropins(void)
{
    put(DROPINS "/20.conf", "[Service]\nUser=late\n");
    put(DROPINS "/10.conf", "[Service]\nUser=early\nGroup=\n");
    put(LIB "/axr-notifyd.service.d/20.conf", "[Service]\nUser=hidden\n");
    put(LIB "/axr-notifyd.service.d/30.conf",
        "[Service]\nEnvironment=\nEnvironmentFile=\nExecStart=\nExecStart=@/sbin/axr-notifyd name "
        "--a ${A}x\n");
    put(DROPINS "/40.conf.old", "[Service]\nUser=no\n");
    look();
    is_str(opt(service.user), "late", "drop-ins in their order, each name once");
    is_str(opt(service.group), "none", "empty takes back");
    is_words("[--a][x]", "so does an empty command");
    is_env("", "and an empty environment");
    put(UNIT, "[Service]\nExecStart=/usr/local/sbin/axr-notifyd\n");
    look();
    is_str(opt(service.name), "/etc/systemd/system/axr-notifyd.service", "/etc comes first");
    begin(1);
    make_dirs(UNIT);
    (void)!symlink("/dev/null", scratch_path(UNIT));
    put(LIB "/axr-notifyd.service", "[Service]\nExecStart=/usr/local/sbin/axr-notifyd\n");
    look();
    is_int(found, 0, "a unit that is masked");
}

/* --- the init script ---------------------------------------------------------- */

static void test_script(void)
{
    begin(0);
    put(LIB "/axr-notifyd.service", "[Service]\nExecStart=/usr/local/sbin/axr-notifyd\n");
    put("etc/init.d/axr-notifyd",
        "#!/bin/sh\nCONFIG=\"/etc/x.conf\"\nDAEMON_USER=axr\nDAEMON_GROUP=axr\nDAEMON_OPTS=\n"
        "RUN_DIR=/run/axr\nPID_FILE=$RUN_DIR/pid\nLOG_DIR=/var/log/axr\n"
        "f() {\n    DAEMON_USER=other\n}\n");
    look();
    is_int(found, 1, "without systemd it is the script");
    is_str(opt(service.name), "/etc/init.d/axr-notifyd", "its name");
    is_str(opt(service.user), "none", "root starts it");
    is_str(opt(service.log_dir), "/var/log/axr", "log directory");
    is_words("[-c][/etc/x.conf][--user][axr][--group][axr][--pidFile][/run/axr/pid]", "words");
    put("etc/default/axr-notifyd",
        "CONFIG='/etc/y.conf' # here\nDAEMON_OPTS=\"$DAEMON_OPTS --workers 4\"\n"
        "DAEMON_OPTS=\"${DAEMON_OPTS} --log:level debug\"\nexport AXR_X=\"a b\"\nB=2\n");
    look();
    is_words("[-c][/etc/y.conf][--workers][4][--log:level][debug][--user][axr][--group][axr]"
             "[--pidFile][/run/axr/pid]",
             "with what is in /etc/default");
    is_env("[AXR_X=a b]", "what is exported");
    is_str((char *)notes.data, "", "nothing to note");
    put("etc/default/axr-notifyd",
        "DAEMON_USER=`id -un`\nDAEMON_GROUP=$(id -gn)\nCONFIG=/a /b\nDAEMON_OPTS=\"--workers\n"
        "if true; then DAEMON_OPTS=x; fi\nexport A=1; B=2\nX=${Y:-z}\n");
    look();
    is_words("[-c][/etc/x.conf][--user][axr][--group][axr][--pidFile][/run/axr/pid]",
             "what only a shell can tell is left out");
    is_str((char *)notes.data,
           "/etc/default/axr-notifyd: line 1: only a shell can tell what it sets\n"
           "/etc/default/axr-notifyd: line 2: only a shell can tell what it sets\n"
           "/etc/default/axr-notifyd: line 3: only a shell can tell what it sets\n"
           "/etc/default/axr-notifyd: line 4: only a shell can tell what it sets\n"
           "/etc/default/axr-notifyd: line 6: only a shell can tell what it sets\n"
           "/etc/default/axr-notifyd: line 7: only a shell can tell what it sets\n",
           "and noted");
    make_dirs("run/systemd/system/x");
    begin(1);
    put("etc/init.d/axr-notifyd", "CONFIG=/etc/x.conf\n");
    look();
    is_words("[-c][/etc/x.conf]", "systemd without a unit takes the script");
}

/* --- the files that are installed --------------------------------------------- */

static char *read_whole(const char *name)
{
    static char text[65536];
    FILE *file = fopen(name, "r");
    size_t n = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[n] = '\0';
    if (file != NULL)
        fclose(file);
    return text;
}

static void test_ours(void)
{
    begin(0);
    put("etc/init.d/axr-notifyd", read_whole("etc/init.d/axr-notifyd"));
    put("etc/default/axr-notifyd", read_whole("etc/default/axr-notifyd"));
    look();
    is_words("[-c][/etc/axr-notifyd/axr-notifyd.conf][--user][axr-notifyd][--group][axr-notifyd]"
             "[--pidFile][/run/axr-notifyd/axr-notifyd.pid]",
             "our init script");
    is_str(opt(service.log_dir), "/var/log/axr-notifyd", "its log directory");
    is_str((char *)notes.data, "", "nothing to note");
    make_dirs("run/systemd/system/x");
    put(LIB "/axr-notifyd.service", read_whole("etc/systemd/axr-notifyd.service"));
    look();
    is_str(opt(service.user), "axr-notifyd", "our unit");
    is_words("[-c][/etc/axr-notifyd/axr-notifyd.conf]"
             "[--pidFile][/run/axr-notifyd/axr-notifyd.pid]",
             "its words");
    is_str((char *)notes.data, "", "nothing to note");
}

int main(void)
{
    scratch_make("test_service");
    test_unit();
    test_dropins();
    test_specifiers();
    test_groups();
    test_limits();
    test_script();
    test_ours();
    begin(0);
    service_clear(&service);
    buf_free(&notes);
    rmdir(scratch);
    return tap_done();
}
