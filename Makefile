# Every command a developer needs; each of them makes .venv first, where it is missing or older than its lock.
# A machine with python3 (3.11 or later) and make is enough; uv is used where it is on PATH. Another interpreter:
# `make PYTHON=python3.13 ...`.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Makes the locks, and nothing else.
UV_VERSION := 0.13.8
NEEDS_CC := mkdir -p .bench; command -v cc >/dev/null || { echo "The bench needs a C compiler: install gcc or clang\
  (Debian: apt-get install gcc libc6-dev)." >&2; exit 1; }
BENCH_CFLAGS := -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow -Werror

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test audit test-uvloop test-keyring compiled test-compiled attacks faults proxies check bench bench-check bench-programs soak firewall fuzz mutants screenshots lock relay-wheel clean

help:
	@echo 'make demo         show the main job working, here and now'
	@echo 'make test         run all tests (2 workers); ARGS="tests/wire -k frame" narrows it'
	@echo 'make test-uvloop  those of the relay that depend on its event loop, on the faster one'
	@echo 'make test-keyring profiles in a real GNOME Keyring; installs it (Debian, root)'
	@echo 'make compiled     what every frame passes as machine code, in .compiled (needs cc and Python headers)'
	@echo 'make test-compiled  those of the relay that drive a process, on the compiled one'
	@echo 'make audit        does the relay see anything of what people write? a minute; report in .audit/'
	@echo 'make attacks      attack the clients from an evil relay, each defence once taken away; ARGS="--only NAME"'
	@echo 'make faults       break things while messages flow; ARGS="--long" for hours, "--help" for more'
	@echo 'make proxies      the relay behind the real Caddy and nginx, 4 minutes; installs them (Debian, root)'
	@echo 'make check        format, lint, types, import contracts, the ledger of metadata'
	@echo 'make fuzz         every decoder under a fuzzer, 20 s each; ARGS="--seconds 60 --only content"'
	@echo 'make mutants      spoil keys/ and wire/ a line at a time: does a test notice? an hour; ARGS="--only keys.seal"'
	@echo 'make bench        what a message costs, beside others (needs cc); ARGS="--help", ARGS=fairness'
	@echo 'make bench-check  does the load generator catch what a relay could do wrong? (needs cc)'
	@echo 'make soak         20 minutes of people writing: does anything grow? ARGS="--minutes N"'
	@echo 'make firewall     what --firewall strict refuses, rightly and wrongly, and its cost; ARGS="--help"'
	@echo 'make screenshots  docs/pictures/: the real program in real terminals'
	@echo 'make lock         renew the requirements*.lock; UPGRADE=1 takes newer versions'
	@echo 'make relay-wheel  build dist/blindpost_relay-*.whl: relay/ and wire/ alone'
	@echo 'make clean        remove .venv, caches and dist/'

$(READY): pyproject.toml requirements-dev.lock scripts/make_venv.py scripts/fetch_pip.py
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "blindpost needs Python 3.11 or later, and there is no" \
	  "'$(PYTHON)' here: install it, or name another with 'make PYTHON=/path/to/python3'." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "blindpost needs Python 3.11 or later, and \
	%s is %s: name a newer one with make PYTHON=/path/to/python3." % (sys.executable, sys.version.split()[0]))'
	@"$(PYTHON)" scripts/make_venv.py

demo: $(READY)
	@$(BIN)/python -m examples.demo

test: $(READY)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# What holds on one event loop must hold on the other. The store and the settings do not know on which they run.
test-uvloop: $(READY)
	@BLINDPOST_TEST_LOOP=uvloop $(BIN)/python -m pytest -n 2 --dist loadfile $(patsubst %,tests/relay/test_%.py,\
	  caps connection crowded_out end_to_end fair_share hostile_http http leaks presence rates_end_to_end \
	  loops no_addresses rfc6455_frames rfc6455_handshake shutdown slow_sockets socket_machine start tails tails_at_random \
	  tripwires) tests/privacy $(ARGS)

compiled: $(READY)
	@$(BIN)/python scripts/compile_relay.py

test-compiled: compiled
	@PYTHONPATH=$(CURDIR)/.compiled $(BIN)/python -m pytest -n 2 --dist loadfile $(patsubst %,tests/relay/test_%.py,\
	  caps compiled crowded_out end_to_end firewall hostile_http http leaks rates_end_to_end rfc6455_frames rfc6455_handshake \
	  shutdown slow_sockets socket_machine start tripwires) $(ARGS)
	@PYTHONPATH=$(CURDIR)/.compiled $(BIN)/python -m tests.faults --only two-connections

attacks: $(READY)
	@$(BIN)/python -m tests.attacks $(ARGS)

# Signed with a key of this checkout, unless ARGS="--key FILE" names the auditor's own.
audit: $(READY)
	@mkdir -p .audit
	@$(BIN)/blindpost audit run --key .audit/auditor.key -o .audit/audit.json $(ARGS)

faults: $(READY)
	@$(BIN)/python -m tests.faults $(ARGS)

proxies: $(READY)
	@if ! { command -v caddy && command -v nginx && command -v systemd-analyze; } >/dev/null; then \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "make proxies needs caddy, nginx and" \
	    "systemd-analyze: install them, or run it as root on Debian, where it does." >&2; exit 1; }; \
	  apt-get update -qq && apt-get install -qq -y --no-install-recommends caddy nginx-light systemd >/dev/null; fi
	@$(BIN)/python -m pytest -q -o python_files='against_*.py' tests/proxies $(ARGS)

test-keyring: $(READY)
	@if ! { command -v gnome-keyring-daemon && command -v dbus-run-session; } >/dev/null; then \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "make test-keyring needs gnome-keyring and" \
	    "dbus-run-session: install them, or run it as root on Debian, where it does." >&2; exit 1; }; \
	  apt-get update -qq && apt-get install -qq -y --no-install-recommends gnome-keyring dbus-daemon >/dev/null; fi
	@$(BIN)/python -m pytest -q -o python_files='against_*.py' tests/keyring $(ARGS)

check: $(READY)
	@$(BIN)/python scripts/check.py

fuzz: $(READY)
	@$(BIN)/python -m tests.fuzz $(ARGS)

# What is known lies in .mutants/, so that an interrupted run goes on where it stopped.
mutants: $(READY) .mutants/venv/.ready
	@$(BIN)/python -m tests.mutants $(ARGS)

.mutants/venv/.ready: requirements-mutants.lock
	@echo 'setup: cosmic-ray from PyPI, in an environment of its own' >&2
	@"$(PYTHON)" -m venv --clear .mutants/venv
	@.mutants/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

bench: $(READY)
	@$(BIN)/python scripts/make_bench_peers.py
	@$(BIN)/python scripts/compile_relay.py || echo 'the compiled relay is left out' >&2
	@$(BIN)/python -m bench $(ARGS)

# Whether the load generator catches every lie that a relay can tell it.
bench-check: $(READY) bench-programs
	@$(BIN)/python -m pytest -q -o python_files='against_*.py' tests/bench $(ARGS)

# The programs in C that `make bench` measures with.
bench-programs: .bench/load .bench/forwarder

.bench/load: $(wildcard bench/load/*.c bench/load/*.h)
	@$(NEEDS_CC)
	@cc $(BENCH_CFLAGS) -o $@ $(filter %.c,$^) -ldl

.bench/forwarder: bench/peers/forwarder.c
	@$(NEEDS_CC)
	@cc $(BENCH_CFLAGS) -o $@ $^

soak: $(READY)
	@$(BIN)/python -m bench.soak $(ARGS)

# Without a C compiler: ARGS=--no-relay
firewall: $(READY)
	@$(BIN)/python -m bench.firewall $(ARGS)

screenshots: $(READY)
	@$(BIN)/python scripts/make_screenshots.py

lock:
	@"$(PYTHON)" scripts/lock.py $(UV_VERSION) $(if $(UPGRADE),--upgrade)

relay-wheel: $(READY)
	@cd packaging/relay && ../../$(BIN)/python -m hatchling build -t wheel -d ../../dist

clean:
	rm -rf .venv .venv.lock .bench .fuzz .mutants .compiled .audit dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
