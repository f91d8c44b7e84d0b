# make              build/axr-notifyd and build/axr-notify
# make check        unit tests, fuzz corpora, the example configuration
# make asan         the same, and both programs, under ASan and UBSan in build/asan
# make faults       libraries that test/faults/run needs
# make conformance  the server that the public protocol suites are run against
# make bench        what scripts/bench measures with, in build/bench
# make fuzz         libFuzzer targets in build/fuzz (clang)
# make lint         clang-format and clang-tidy 14, cppcheck 2.10, mandoc, every header alone,
#                   layers, a test and a place in src/README.md for each file, a place in the
#                   manual for each line of the log
# make layers       is each layer of src/ built on those below it alone?  From the object files
# make compile_commands.json   for clangd and clang-tidy
# make help         this list
# make install      DESTDIR= PREFIX= SYSCONFDIR= SYSTEMD_UNIT_DIR= ; make uninstall takes
#                   it back
#
# CFLAGS, CPPFLAGS and LDFLAGS are yours; what the build itself needs is in AXR_*.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
SYSTEMD_UNIT_DIR ?= $(PREFIX)/lib/systemd/system
BUILD      ?= build
CFLAGS     ?= -O2 -g
VERSION    := 0.1.0

PKGS       := libevent wslay hiredis libcjson libjwt jansson openssl zlib
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := -levent_core -lwslay -lhiredis -lcjson -ljwt -ljansson -lssl -lcrypto -lz -lm

AXR_WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
              -Wcast-qual -Wpointer-arith -Wwrite-strings -Wundef -Wvla
ifdef WERROR
AXR_WARN   += -Werror
endif
MACHINE    := $(shell $(CC) -dumpmachine 2>/dev/null)
# Hardening; a sanitizer build leaves it out, for fortified calls hide bugs from ASan.
AXR_HARDEN ?= -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection $(AXR_BRANCHES)
AXR_BRANCHES := $(if $(findstring x86_64,$(MACHINE)),-fcf-protection)$(if $(findstring aarch64,$(MACHINE)),-mbranch-protection=standard)
AXR_HARDEN_LD ?= -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
AXR_CFLAGS := -std=gnu11 -D_GNU_SOURCE -fPIE -Iinclude $(PKG_CFLAGS) -DAXR_VERSION='"$(VERSION)"' \
              -DAXR_SYSCONFDIR='"$(SYSCONFDIR)"' $(AXR_WARN)

SRCS       := $(shell find src -name '*.c' | LC_ALL=C sort)
MAINS      := src/main.c src/notify.c
LIB_OBJS   := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(MAINS),$(SRCS)))
LIB        := $(BUILD)/libaxr.a

UNIT_SRCS  := $(sort $(wildcard test/unit/test_*.c))
UNIT_BINS  := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(UNIT_SRCS))
FUZZ_SRCS  := $(sort $(wildcard test/fuzz/fuzz_*.c))
FUZZ_BINS  := $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRCS))
REPLAY_BINS := $(patsubst test/fuzz/%.c,$(BUILD)/test/replay/%,$(FUZZ_SRCS))

all: $(BUILD)/axr-notifyd $(BUILD)/axr-notify

$(BUILD)/axr-notifyd: $(BUILD)/obj/src/main.o $(LIB)
$(BUILD)/axr-notify: $(BUILD)/obj/src/notify.o $(LIB)
$(BUILD)/axr-notifyd $(BUILD)/axr-notify:
	$(CC) $(CFLAGS) $(AXR_HARDEN_LD) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) $(LDLIBS)

$(LIB): $(LIB_OBJS)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(AXR_CFLAGS) $(AXR_HARDEN) $(CFLAGS) -MMD -MP -c -o $@ $<

# The default configuration file is compiled in: `make install SYSCONFDIR=` after a
# plain `make` has to build again what names it.
$(BUILD)/sysconfdir: FORCE
	@mkdir -p $(@D)
	@echo '$(SYSCONFDIR)' | cmp -s - $@ || echo '$(SYSCONFDIR)' >$@
$(patsubst %,$(BUILD)/obj/src/%.o,main notify conf/source conf/service master/check): $(BUILD)/sysconfdir

# The page is compiled in.
$(BUILD)/obj/src/master/page.o: src/master/page.html

# Their headers do not tell their version, and Debian's wslay has no .pc file.
WSLAY_VERSION = $(or $(shell pkg-config --modversion libwslay 2>/dev/null),$(shell \
                  dpkg-query -W -f '$${Version}' libwslay-dev 2>/dev/null),unknown)
JWT_VERSION = $(or $(shell pkg-config --modversion libjwt 2>/dev/null),unknown)
$(BUILD)/obj/src/main.o: AXR_CFLAGS += -DAXR_WSLAY_VERSION='"$(WSLAY_VERSION)"' \
                         -DAXR_JWT_VERSION='"$(JWT_VERSION)"'

# --- tests -----------------------------------------------------------------
$(BUILD)/test/unit/%: test/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(AXR_CFLAGS) $(AXR_HARDEN) -Itest/unit $(CFLAGS) -MMD -MP $(AXR_HARDEN_LD) $(UNIT_LD) $(LDFLAGS) \
	    -o $@ $< $(LIB) $(PKG_LIBS) $(LDLIBS)

# Where memory fails: test/unit/nomem.h.
$(addprefix $(BUILD)/test/unit/,test_act test_downlink test_fetch test_history_view test_link test_membership test_msg test_once test_remote test_request test_select test_slices test_overlap test_uplink): UNIT_LD = -Wl,--wrap=realloc,--wrap=reallocarray
$(addprefix $(BUILD)/test/unit/,test_chunk test_claim test_presence test_renew test_token_rooms): UNIT_LD = -Wl,--wrap=malloc
$(BUILD)/test/unit/test_client: UNIT_LD = -Wl,--wrap=malloc,--wrap=calloc
# ... or once, whatever asks for it: test/unit/nomem_nth.h.
$(addprefix $(BUILD)/test/unit/,test_directory test_expect test_handover test_hear test_held test_http_forwarded test_mirror test_missed test_orders test_page test_proxy test_replay test_roomlist test_route test_sessions test_sio_recovery test_waiting test_watch): UNIT_LD = \
    $(patsubst %,-Wl$(,)--wrap=%,malloc calloc realloc reallocarray)
$(addprefix $(BUILD)/test/unit/,test_absent test_gone test_sources): UNIT_LD = \
    $(patsubst %,-Wl$(,)--wrap=%,malloc calloc realloc reallocarray slab_alloc)
$(BUILD)/test/unit/test_slab: UNIT_LD = -Wl,--wrap=pages_alloc
$(BUILD)/test/unit/test_pipeline: UNIT_LD = -Wl,--wrap=malloc,--wrap=pages_alloc
# Where names, addresses and clocks are what the test wants.
$(BUILD)/test/unit/test_redis_connect: UNIT_LD = -Wl,--wrap=connect,--wrap=getaddrinfo
$(addprefix $(BUILD)/test/unit/,test_inquiry test_emission test_deed): UNIT_LD = -Wl,--wrap=clock_ms
$(addprefix $(BUILD)/test/unit/,test_resume test_resume_model): UNIT_LD = -Wl,--wrap=clock_ms,--wrap=clock_wall_ms
$(addprefix $(BUILD)/test/unit/,test_comeback test_resume_nomem): UNIT_LD = \
    $(patsubst %,-Wl$(,)--wrap=%,clock_ms clock_wall_ms malloc calloc realloc reallocarray)
$(BUILD)/test/unit/test_cluster: UNIT_LD = \
    $(patsubst %,-Wl$(,)--wrap=%,clock_ms request_decode malloc calloc realloc reallocarray)
$(BUILD)/test/unit/test_marks: UNIT_LD = \
    $(patsubst %,-Wl$(,)--wrap=%,clock_ms event_add malloc calloc realloc reallocarray)
$(BUILD)/test/unit/test_redis: UNIT_LD = -Wl,--wrap=clock_ms,--wrap=event_add
# Where the calls of the system are counted, some of which fail.
$(BUILD)/test/unit/test_log_ways: UNIT_LD = \
    $(patsubst %,-Wl$(,)--wrap=%,write send pwritev2 poll getpid clock_gettime open)
$(addprefix $(BUILD)/test/unit/,test_carry test_pair): UNIT_LD = -Wl,--wrap=socketpair
$(BUILD)/test/unit/test_rand: UNIT_LD = -Wl,--wrap=RAND_bytes
# Where what is freed is looked at.
$(BUILD)/test/unit/test_secrets: UNIT_LD = -Wl,--wrap=free,--wrap=realloc
# Where the kernel tells of a client what the test wants.
$(BUILD)/test/unit/test_slow_info: UNIT_LD = -Wl,--wrap=getsockopt
# Where there is no memory for a mapping.
$(BUILD)/test/unit/test_history: UNIT_LD = -Wl,--wrap=madvise
# Where a file brings nothing for now.
$(BUILD)/test/unit/test_file: UNIT_LD = -Wl,--wrap=read

# ... and a fuzz target in which it does, and the kernel lies: test/fuzz/engine_world.h.
FUZZ_LD_fuzz_engine := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=getsockopt

# A fuzz target with a main() that feeds it the corpus: what libFuzzer once
# found stays found, with any compiler.
$(BUILD)/test/replay/%: test/fuzz/%.c $(BUILD)/test/replay.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(AXR_CFLAGS) $(AXR_HARDEN) -Itest/unit $(CFLAGS) -MMD -MP $(AXR_HARDEN_LD) $(FUZZ_LD_$*) $(LDFLAGS) \
	    -o $@ $< $(BUILD)/test/replay.o $(LIB) $(PKG_LIBS) $(LDLIBS)

# By itself, for one command writes the dependencies of one source only.
$(BUILD)/test/replay.o: test/fuzz/replay.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(AXR_CFLAGS) $(AXR_HARDEN) -Itest/unit $(CFLAGS) -MMD -MP -c -o $@ $<

CONFORMANCE := $(BUILD)/test/conformance-server
conformance: $(CONFORMANCE)
$(CONFORMANCE): test/conformance/server.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(AXR_CFLAGS) $(AXR_HARDEN) $(CFLAGS) -MMD -MP $(AXR_HARDEN_LD) $(LDFLAGS) \
	    -o $@ $< $(LIB) $(PKG_LIBS) $(LDLIBS)

# Libraries that the table of faults loads before the daemon.
FAULTS := $(patsubst test/faults/%.c,build/test/faults/%.so,$(sort $(wildcard test/faults/*.c)))
faults: $(FAULTS)
build/test/faults/%.so: test/faults/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 -D_GNU_SOURCE -O2 -g $(AXR_WARN) -fPIC -shared -MMD -MP -o $@ $< -ldl

# What scripts/bench measures with.
BENCH_DIR  := $(BUILD)/bench
BENCH_OBJS := $(patsubst %,$(BENCH_DIR)/%.o,crowd hist note secure token usage)
bench: $(BENCH_DIR)/swarm $(BENCH_DIR)/bare $(BENCH_DIR)/rooms $(BENCH_DIR)/away
$(BENCH_DIR)/%.o: test/bench/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(AXR_CFLAGS) $(AXR_HARDEN) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BENCH_DIR)/swarm: $(BENCH_DIR)/swarm.o $(BENCH_OBJS)
$(BENCH_DIR)/bare: $(BENCH_DIR)/bare.o $(BENCH_DIR)/note.o
$(BENCH_DIR)/rooms: $(BENCH_DIR)/rooms.o $(LIB)
$(BENCH_DIR)/away: $(BENCH_DIR)/away.o $(LIB)
$(BENCH_DIR)/away: LDFLAGS += -Wl,--wrap=pages_alloc,--wrap=pages_free
$(BENCH_DIR)/swarm $(BENCH_DIR)/bare $(BENCH_DIR)/rooms $(BENCH_DIR)/away:
	$(CC) $(CFLAGS) $(AXR_HARDEN_LD) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) $(LDLIBS)

# Loaded before unit tests; empty where a sanitizer looks.
LEAKS := $(BUILD)/test/leaks.so
$(BUILD)/test/leaks.so: test/unit/leaks.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 -D_GNU_SOURCE -O2 -g $(AXR_WARN) -fPIC -shared -MMD -MP -o $@ $<

check: all $(UNIT_BINS) $(REPLAY_BINS) $(CONFORMANCE) $(LEAKS)
	BUILD=$(BUILD) LEAKS=$(LEAKS) scripts/unit

asan:
	$(MAKE) BUILD=build/asan LEAKS= CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all' \
	    AXR_HARDEN= AXR_HARDEN_LD=-pie all bench check

FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
fuzz:
	$(MAKE) BUILD=build/fuzz-objs CC=clang CFLAGS='$(FUZZ_FLAGS)' AXR_HARDEN= AXR_HARDEN_LD=-pie build/fuzz-objs/libaxr.a
	@mkdir -p $(BUILD)/fuzz
	set -e; $(foreach f,$(FUZZ_SRCS), \
	    clang $(CPPFLAGS) $(AXR_CFLAGS) -Itest/unit -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	        $(FUZZ_LD_$(basename $(notdir $f))) \
	        -o $(BUILD)/fuzz/$(basename $(notdir $f)) $f build/fuzz-objs/libaxr.a $(PKG_LIBS);)

# --- lint ------------------------------------------------------------------
HEADERS    := $(shell find include -name '*.h' | LC_ALL=C sort)
C_FILES     = $(shell find src include test -name node_modules -prune -o -name '*.[ch]' -print | LC_ALL=C sort)
# A word after a macro that is a macro, too, is lost without \&: `.It No memory`.
EATEN      := '^\.[A-Z][a-z]+ (An|Ap|At|Do|In|Ms|No|Or|Re|So|Us) '
# Other versions format otherwise and find other things, so they cannot tell.  These are
# Debian 12's.
, := ,
LLVM_VERSION := 14
CLANG_FORMAT  = $(or $(shell command -v clang-format-$(LLVM_VERSION)),clang-format)
CLANG_TIDY    = $(or $(shell command -v clang-tidy-$(LLVM_VERSION)),clang-tidy)
# $(call if_wanted,TOOL,VERSION,COMMAND): the command if the tool has that version; else
# it is said that it has not.
if_wanted     = @found=$$($(1) --version 2>&1 | sed -nE 's/.*(version|Cppcheck) ([0-9.]+).*/\2/p'); \
	case $$found in $(2) | $(2).*) echo $(1) && $(3) ;; \
	*) echo "lint: left out: $(notdir $(1)) $(2) is wanted, found $${found:-none}" ;; esac
lint: headers layers
	scripts/tested --self-test
	scripts/tested
	test/mutation/run --list >/dev/null
	scripts/mapped --self-test
	scripts/mapped
	CC='$(lastword $(CC))' scripts/logged --self-test
	CC='$(lastword $(CC))' scripts/logged
	$(call if_wanted,$(CLANG_FORMAT),$(LLVM_VERSION),$(CLANG_FORMAT) --dry-run -Werror $(C_FILES))
	$(call if_wanted,$(CLANG_TIDY),$(LLVM_VERSION),printf '%s\n' $(SRCS) | \
	    xargs -P $$(nproc) -I{} $(CLANG_TIDY) --quiet {} -- $(AXR_CFLAGS))
	$(call if_wanted,cppcheck,2.10,cppcheck --quiet --error-exitcode=1 --inline-suppr \
	    --enable=warning$(,)performance$(,)portability --suppress=missingIncludeSystem -Iinclude src)
	mandoc -Tlint -Wwarning man/*.[1578]
	! grep -nE $(EATEN) man/*.[1578]

headers:
	set -e; for h in $(HEADERS); do $(CC) $(AXR_CFLAGS) -Werror -fsyntax-only -x c $$h; done

layers: $(LIB) $(patsubst %.c,$(BUILD)/obj/%.o,$(MAINS))
	CC='$(CC)' scripts/layers --self-test
	BUILD=$(BUILD) scripts/layers

# Made anew each time, for a file may have come; with the compiler alone, without ccache.
compile_commands.json: FORCE
	@$(MAKE) -sBn CC='$(lastword $(CC))' all conformance bench faults $(UNIT_BINS) $(REPLAY_BINS) | \
	    scripts/compile-commands >$@.new
	@mv $@.new $@

help:
	@sed -n '/^$$/q;s/^# \{0,1\}//p' Makefile

# --- installation ----------------------------------------------------------
INSTALL     = PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' SYSTEMD_UNIT_DIR='$(SYSTEMD_UNIT_DIR)' \
              DESTDIR='$(DESTDIR)' BUILD='$(BUILD)' scripts/install
install: all
	$(INSTALL) install
uninstall:
	$(INSTALL) uninstall

clean:
	rm -rf build

.PHONY: all bench conformance faults check asan fuzz help lint headers layers install uninstall clean FORCE
.SECONDARY:

# Not of scripts/package, which builds there, too.
-include $(shell find $(BUILD) -name scratch -prune -o -type f -name '*.d' -print 2>/dev/null)
