# The short commands. Each is one line that calls a script; `make` alone lists them.
# Arguments go through: make demo ARGS=--once, make build ARGS="RPI_PICO --jobs 2"

PY := .venv/bin/python

.PHONY: help demo test build reproduce emulate simulate fuzz coverage lint clean

help:       ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo:       ## build the firmware, boot it, and watch it talk to a broker
	@scripts/setup.sh && $(PY) scripts/demo.py $(ARGS)

test:       ## build what the tests need and run them all
	@scripts/setup.sh && $(PY) scripts/test.py $(ARGS)

build:      ## build images: make build ARGS="RPI_PICO UNIX"
	@scripts/setup.sh && $(PY) scripts/build.py $(ARGS)

reproduce:  ## build twice under different conditions and compare: make reproduce ARGS=RPI_PICO
	@scripts/setup.sh && $(PY) scripts/reproduce.py $(ARGS)

emulate:    ## boot an RP2040 image: make emulate ARGS="dist/X.uf2 --flash DIR"
	@scripts/setup.sh && $(PY) scripts/emulate.py $(ARGS)

simulate:   ## run simulated boards: make simulate ARGS="-n 20"
	@scripts/setup.sh && $(PY) scripts/simulate.py $(ARGS)

fuzz:       ## fuzz the C cores: make fuzz ARGS="decode --minutes 10", ARGS=--mutants
	@scripts/setup.sh && $(PY) scripts/fuzz.py $(ARGS)

coverage:   ## line and branch coverage of the C cores
	@scripts/setup.sh && $(PY) scripts/c_coverage.py $(ARGS)

lint:       ## check the style of the Python files
	@scripts/setup.sh && $(PY) -m ruff check . && $(PY) -m ruff format --check --diff .

clean:      ## remove what the scripts made here: build/, dist/, .venv (not the cache)
	rm -rf build dist .venv
