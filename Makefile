.PHONY: test bench

test:
	python -m pytest

bench:
	python -m benchmarks
	python benchmarks/long_ledger.py 1000000
