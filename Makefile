.PHONY: test test-all bench docs

test:
	python -m pytest -n auto -m "not slow"

test-all:
	python -m pytest -n auto

bench:
	python -m benchmarks
	python benchmarks/long_ledger.py 1000000

docs:
	python -m sphinx -W -q -b html docs docs/build
