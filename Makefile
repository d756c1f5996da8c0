.PHONY: test bench

test:
	python -m pytest

bench:
	python benchmarks/daily.py
	python benchmarks/stretches.py
	python benchmarks/long_ledger.py
