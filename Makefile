# A thin face on Meson: everything is built in $(BUILD), nothing is decided here.
BUILD ?= build
BENCH ?= $(BUILD)-bench
SOURCES = $(shell git ls-files '*.c' '*.h')

.PHONY: all demo test test-qemu test-deps unit oracle fuzz soak bench format lint clean install

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD)

demo:
	@scripts/install-deps.sh build
	@$(MAKE) --no-print-directory -s all >/dev/null
	@scripts/demo.sh $(BUILD)

# The whole suite; "tests/run.sh --help" tells how to run a part of it.
test: test-deps
	@$(MAKE) --no-print-directory all
	@tests/run.sh

# A guest on our devices, with fio and nvme-cli: more than the suite runs of it.
test-qemu: test-deps
	@$(MAKE) --no-print-directory all
	@tests/run.sh qemu qemu-full

# What was not there when $(BUILD) was set up ("make demo" needs less) is looked for once more.
test-deps:
	@scripts/install-deps.sh test
	@if [ -f $(BUILD)/build.ninja ]; then meson setup --reconfigure $(BUILD) >/dev/null; fi

unit: all
	meson test -C $(BUILD) --no-rebuild --suite unit

# Records anew what tests/oracle compares with, on a real Linux under QEMU; downloads both.
oracle: test-deps
	@$(MAKE) --no-print-directory all
	@tests/oracle/record.sh $(BUILD)

# Each target for FUZZ_SECONDS on its corpus; what it finds new stays in $(BUILD)-fuzz.
FUZZ_SECONDS ?= 600
fuzz: test-deps
	@tests/fuzz/run.sh $(FUZZ_SECONDS) $(BUILD)-fuzz

# Random operations against their models by the ten million, and kills many times over.
SOAK_OPERATIONS ?= 10000000
soak: test-deps
	@$(MAKE) --no-print-directory all
	@tests/soak.sh $(BUILD) $(SOAK_OPERATIONS)

# Figures are of release code (-O3, the rest as ever), hence a build directory of its own.
$(BENCH)/build.ninja:
	meson setup $(BENCH) -Dbuildtype=release -Dbench=true -Dtests=false

bench: $(BENCH)/build.ninja
	@ninja -C $(BENCH) cbit bench/cbit-bench bench/cbit-bench-client bench/cbit-bench-nvme >/dev/null
	@$(BENCH)/bench/cbit-bench $(FIGURES)

format:
	clang-format -i $(SOURCES)

lint:
	@scripts/install-deps.sh lint
	@$(MAKE) --no-print-directory all $(BENCH)/build.ninja
	clang-format --dry-run -Werror $(SOURCES)
	clang-tidy --quiet -p $(BUILD) $(filter-out bench/%,$(filter %.c,$(SOURCES)))
	clang-tidy --quiet -p $(BENCH) $(filter bench/%.c,$(SOURCES))
	cppcheck --quiet --std=c17 --enable=warning,performance,portability --error-exitcode=1 \
		--inline-suppr --suppressions-list=.cppcheck-suppressions -I include -I src $(filter %.c,$(SOURCES))
	shellcheck -x tests/run.sh tests/soak.sh tests/suite/*.sh scripts/*.sh tests/clients/*.sh tests/qemu/*.sh tests/oracle/*.sh tests/oracle/init bench/*.sh .ci/run

install: all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(BUILD)-*
