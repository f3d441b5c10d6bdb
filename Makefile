# The front door of samebytes. `make help` lists the targets. Everything that is built lies in build/.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
PREFIX ?= /usr/local
LIBDIR ?= lib
export PYTHON CC

VENV := build/venv
BIN := $(VENV)/bin
# cmake, ninja and the other pinned tools come first; nobody needs to have them.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONDONTWRITEBYTECODE := 1
PIP := $(BIN)/python -m pip --quiet --no-input

LIBRARY := build/core/libsamebytes.so.1
PROGRAMS := build/bin/testee_c build/bin/demo_c build/bin/exchange_c build/bin/testee_go build/bin/demo_go build/bin/exchange_go
PACKAGE_FILES := $(shell find core bindings/python -type f -not -name '*.go' -not -path '*/__pycache__/*' -not -path '*/build/*' 2>/dev/null)
GO_FILES := $(shell find core bindings/go tests -name '*.go' 2>/dev/null) $(wildcard go.mod go.sum core/src/*.[ch] core/include/*.h core/include/samebytes/*.h)

.PHONY: all help deps deps-test build core generate demo test test-c test-go test-generate test-python test-conformance test-demo \
	test-packaging test-crash test-fuzz conformance lint bench install dist nightly clean

all: build ## the same as build

# A target's line is what stands behind ## where its rule begins.
help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## *(.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{ printf "make %-22s %s\n", $$1, $$2 }'

# ---------------------------------------------------------------------------------------------------------------------------- tools

# Asked each time, because it takes no time; only what is missing is installed.
deps: $(VENV)/.stamp-build ## install what the machine lacks (as root), and the tools in build/venv
deps-test: $(VENV)/.stamp-test ## the same, and what the tests need

.PHONY: machine machine-test
machine:
	@.ci/deps.sh build
machine-test:
	@.ci/deps.sh test

# A Python that was upgraded or removed leaves an environment that does not start.
$(shell $(BIN)/python -c pass 2>/dev/null || rm -f $(VENV)/.stamp-venv)
$(VENV)/.stamp-venv: | machine
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.stamp-%: .ci/requirements/%.txt $(VENV)/.stamp-venv
	$(PIP) install -r $<
	touch $@

$(VENV)/.stamp-test: | machine-test

# ---------------------------------------------------------------------------------------------------------------------------- build

build: core $(VENV)/.stamp-package $(PROGRAMS) ## core, Python package and programs, in build/

# Ninja knows best what is stale, and takes no time when nothing is.
core: $(VENV)/.stamp-build ## the C library only, in build/core
	@cmake -S core -B build/core -G Ninja -DCMAKE_BUILD_TYPE=Release -DSAMEBYTES_WERROR=ON -DCMAKE_INSTALL_LIBDIR=$(LIBDIR) \
		-DCMAKE_C_COMPILER=$(CC) --log-level=WARNING > build/core.log || { cat build/core.log; exit 1; }
	@cmake --build build/core -- --quiet
$(LIBRARY): core ;

$(VENV)/.stamp-package: $(PACKAGE_FILES) $(VENV)/.stamp-build
	$(PIP) install --no-build-isolation --no-deps --force-reinstall --config-settings=build-dir=$(CURDIR)/build/python ./bindings/python
	touch $@

build/bin/testee_c: $(wildcard tests/conformance/*.c tests/conformance/*.h)
build/bin/demo_c: $(wildcard tests/demo/*.c tests/demo/*.h)
build/bin/exchange_c: $(wildcard tests/exchange/*.c)
build/bin/testee_c build/bin/demo_c build/bin/exchange_c: $(wildcard core/include/samebytes/*.h) $(LIBRARY)
	@mkdir -p build/bin
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Werror -Icore/include $(filter %.c,$^) -o $@ \
		-Lbuild/core -lsamebytes -Wl,-rpath,'$$ORIGIN/../core'

# The testee with the core compiled in, for a big-endian machine, which QEMU is for it.
build/bin/testee_c_s390x: $(wildcard tests/conformance/*.c core/src/*.[ch] core/include/samebytes/*.h core/include/*.h) | deps-test
	@mkdir -p build/bin
	s390x-linux-gnu-gcc -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Werror -static -Icore/include $(filter %.c,$^) -o $@ -pthread

build/bin/testee_go: $(GO_FILES)
	@mkdir -p build/bin
	go build -o $@ ./tests/conformance/testee_go
build/bin/demo_go: $(GO_FILES)
	@mkdir -p build/bin
	go build -o $@ ./tests/demo/worker_go
build/bin/exchange_go: $(GO_FILES)
	@mkdir -p build/bin
	go build -o $@ ./tests/exchange/worker_go
$(filter %_go,$(PROGRAMS)): | machine

generate: $(VENV)/.stamp-build ## write what is generated from the headers
	$(BIN)/python -m bindings.generate

# ----------------------------------------------------------------------------------------------------------------------- demo, tests

demo: build ## the main job: a web log through C, Python and Go, and back; LOG=FILE for one of yours
	@$(BIN)/python tests/demo/demo.py $(if $(LOG),"$$LOG")

# One part after the other; the first that fails ends the run and says its name.
TEST_PARTS := c go generate python conformance demo crash fuzz packaging
test: build deps-test ## all tests, one part after the other
	@for part in $(TEST_PARTS); do $(MAKE) --no-print-directory test-$$part || { echo "make test: the part '$$part' failed" >&2; exit 1; }; done
	@echo 'make test: all parts passed: $(TEST_PARTS)'

define heading
	@printf '\n==== %s ====\n' '$(1)'
endef
SANITIZERS := address,undefined
# The tests with threads; of the others ThreadSanitizer could say nothing.
THREADED := test_bytes test_callback test_channel test_channel_random test_client test_client_pairs test_handle_cache test_memory \
	test_pool test_pool_handle test_pool_misuse test_pool_soak test_pool_threads test_shared test_visits_lock test_visits_threads
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)
PYTEST := $(BIN)/python -m pytest -q -p no:cacheprovider
# On all processors; not the parts that count on having them, or print as they go.
PYTEST_PARALLEL := $(PYTEST) -n auto --dist worksteal
C_TEST = cmake -S tests -B build/check/$(1) -G Ninja -DCMAKE_BUILD_TYPE=Debug -DSAMEBYTES_WERROR=ON -DCMAKE_C_COMPILER=$(CC) \
	-DSAMEBYTES_SANITIZE='$(2)' > build/check-$(1).log || { cat build/check-$(1).log; exit 1; }; \
	cmake --build build/check/$(1) -- --quiet $(3); \
	ctest --test-dir build/check/$(1) --output-on-failure --no-tests=error -j2 $(if $(3),-R '^($(subst $(SPACE),|,$(strip $(3))))$$')

test-c: deps-test ## the core: with assertions, under sanitizers, and its threads under ThreadSanitizer
	$(call heading,C with assertions)
	@$(call C_TEST,debug)
	$(call heading,C with AddressSanitizer and UndefinedBehaviorSanitizer)
	@$(call C_TEST,sanitize,$(SANITIZERS))
	$(call heading,C threads with ThreadSanitizer)
	@$(call C_TEST,thread,thread,$(THREADED))

test-go: | machine ## the Go package, also with the race detector
	$(call heading,Go)
	go vet ./...
	go test ./...
	$(call heading,Go with the race detector)
	go test -race ./...
	$(call heading,Arrow in Go)
	go -C tests/arrow vet ./...
	go -C tests/arrow test ./...

test-generate: build deps-test ## the generator
	$(call heading,generator)
	$(PYTEST_PARALLEL) tests/generate

test-python: build deps-test ## the Python package, through CFFI and through ctypes
	$(call heading,Python by CFFI)
	SAMEBYTES_BACKEND=cffi $(PYTEST_PARALLEL) tests/python
	$(call heading,Python by ctypes)
	SAMEBYTES_BACKEND=ctypes $(PYTEST_PARALLEL) tests/python

# The library and the modules in C under sanitizers, for nightly. Not test_hostile, which measures memory: sanitizers take much themselves.
PYTHON_SANITIZED := build/check/python
PYTEST_SANITIZED = PYTHONPATH=$(CURDIR)/$(PYTHON_SANITIZED)/package PYTHONMALLOC=malloc \
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 $(PYTEST) -s
SANITIZED_TESTS := tests/python --ignore=tests/python/test_hostile.py
.PHONY: test-python-sanitize
test-python-sanitize: deps-test ## the Python package with library and extensions under sanitizers
	@cmake -S bindings/python -B $(PYTHON_SANITIZED) -G Ninja -DCMAKE_BUILD_TYPE=Debug -DSAMEBYTES_SANITIZE='$(SANITIZERS)' \
		-DCMAKE_C_COMPILER=$(CC) -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python > build/check-python.log || { cat build/check-python.log; exit 1; }
	@rm -rf $(PYTHON_SANITIZED)/package
	@cmake --build $(PYTHON_SANITIZED) -- --quiet && cmake --install $(PYTHON_SANITIZED) --prefix $(CURDIR)/$(PYTHON_SANITIZED)/package > build/check-python.log
	@cp -r bindings/python/src/samebytes/. $(PYTHON_SANITIZED)/package/samebytes
	$(call heading,Python by CFFI with AddressSanitizer and UndefinedBehaviorSanitizer)
	SAMEBYTES_BACKEND=cffi $(PYTEST_SANITIZED) $(SANITIZED_TESTS)
	$(call heading,Python by ctypes with AddressSanitizer and UndefinedBehaviorSanitizer)
	SAMEBYTES_BACKEND=ctypes $(PYTEST_SANITIZED) $(SANITIZED_TESTS)

test-conformance: build deps-test build/bin/testee_c_s390x ## all bindings against the same vectors, and exchange between processes
	$(call heading,conformance)
	$(PYTEST_PARALLEL) tests/conformance
	$(call heading,exchange between processes)
	$(PYTEST) tests/exchange

# The same by hand: the runner's own table.
conformance: build deps-test build/bin/testee_c_s390x ## the same vectors through all bindings, as a table
	@$(BIN)/python tests/conformance/runner.py

test-demo: build deps-test ## the demo
	$(call heading,demo)
	$(PYTEST) tests/demo

test-packaging: build deps-test ## what is installed: library, wheel, sdist, Go module
	$(call heading,packaging)
	$(PYTEST_PARALLEL) --dist loadfile tests/packaging

test-crash: deps-test ## crashes of the store of visits
	$(call heading,crashes of the store of visits)
	$(PYTEST) tests/crash

# Each target for some seconds, or FUZZ_SECONDS=n; prints how many inputs were tried.
test-fuzz: deps-test ## the fuzzers, each for some seconds or FUZZ_SECONDS=n
	$(call heading,fuzzing)
	$(PYTEST) -s tests/fuzz

# The long forms: all tests, with what is drawn at random by fresh seeds, every bit of damage and more crashes; then C with more seeds, and
# Go's threads more often.
# Not test_pool_guard, which means to be ended by signals; AddressSanitizer has seen it.
VALGRIND := --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --fair-sched=yes
nightly: export SAMEBYTES_NIGHTLY := 1
nightly: test ## the long forms of the tests
	$(call heading,C with more seeds)
	SAMEBYTES_SEEDS=20 ctest --test-dir build/check/sanitize --output-on-failure --no-tests=error -j2 --repeat until-fail:3
	$(call heading,C: pools for an hour or SAMEBYTES_POOL_SECONDS)
	@pids=; for build in debug sanitize thread; do \
		SAMEBYTES_POOL_SECONDS=$${SAMEBYTES_POOL_SECONDS:-3600} build/check/$$build/test_pool_soak > build/pool-soak-$$build.log 2>&1 & \
		pids="$$pids $$!"; done; failed=0; for pid in $$pids; do wait $$pid || failed=1; done; cat build/pool-soak-*.log; exit $$failed
	$(call heading,channels at random)
	@pids=; for check in sanitize thread; do CHANNEL_SECONDS=$${CHANNEL_SECONDS:-1800} build/check/$$check/test_channel_random > build/channels-$$check.log 2>&1 & \
		pids="$$pids $$!"; done; for pid in $$pids; do wait $$pid || { tail -n 20 build/channels-*.log; exit 1; }; done
	$(call heading,C under Valgrind)
	@for test in $$(find build/check/debug -maxdepth 1 -name 'test_*' -not -name test_pool_guard -executable -type f | sort); do \
		echo "valgrind $$test"; SAMEBYTES_NIGHTLY= valgrind $(VALGRIND) $$test > build/valgrind.log 2>&1 || { cat build/valgrind.log; exit 1; }; done
	@SAMEBYTES_NIGHTLY= $(MAKE) --no-print-directory test-python-sanitize
	$(call heading,Go with checks of what C keeps and with AddressSanitizer)
	GOEXPERIMENT=cgocheck2 go test ./bindings/go/...
	go test -asan ./bindings/go/...
	$(call heading,Go with the race detector again and again)
	go test -race -count=10 ./...
	$(call heading,Go fuzzing)
	for target in FuzzParser FuzzBytes; do go test -run '^$$' -fuzz "^$$target\$$" -fuzztime 10m ./tests/go; done

lint: deps $(VENV)/.stamp-lint $(VENV)/.stamp-test ## formatting, static checks, types
	@.ci/lint.sh

# The store of visits by itself, for those who change it; its first lines say what it measures.
build/bench/visits_alone: tests/bench/c/visits_alone.c tests/bench/c/bench.h $(LIBRARY)
	@mkdir -p build/bench
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Werror -Icore/include $< -o $@ -pthread -Lbuild/core -lsamebytes \
		-Wl,-rpath,$(CURDIR)/build/core

bench: build ## benchmarks; PART=codec for one part
	@$(BIN)/python tests/bench/bench.py $(PART)

# The same cases beside those of an earlier commit, in one run: make bench-against BASE=v1.0 [PART=pool]
.PHONY: bench-against
bench-against: build ## this tree beside an earlier commit of itself: BASE=REVISION [PART=codec]
	@$(BIN)/python tests/bench/against.py $(if $(BASE),'$(BASE)',$(error BASE says which commit to compare with)) $(PART)

# ---------------------------------------------------------------------------------------------------------------------------- results

install: core ## library, headers, pkg-config and CMake files; PREFIX=/usr/local DESTDIR= LIBDIR=lib
	cmake --install build/core --prefix '$(PREFIX)'
	@if [[ -z '$(DESTDIR)' && $$(id -u) = 0 ]]; then ldconfig; fi

dist: deps-test ## sdist and wheel of the Python package, in build/dist
	$(BIN)/python -m build --no-isolation --outdir build/dist bindings/python

clean: ## remove build/
	rm -rf build
