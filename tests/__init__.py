"""The tests: facts, oracles, machines and goldens."""
