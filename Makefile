# Forwards only: the work is done by meson, ninja and the scripts in tools/.
#   make run ARGS='--listen 127.0.0.1:8000'   further options of `lark serve` (they win over LARK_... in the environment)
#   make install PREFIX=/usr DESTDIR=/tmp/x OPTIONS=-Dnginx_modules_dir=/usr/lib/nginx/modules
#   make fuzz TIME=600 TARGETS='json resp'
#   make faults SHORT=1
#   make soak MINUTES=30
#   make witness N=1000000
#   make bench SECONDS=4 ROUNDS=5 ARGS='--all --check'
.PHONY: build run test faults soak witness fuzz coverage bench lint format install deb clean
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash -o pipefail

build:
	@tools/install-deps build
	@tools/configure build
	@ninja -C build --quiet | sed '/^ninja: no work to do\.$$/d'

# Development mode: loopback, anonymous callers are admin, data in ./.lark
run: build
	@tools/install-deps run
	@LARK_STATE_DIR="$${LARK_STATE_DIR:-$(CURDIR)/.lark}" exec build/lark serve --default-scopes admin $(ARGS)

test: build
	@tools/install-deps test
	@tools/run-tests

# A table of what Lark survives, each figure beside its bar (tests/faults); SHORT=1 is what `make test` runs.
faults: build
	@tools/install-deps test
	@tools/run-tests faults $(if $(SHORT),,long) $(ARGS)

# Everything at once for a long time, under ASan and UBSan.
soak: build
	@tools/install-deps test
	@tools/soak $(or $(MINUTES),30)

# Tenant A calls everything with everything; nobody else's keys are seen or touched (tests/witness).
witness: build
	@tools/install-deps test
	@tools/run-tests python
	@.venv/bin/python tests/witness/witness.py $(or $(N),10000) $(ARGS)

fuzz:
	@tools/install-deps fuzz
	@tools/fuzz $(or $(TIME),600) $(TARGETS)

coverage:
	@tools/install-deps test
	@tools/coverage

bench: build
	@tools/install-deps bench
	@tools/bench --seconds $(or $(SECONDS),4) --rounds $(or $(ROUNDS),5) $(ARGS)

lint:
	@tools/install-deps lint
	@tools/lint

format:
	@tools/install-deps lint
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

PREFIX ?= /usr/local
install:
	@tools/install-deps build
	@tools/configure build-install --prefix="$(PREFIX)" $(OPTIONS)
	@ninja -C build-install --quiet
	@DESTDIR="$(DESTDIR)" meson install -C build-install --no-rebuild --quiet

# The Debian packages, into build/deb: built, looked at by lintian, tried in a fresh Debian of their own.
deb:
	@tools/deb

clean:
	@rm -rf build build-gcc build-clang build-asan build-fuzz build-coverage build-install build-python .venv \
		python/build python/core python/src/*.egg-info python/compat/src/*.egg-info
