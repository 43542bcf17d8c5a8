# Everything starts here: `make bench` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INVENTORY ?= inventory/lab
# Anything for ansible-playbook: make bench ARGS="-e bench_blocks=5"
ARGS ?=
PYTEST_ARGS ?=

.PHONY: help bench test test-fast fuzz test-faults test-vm perf lint lab-up lab-down lab-reset lab-ssh venv docs lock messages clean

help:
	@echo 'make bench      bring up a lab host here, deploy six servers, measure and rank them'
	@echo 'make test       every test but the two below, the lab hosts included'
	@echo 'make test-fast  the tests that need no lab host'
	@echo 'make test-faults  what goes wrong, done to a lab host for real'
	@echo 'make test-vm    its scenario on a virtual machine alone'
	@echo 'make fuzz       what reads files and answers of hosts, fed with rubbish for minutes'
	@echo 'make perf       how fast the kit itself is, in about an hour'
	@echo 'make lint       ruff, mypy, yamllint, ansible-lint'
	@echo 'make lab-up     the lab host alone; also lab-down, lab-reset, lab-ssh'
	@echo 'make venv       what the commands need, in .venv, and nothing else'
	@echo 'make docs       write docs/variables.md and docs/reliability.md anew'
	@echo 'make lock       write the lock files anew'
	@echo 'make messages   gather the words for translators anew, and compile the translations'

# Whoever is not root, and whose sudo wants a password, is asked for it.
ASK = $$(test "$$(id -u)" = 0 || sudo -n true 2>/dev/null || echo --ask-become-pass)

bench: $(VENV)/.run
	@$(BIN)/ansible-playbook bench.yml -i $(INVENTORY) $(ASK) $(ARGS)

# On both cores what does not mind; then, one at a time, what takes times. All parts are run, whatever fails.
# Whoever asks for a few tests by PYTEST_ARGS may find none in one of them.
export PYTEST_ARGS
part = $(BIN)/pytest $(1) $(PYTEST_ARGS) || \
  { status=$$?; test $$status = 5 -a -n "$$PYTEST_ARGS" || failed=$$status; }
FAST = $(call part,-n 2 --dist loadfile -m 'not lab and not alone'); $(call part,-m 'alone and not lab')

test: $(VENV)/.dev test-packages lint
	@failed=0; $(FAST); $(call part,-m 'lab and not faults and not vm'); exit $$failed

test-fast: $(VENV)/.dev test-packages
	@failed=0; $(FAST); exit $$failed

# Hypothesis draws, bounded by the number of examples, for a machine's speed decides what a time comes to;
# then atheris goes by coverage, some seconds for each of the tests.
FUZZ_EXAMPLES ?= 5000
FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/fuzz/requirements.txt
	SERVERBENCH_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest -q tests/unit/test_fuzz_files.py tests/unit/test_fuzz_results.py
	$(BIN)/python tests/fuzz $(FUZZ_SECONDS)

test-faults: $(VENV)/.dev
	$(BIN)/pytest -m faults $(PYTEST_ARGS)

test-vm: $(VENV)/.dev
	$(BIN)/pytest -m vm $(PYTEST_ARGS)

# Which, and how often: make perf ARGS="--only redeploy --repeats 9"
perf: $(VENV)/.dev
	$(BIN)/python tests/perf $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/ansible-lint --offline -q

.PHONY: test-packages
test-packages:
	@./install-packages \
	  'wrk=wrk=the load generator, run against small servers in the tests' \
	  'redis-server=redis-server=the health checks are tested against a real one' \
	  'systemd=systemd-analyze=checks the rendered units' \
	  'chromium=chromium=the HTML report is looked at in a real browser' \
	  'chromium-driver=chromedriver=the tests drive the browser with it'

lab-up lab-down lab-reset: $(VENV)/.run
	@$(BIN)/ansible-playbook lab.yml -i $(INVENTORY) $(ASK) \
	  -e lab_host_state=$(subst lab-up,present,$(subst lab-down,absent,$(subst lab-reset,reset,$@))) $(ARGS)

# The first lab host, or LAB_HOST=lab2.
LAB_HOST ?= lab1
lab-ssh: $(VENV)/.run
	@ssh -F .lab/ssh/config $(LAB_HOST)

# The environment is made in two steps, so that `make bench` does not wait for the linters.
$(VENV)/.run: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'serverbench needs Python 3.11 or newer; $(PYTHON) is' "$$($(PYTHON) --version)." \
	       'Name another: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || ./install-packages \
	  'python3-venv=/usr/share/doc/python3-venv=makes the virtual environment in $(VENV)'
	@./install-packages 'openssh-client=ssh=Ansible reaches the hosts with it'
	@echo 'Making the virtual environment in $(VENV)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	@echo 'Adding what the tests need to $(VENV)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

venv: $(VENV)/.run

docs: $(VENV)/.run
	@$(BIN)/python docs/variables.py
	@$(BIN)/python docs/reliability.py

# Hashes and no index address: the same files from any mirror.
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate
lock: $(VENV)/.dev
	$(UV_COMPILE) --python-version 3.11 pyproject.toml --extra install -o requirements.txt
	$(UV_COMPILE) --python-version 3.11 pyproject.toml --extra dev app/requirements.in \
	  -c requirements.txt -c roles/server/files/requirements.in -o requirements-dev.txt
	$(UV_COMPILE) --python-version 3.10 app/requirements.in -o app/requirements.txt
	$(UV_COMPILE) --python-version 3.10 roles/server/files/requirements.in -c app/requirements.txt \
	  -o roles/server/files/requirements.txt
	$(UV_COMPILE) --python-version 3.11 tests/fuzz/requirements.in -o tests/fuzz/requirements.txt

# Then fill in what is empty in the .po files, and run it once more.
messages: $(VENV)/.dev
	@$(BIN)/python tests/messages.py

clean:
	rm -rf $(VENV) .build .mypy_cache .pytest_cache .ruff_cache .hypothesis
