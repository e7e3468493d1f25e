# Every target makes its own .venv first; nothing else needs to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NODE := tests/node/node_modules/.installed

.PHONY: run demo test lint bench soak lock sbom clean

run: $(STAMP)
	$(BIN)/stillgate serve

demo: $(STAMP)
	$(BIN)/stillgate demo

# A file stays in one process, so that the proxy that its tests share is started once; in the order of the folders,
# since by number of tests, as is the default, the few that take longest would come last. What Python compiles is kept,
# whatever the caller's shell says of that: else each process that the tests start would compile everything anew.
test: $(NODE)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m bench

soak: $(NODE)
	$(BIN)/pytest -m soak --timeout 3600
	$(BIN)/pytest -m "hypothesis and not soak" --hypothesis-profile soak --timeout 3600

# The locked versions, with hashes, for every platform: of the product, also with its extras, of what builds its wheel,
# of tests and gate.
EXTRAS := cel otel review
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: $(STAMP)
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock $(EXTRAS:%=--extra %) pyproject.toml -o requirements-extras.lock
	echo 'hatchling>=1.27' | $(LOCK) - -o requirements-build.lock
	$(LOCK) --extra dev pyproject.toml -o requirements-dev.lock

# The bill of materials of what is installed here, extras included, without what tests and gate need.
sbom: $(STAMP)
	mkdir -p dist
	$(BIN)/python -m supply.sbom requirements-extras.lock \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" $(EXTRAS) > dist/sbom.cdx.json

$(STAMP): pyproject.toml requirements-dev.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Stillgate needs Python 3.11 or newer; say make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# The official clients for Node, for the tests alone.
$(NODE): $(STAMP) tests/node/package-lock.json
	$(BIN)/npm ci --silent --prefer-offline --prefix tests/node
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache tests/node/node_modules
