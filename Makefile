# Everything a developer types. `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

install:         ## a virtual environment with everything for work on vaezoo
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e '.[dev]'

test:            ## the tests that CI runs
	$(BIN)/pytest

test-slow:       ## the tests that take minutes
	$(BIN)/pytest -m slow

fuzz:            ## the hunts of tests/attack, 10,000 examples of each
	$(BIN)/pytest -q tests/attack/hunts --hypothesis-profile fuzz --hypothesis-show-statistics

test-time:       ## the processor time of `make test`; a change should not raise it without a reason
	bash -c "TIMEFORMAT='%U s user + %S s system, %R s of wall time'; time $(BIN)/pytest -q --durations=20"

test-slurm:      ## the executor slurm on a real Slurm, fetched into .cluster/: kills at random
	$(BIN)/pip install -q -c constraints.txt -e '.[test,slurm]'
	$(BIN)/pytest -s -m cluster tests/cluster/test_slurm.py

test-ray:        ## the executor ray on a Ray of this machine, in a virtual environment of its own
	test -d .cluster/ray || $(PYTHON) -m venv .cluster/ray
	.cluster/ray/bin/pip install -q -c constraints.txt -e '.[test,ray]'
	.cluster/ray/bin/pytest -s -m cluster tests/cluster/test_ray.py

lint:            ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format:          ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

speed:           ## a training beside a bare loop over the same layers, and what commands cost
	$(BIN)/python benchmarks/speed/table.py --report 10000

speed-stack:     ## ten seeds trained as one on a GPU, beside one alone
	$(BIN)/python benchmarks/speed/stack.py

speed-steps:     ## a training step of models with a latent at every step, beside the plain loop
	$(BIN)/pytest benchmarks/speed --benchmark-enable -m ''

bench:           ## the default benchmark: all variants on digits, three seeds
	$(BIN)/vaezoo bench --variants all --out runs/digits

results:         ## fill results/digits, as committed
	$(BIN)/vaezoo bench --variants all --datasets digits --seeds 6 --out results/digits

certificates:    ## what the exact tests prove of each variant, for `vaezoo show`: all of them again
	$(BIN)/pytest tests/exact -m "certifies and not slow" --certificates all

docs:            ## everything on the pages that the code or results/ says: certificates, families, tables
	$(BIN)/pytest -q tests/exact -m "certifies and not slow" --certificates new
	$(BIN)/python -m docs.fill

gallery:         ## docs/gallery.md: one of each kind of figure, from two small runs in runs/gallery
	$(BIN)/python -m docs.fill.gallery

site:            ## the documentation as a site, in site/: pages, results, a reference of public names
	$(BIN)/mkdocs build --strict -q -d site

ci:              ## what CI does, from a fresh clone and a fresh virtual environment
	bash .ci/run

wheel:           ## the distribution files
	$(BIN)/python -m build

.PHONY: help install test test-slow fuzz test-time test-slurm test-ray lint format speed speed-stack speed-steps bench results certificates docs gallery site ci wheel
