.PHONY: test bench

test:
	python -m pytest -n auto

bench:
	python benchmarks/daily.py
	python benchmarks/stretches.py
	python benchmarks/long_ledger.py
