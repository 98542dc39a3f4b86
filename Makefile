# make demo: search, derive, retrain and judge a denoiser of photographs (at most 10 minutes on 2 cores)
# make test: every check: lint, format, strict types, import contracts, tests
# make fuzz MINUTES=10: fuzz the compiler, half the time by grammar and mutation, half by bytes; findings in runs/fuzz
# make matrix [STRATEGY=darts] [SPACE=nas_bench_201]: every strategy on every space, into docs/matrix.md
# make kills KILLS=200: kill searches at random moments, resume them, and compare their ends with undisturbed ones
# All make .venv at their first run; PYTHON names the interpreter (3.11 or newer) that it is made with.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
# The example plugin is left out: its tests install it as a distribution of its own.
PLUGINS := $(filter-out plugins/spacec-example/,$(sort $(dir $(wildcard plugins/*/pyproject.toml))))

.PHONY: demo test fuzz kills matrix lint format clean

RUN := runs/clearer-$(shell date +%Y%m%d-%H%M%S)

demo: $(STAMP)
	@$(BIN)/spacec search grammars/clearer.space -p width=8 -p residual=1 -p init=0.05 \
	  --task denoise -t patch=48 -t patches=800 \
	  --strategy clearer -o epochs=8 -o steps=15 -o batch_size=8 -o arch_from=2 -o arch_lr=0.02 -o eval_batches=4 \
	  -o optimizer=adam -o lr=0.003 -o weight_decay=0 \
	  --train -O optimizer=adam -O lr=0.01 -O weight_decay=0 -O batch_size=8 -O epochs=10 -O steps=100 \
	  -O recalibrate=60 -O eval_every=2 --out $(RUN)

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q

MINUTES ?= 10

fuzz: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@PYTHONPATH=. $(BIN)/python -m tests.fuzz.run --minutes $(MINUTES)

KILLS ?= 200

kills: $(STAMP)
	@$(BIN)/python -m tests.kills.run --kills $(KILLS) --record

JOBS ?= 2

matrix: $(STAMP)
	@$(BIN)/python -m benchmarks.matrix --jobs $(JOBS) --strategy '$(STRATEGY)' --space '$(SPACE)'

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): pyproject.toml constraints.txt $(addsuffix pyproject.toml,$(PLUGINS))
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"spacec needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Name another one: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) lacks the venv module; install it (Debian and Ubuntu: the package python3-venv)" >&2; exit 1; }
	@echo "installing spacec and its plugins into $(VENV); this takes a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]' $(foreach p,$(PLUGINS),-e './$(p)$(shell sed -n 's/^all = .*/[all]/p' $(p)pyproject.toml)')
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name '*.egg-info' -prune -exec rm -rf {} +
	find . -name __pycache__ -prune -exec rm -rf {} +
