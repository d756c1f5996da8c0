"""Benchmarks: what the books cost, each against a yardstick that is measured in the same process, in turn."""
