# Two commands on a fresh machine: `make search` and `make test`. Both need Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
NAS := $(VENV)/bin/nas
ARGS ?=

.PHONY: search test lint install clean

search: $(VENV)/.installed
	$(NAS) search $(ARGS)

test: $(VENV)/.tested lint
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/.tested
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
