# All tasks of this repository. `make help` lists them.
#
# Needs only make and Python 3.10 or newer (PYTHON=... selects another one); everything
# else is installed into .venv and .ci/js/node_modules. `make test` needs a Chromium, and
# installs one if it can.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
# Not at the root: for a script in .venv, such as JupyterLab's yarn, Node reads the first
# package.json above it.
NODE_MODULES := .ci/js/node_modules
# VS Code's widget manager, and what loads it, for tests.
VSCODE := build/vscode
VSCODE_PACKAGES := @vscode/jupyter-ipywidgets8@1.0.9 requirejs@2.3.8
# Front ends that bring servers of their own into JupyterLab's.
FRONT_ENDS := build/front-ends
# The Node.js of the environment, for its programs too.
WITH_NODE = PATH="$(CURDIR)/$(BIN):$$PATH"
# Tests that need neither Jupyter nor a browser; they also run on the oldest Ray.
OLDEST_TESTS = $(wildcard tests/awaiting tests/test_awaiting*.py tests/test_async_api*.py)
PYTEST_OPTIONS ?=
# Processes that run test files in parallel; tests spend most of their time waiting.
TEST_PROCESSES ?= 3
SIDE_BY_SIDE = --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo lab test test-newest test-oldest check check-python check-types \
	check-js check-notebooks check-package binder-check docs bench matrix pictures \
	front-ends release-check address clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r name text; do printf '  make %-16s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.installed-demo ## run the quickstart; on a terminal, then open it in JupyterLab
	$(BIN)/python notebooks/run_demo.py

lab: $(VENV)/.installed-demo ## open the notebooks in JupyterLab
	$(BIN)/python notebooks/open_lab.py

test: test-newest test-oldest ## run all tests on the newest Ray, the awaiting tests also on the oldest

test-newest: $(VENV)/.installed-all $(VSCODE)/.installed
	.ci/install-browser $(BIN)/python
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(PYTEST_OPTIONS)

test-oldest: $(OLDEST)/.installed
	$(if $(strip $(OLDEST_TESTS)),,$(error no awaiting tests found for the oldest Ray))
	$(OLDEST)/bin/python -m pytest $(SIDE_BY_SIDE) $(PYTEST_OPTIONS) $(OLDEST_TESTS)

check: check-python check-types check-js check-notebooks check-package ## lint, check types and formats, test the built package

check-python: $(VENV)/.installed-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/vulture

# mypy checks the code and typing_tests, pyright typing_tests alone.
check-types: $(VENV)/.installed-all
	$(BIN)/mypy
	$(WITH_NODE) PYRIGHT_PYTHON_IGNORE_WARNINGS=1 pyright --pythonpath $(BIN)/python

check-js: $(NODE_MODULES)/.installed
	$(WITH_NODE) $(NODE_MODULES)/.bin/tsc
	$(WITH_NODE) $(NODE_MODULES)/.bin/biome ci
	$(WITH_NODE) node --test tests/js/*.test.mjs

check-notebooks: $(VENV)/.installed-all
	$(BIN)/python .ci/check_notebooks.py notebooks

check-package: $(VENV)/.installed-all
	.ci/try-package $(BIN)/python

binder-check: ## build and run the notebooks as mybinder.org would; print times and memory
	$(PYTHON) binder/check.py --save build/notebooks

# The tutorial shows the notebooks that binder-check has saved, unless the code is newer.
docs: $(VENV)/.installed-all ## build the docs into build/docs, after running the notebooks if need be
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python .ci/tutorial.py
	$(BIN)/python -m sphinx -W --keep-going --quiet -b html -d build/doctrees docs build/docs
	$(BIN)/python .ci/check_site.py build/docs
	@echo "Open build/docs/index.html in a browser."

bench: $(VENV)/.installed-all ## run the benchmarks and write docs/explanation/performance.md
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m benchmarks --write

pictures: $(VENV)/.installed-all ## make the pictures of README and docs
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python docs/pictures.py
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python docs/live_picture.py
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python docs/terminal_picture.py

front-ends: $(FRONT_ENDS)/.installed $(VSCODE)/.installed ## run the front ends that the tests do not run
	PYTHONPATH=$(CURDIR)/tests $(FRONT_ENDS)/bin/python docs/front_ends.py

release-check: $(VENV)/.installed-all ## build the release into dist/ and try it; TAG=v1.2.3 compares the tag
	.ci/release-check $(BIN)/python "$(TAG)"

address: ## enter the repository's address: make address REPOSITORY=owner/name
	@$(PYTHON) .ci/set_address.py "$(REPOSITORY)"

matrix: ## test old and new versions of all dependencies: MATRIX="--quick --write 1 10"
	$(PYTHON) .ci/matrix.py $(MATRIX)

clean: ## remove everything that the targets created
	rm -rf $(VENV) $(OLDEST) $(NODE_MODULES) build dist .mypy_cache .ruff_cache .pytest_cache tests/screenshots
	rm -f docs/tutorial/*.ipynb

# Installed again when pyproject.toml is newer than the stamp.
$(VENV)/.installed-demo: pyproject.toml | $(BIN)/python
	@$(BIN)/python .ci/pip_install.py 'Ray, JupyterLab and the packages of the notebooks' --editable '.[demo]'
	@touch $@

$(VENV)/.installed-all: pyproject.toml | $(BIN)/python
	@# The first pip that installs dependency groups.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/python .ci/pip_install.py 'the packages of all tests and checks' --editable '.[demo,client]' --group dev
	@touch $@ $(VENV)/.installed-demo

# Without its dependencies: the awaiting room needs only Ray.
$(OLDEST)/.installed: pyproject.toml .ci/oldest-ray | $(OLDEST)/bin/python
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check \
		"ray==$$($(OLDEST)/bin/python .ci/oldest-ray)" 'pytest>=9' 'pytest-timeout>=2.3' \
		'pytest-xdist>=3.6' 'uvloop>=0.21'
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(BIN)/python $(OLDEST)/bin/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "'$(PYTHON)' was not found. Install Python 3.10 or newer, or select one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "'$(PYTHON)' is $$($(PYTHON) -V 2>&1); this needs Python 3.10 or newer. Select one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(patsubst %/bin/python,%,$@)

$(FRONT_ENDS)/.installed: pyproject.toml | $(BIN)/python
	$(PYTHON) -m venv --clear $(FRONT_ENDS)
	$(FRONT_ENDS)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(FRONT_ENDS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[demo]' --group test --group front-ends
	@touch $@

# Without their dependencies: 380 MB, which the manager's one file contains.
$(VSCODE)/.installed: Makefile $(VENV)/.installed-all
	rm -rf $(VSCODE) && mkdir -p $(VSCODE)
	cd $(VSCODE) && $(WITH_NODE) npm pack --silent $(VSCODE_PACKAGES) >/dev/null
	cd $(VSCODE) && for file in *.tgz; do \
		mkdir $${file%.tgz} && tar -xzf $$file -C $${file%.tgz} || exit 1; done
	@touch $@

$(NODE_MODULES)/.installed: .ci/js/package.json $(VENV)/.installed-all
	cd .ci/js && $(WITH_NODE) npm install --no-audit --no-fund --loglevel=error
	@touch $@
