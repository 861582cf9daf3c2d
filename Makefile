# Thin targets: each calls one program or one script of resources/setup. `make` alone prints them.
# The stamps in .venv make a second start immediate: no pip and no apt while pyproject.toml and constraints.txt rest.

BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
PYTHON_IN := $(BIN)/python
PINNED := pyproject.toml constraints.txt
HOUSE_RULES := $(patsubst %,tests/rules/test_%.py,commands homes places sizes states_page)
BENCHES := $(filter-out _%,$(basename $(notdir $(wildcard tests/bench/*.py))))

.DEFAULT_GOAL := help
.PHONY: help run demo test soak check bench build pins clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: .venv/.run ## Start the shop on this machine: server, payment sandbox and, where there is a display, the console.
	@$(PYTHON_IN) -m server demo run

demo: .venv/.run ## Tell the main job in half a minute, without a screen: import, buy, pay, deliver, export, prove the books.
	@$(PYTHON_IN) -m server demo story

test: .venv/.test ## Run all tests but the house rules; ARGS="-k refund" passes arguments on to pytest.
	@$(PYTHON_IN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
		$(addprefix --ignore=,$(HOUSE_RULES)) $(ARGS)

soak: .venv/.test ## Run the long tests that `make test` leaves out; MINUTES=5: only so much of buyers and chaos; ARGS.
	@$(if $(MINUTES),KAMENG_TEST_MINUTES=$(MINUTES)) $(PYTHON_IN) -m pytest -m soak --hypothesis-profile soak \
		-o faulthandler_timeout=0 $(if $(MINUTES),tests/fault/test_payment_soak.py) $(ARGS)

check: .venv/.test ## Check style, types, walls and house rules.
	@$(PYTHON_IN) -m ruff check
	@$(PYTHON_IN) -m ruff format --check
	@$(PYTHON_IN) -m mypy
	@$(BIN)/lint-imports
	@$(PYTHON_IN) -m pytest -q $(HOUSE_RULES)

bench: .venv/.test ## Measure: NAME=import [ROWS=200000] [ENGINE=postgres] [ARGS=...]; the last line is one JSON object.
	@$(if $(NAME),,$(error Which one? make bench NAME=..., of these: $(BENCHES)))
	@$(PYTHON_IN) -m tests.bench.$(NAME) $(if $(ROWS),--rows $(ROWS)) $(if $(ENGINE),--engine $(ENGINE)) \
		$(if $(SKUS),--skus $(SKUS)) $(if $(STOCK),--stock $(STOCK)) $(if $(SNAPSHOT),--snapshot $(SNAPSHOT)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

build: ## Build the console's bundle for this system: dist/kameng.
	@resources/setup/build.sh

pins: ## Write constraints.txt anew with the newest versions; run the tests before committing it.
	@resources/setup/pins.sh

clean: ## Remove everything that was made here, except the data folder.
	@rm -rf .venv build dist .hypothesis .mypy_cache .ruff_cache .import_linter_cache

.venv/.run: $(PINNED)
	@resources/setup/debian.sh run
	@resources/setup/venv.sh .venv desktop,server,postgres,mysql
	@touch $@

.venv/.test: $(PINNED)
	@resources/setup/debian.sh test
	@resources/setup/venv.sh .venv dev
	@touch .venv/.run $@
