# Environments are made once and kept; each rule installs again only when pyproject.toml changes.

PYTHON ?= python3
ARGS ?=
# Builds of torch without the parts for graphics cards; the ordinary index is used where this one
# cannot be reached.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := torch==2.14.1 torchvision==0.29.1
CODE := src tests benchmarks docs deploy
PIP_FLAGS := --quiet --disable-pip-version-check
# Of all that torch brings, Python compiles what is imported.
BUILD_FLAGS := $(PIP_FLAGS) --no-compile

# What the image is called, and further flags for buildah: --build-arg WITH_RESNET18=no, --volume …
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= localhost/millisight:$(VERSION)
IMAGE_BASE ?=
IMAGE_BUILD_FLAGS ?=

.PHONY: image image-test messages lock sbom release site site-serve soak overload fuzz scale-test benchmark docs serve build-env resnet18 starter test test-long coverage check test-side-by-side test-alone test-build format clean

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	@echo "Installing millisight …"
	.venv/bin/pip install $(PIP_FLAGS) --editable .
	touch $@

.venv-build/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-build
	@echo "Installing torch: this takes some minutes …"
	.venv-build/bin/pip install $(BUILD_FLAGS) --index-url $(TORCH_INDEX) --retries 0 --timeout 5 $(TORCH) \
	  || .venv-build/bin/pip install $(BUILD_FLAGS) $(TORCH)
	.venv-build/bin/pip install $(BUILD_FLAGS) --editable '.[build,compare]'
	touch $@

.venv-build/.tests-installed: .venv-build/.installed
	.venv-build/bin/pip install $(BUILD_FLAGS) --editable '.[test]'
	touch $@

.venv-test/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install $(PIP_FLAGS) --editable '.[test,docs,embed,grpc,otel]'
	touch $@

.venv-ray/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/pip install $(PIP_FLAGS) --editable '.[ray,buckets,embed,test]'
	touch $@

.venv-fuzz/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/pip install $(PIP_FLAGS) --editable '.[test,fuzz,grpc]'
	touch $@

.venv-release/.installed: Makefile
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/pip install $(PIP_FLAGS) 'build>=1.5' 'cyclonedx-bom>=7.5' 'grpcio-tools==1.81.1' \
	  'twine>=6.2' 'uv>=0.13'
	touch $@

## serve: answer on http://127.0.0.1:8000; options go in ARGS="--port 9000"
serve: .venv/.installed
	@.venv/bin/millisight serve $(ARGS)

## build-env: the environment that builds bundles, with torch, apart from the one that serves
build-env: .venv-build/.installed

## resnet18: build torchvision's official ResNet-18; serve then takes it by default
resnet18: .venv-build/.installed
	@.venv-build/bin/millisight build resnet18 $(ARGS)

## starter: build the bundle that ships with the package again
starter: .venv-build/.installed
	.venv-build/bin/millisight build efficientnet_lite0 --output src/millisight/starter $(ARGS)

## test: everything a change must pass, with what it needs installed first
test:
	$(MAKE) --jobs 2 .venv/.installed .venv-test/.installed
	$(MAKE) check
	sh tests/e2e/install-browser
	$(MAKE) --jobs 2 test-side-by-side .venv-build/.tests-installed
	$(MAKE) --jobs 1 test-alone test-build

## test-long: the tests that a change need not wait for, some minutes
test-long: .venv/.installed .venv-test/.installed .venv-build/.tests-installed
	sh tests/e2e/install-browser
	.venv-test/bin/python -m pytest -m long tests --ignore tests/build --ignore tests/image
	.venv-build/bin/python -m pytest -m long tests/build

## coverage: the same as test, and which lines none of it runs; a quarter slower
coverage:
	rm -f .coverage .coverage.*
	$(MAKE) test RUN='coverage run -m pytest'
	.venv-test/bin/coverage combine --quiet
	.venv-test/bin/coverage report

## check: format, lint, types, and the order of the modules
check: .venv-test/.installed
	.venv-test/bin/ruff format --check $(CODE)
	.venv-test/bin/ruff check $(CODE)
	.venv-test/bin/mypy
	.venv-test/bin/lint-imports

# Tests that count neither milliseconds nor threads: a start of the command is one thread's work.
# In this order the longest are not the last.
SIDE_BY_SIDE = $(addprefix tests/,cli client contract dialects docs fuzz page scale \
  $(addprefix hostile/test_,corpus.py wire.py) \
  $(addprefix e2e/test_,answers.py metrics.py models.py offline.py reload.py traces.py workers.py)) $(wildcard tests/test_*.py)
RUN ?= python -m pytest

test-side-by-side: .venv/.installed .venv-test/.installed
	.venv-test/bin/$(RUN) --numprocesses 3 --dist loadfile --no-loadscope-reorder $(SIDE_BY_SIDE)

test-alone: .venv/.installed .venv-test/.installed
	.venv-test/bin/$(RUN) tests $(addprefix --ignore ,$(SIDE_BY_SIDE) tests/build tests/image)

# Three at a time: much of a build is one thread's work. A file's tests share what they build, so
# the longest come first.
BUILDS = $(patsubst %,tests/build/test_%.py,train int8 compare trust build_command export)

# Beside each other, OpenMP's threads would mostly spin.
test-build: export OMP_WAIT_POLICY = passive
test-build: .venv-build/.tests-installed
	.venv-build/bin/$(RUN) --numprocesses 3 --dist loadfile --no-loadscope-reorder \
	  $(BUILDS) $(filter-out $(BUILDS),$(wildcard tests/build/test_*.py)) tests/build/train

## image: the container image, by buildah, which needs no engine; IMAGE_BASE= another base
image image-test: export BUILDAH_ISOLATION ?= chroot
image:
	buildah build --format docker --build-arg VERSION=$(VERSION) \
	  $(if $(IMAGE_BASE),--build-arg BASE=$(IMAGE_BASE)) $(IMAGE_BUILD_FLAGS) --tag $(IMAGE) .

## image-test: build the image and run it, without network and where nothing can be written; as root
image-test: .venv-test/.installed
	$(MAKE) image IMAGE_BASE=$(or $(IMAGE_BASE),$$(sh tests/image/find-base))
	MILLISIGHT_IMAGE=$(IMAGE) .venv-test/bin/python -m pytest tests/image $(ARGS)

## scale-test: nodes of Ray on this machine, some of which are killed, and buckets; fifteen minutes
scale-test: .venv-ray/.installed
	sh tests/scale/alone .venv-ray/bin/python -m pytest tests/scale $(ARGS)

## benchmark: measure everything against everything else, forty minutes; QUICK=1: five minutes
benchmark: .venv/.installed .venv-build/.installed
	@$(PYTHON) benchmarks/environments.py harness
	@benchmarks/.environments/harness/bin/python benchmarks/run.py $(if $(QUICK),--quick) $(ARGS)

## soak: hostile requests of the largest size, then a hundred thousand good, bad and hostile ones; some minutes
soak: .venv-test/.installed
	HOSTILE_SIZE=9900000 .venv-test/bin/python -m pytest --quiet tests/hostile/test_wire.py
	.venv-test/bin/python -m tests.hostile.soak $(or $(ARGS),--requests 100000)

## overload: four times as much as the server can do; ends with an error if a promise is not kept
overload: .venv-test/.installed
	.venv-test/bin/python -m tests.hostile.overload

## fuzz: bytes that decoder, form parser and dialects do not expect, guided by coverage; ten minutes
fuzz: .venv-fuzz/.installed
	.venv-fuzz/bin/python -m tests.fuzz.decoder $(or $(ARGS),--seconds 300)
	.venv-fuzz/bin/python -m tests.fuzz.multipart $(or $(ARGS),--seconds 300)
	.venv-fuzz/bin/python -m tests.fuzz.dialects $(or $(ARGS),--seconds 120)

## lock: pin what serving needs, by gRPC and with traces too, for images and for who wants the very same
lock: .venv-release/.installed
	.venv-release/bin/uv pip compile --quiet --upgrade --generate-hashes --no-strip-markers \
	  --extra grpc --extra otel --python-version 3.11 --custom-compile-command 'make lock' \
	  --output-file requirements.lock pyproject.toml

## sbom: the bill of materials of what is locked, in CycloneDX, for a release
sbom: .venv-release/.installed
	mkdir -p dist
	.venv-release/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
	  --output-reproducible --output-format JSON --output-file dist/millisight.cdx.json

## release: build wheel, sdist and bill of materials, and try both where nothing else is installed
release: .venv-release/.installed
	.venv-release/bin/python deploy/release.py check
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .venv-release/bin/python -m build --outdir dist
	.venv-release/bin/twine check --strict dist/*
	$(MAKE) sbom
	.venv-release/bin/python deploy/release.py try dist/*.whl dist/*.tar.gz

## messages: the classes of the gRPC service's messages, from messages.proto
messages: .venv-release/.installed
	.venv-release/bin/python -m grpc_tools.protoc -I src --python_out=src --pyi_out=src \
	  millisight/server/dialects/messages.proto

## docs: write the reference pages again from the code
docs: .venv-test/.installed
	.venv-test/bin/python docs/generate.py

## site: the documents as a site, in site/; a link that leads nowhere ends it
site: .venv-test/.installed
	.venv-test/bin/zensical build --strict --clean
	.venv-test/bin/python docs/links.py site

## site-serve: the same at http://127.0.0.1:8001, built again as often as a page is saved
site-serve: .venv-test/.installed
	.venv-test/bin/zensical serve

## format: put the code into its one form
format: .venv-test/.installed
	.venv-test/bin/ruff format $(CODE)
	.venv-test/bin/ruff check --fix $(CODE)

clean:
	rm -rf .venv .venv-build .venv-test .coverage .coverage.* .cache dist site
