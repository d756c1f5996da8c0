.PHONY: test test-all drills mutants bench docs pictures

test:
	python -m pytest -n auto -m "not slow"

test-all:
	HYPOTHESIS_PROFILE=thorough python -m pytest -n auto

drills:
	CARRYBOOK_DRILLS=$${CARRYBOOK_DRILLS:-50} python -m pytest -m drill

mutants: # with the extra `mutants`
	nice -n 15 python -m tests.drills.mutate

bench:
	python -m benchmarks
	python benchmarks/long_ledger.py 1000000

docs:
	python -m sphinx -W -q -b html docs docs/build

pictures:
	python docs/pictures.py
