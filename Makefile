# Every target makes what it needs in .venv, so that each works on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .bench
JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test test-tiny test-torch fuzz lint types stubs format bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# pip is the outer Python's where that can install elsewhere: an environment with a pip of its
# own takes seconds to make.
OUTER := $(PYTHON) -m pip --python $(BIN)/python
INSTALL = $$($(OUTER) --version >/dev/null 2>&1 && echo $(OUTER) || echo $(BIN)/python -m pip) \
  install --quiet --disable-pip-version-check

$(BIN)/python:
	$(PYTHON) -m venv --without-pip $(VENV)
	@$(OUTER) --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)

# A stamp says which extras are installed; a change of pyproject.toml renews it. The demo needs
# what the package needs and nothing that builds packages: src is put on the path.
$(VENV)/base.stamp: pyproject.toml | $(BIN)/python
	@$(BIN)/python -c "import tomllib; \
	  print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
	  > $(VENV)/base.txt
	$(INSTALL) --no-compile --requirement $(VENV)/base.txt
	@$(BIN)/python -c "import pathlib, sysconfig; \
	  pathlib.Path(sysconfig.get_path('purelib'), 'src.pth').write_text('$(CURDIR)/src')"
	@touch $@

$(VENV)/%.stamp: pyproject.toml | $(BIN)/python
	$(INSTALL) --editable ".[$*]"
	@touch $@

demo: $(VENV)/base.stamp ## explain and differentiate a function, read digits, write digits.html
	$(BIN)/python examples/demo.py

# The tests run side by side: a process that asks for all cores would only wait for them.
test test-tiny test-torch fuzz: export OPENBLAS_NUM_THREADS = 1

test: $(VENV)/test.stamp ## all tests, docstrings and lecture pages
	$(BIN)/python -m pytest -q -n $(JOBS)

test-tiny: $(VENV)/test.stamp ## a sample of everything in about ten seconds
	$(BIN)/python -m pytest -q -m "not slow" tests/test_layers.py docs README.md

test-torch: $(VENV)/test.stamp $(VENV)/torch.stamp ## all tests, those against PyTorch too
	$(BIN)/python -m pytest -q -n $(JOBS)

fuzz: $(VENV)/test.stamp ## thousands of random programs, eager against compiled
	ADJOINT_FUZZ=4000 ADJOINT_WORLDS=2500 $(BIN)/python -m pytest -q -n $(JOBS) \
	  tests/test_compile_fuzz.py tests/test_compile_modules.py \
	  tests/test_compile_records.py tests/test_examples.py \
	  tests/test_bodies_fuzz.py tests/test_bundles.py tests/test_world_fuzz.py

lint: $(VENV)/lint.stamp ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/lint.stamp ## pyright on the package and on a user's code
	$(BIN)/pyright

stubs: $(VENV)/test.stamp ## write the type stubs of the face anew
	$(BIN)/python tools/stubs.py

format: $(VENV)/lint.stamp ## let ruff repair and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BENCH)/peers.stamp: pyproject.toml benchmarks/install.py
	$(PYTHON) benchmarks/install.py $(BENCH)
	@touch $@

bench: $(BENCH)/peers.stamp ## all benchmarks beside their peers; writes benchmarks/RESULTS.md
	$(BENCH)/bin/python benchmarks/run.py --scaling --write benchmarks/RESULTS.md

docs: $(VENV)/test.stamp ## write the generated page, run the pages of docs/ and the README
	$(BIN)/python tools/compatibility.py
	$(BIN)/python -m pytest -q docs README.md

clean: ## remove the environment and caches
	rm -rf $(VENV) $(BENCH) .pytest_cache .ruff_cache .hypothesis
