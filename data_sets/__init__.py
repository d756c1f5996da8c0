"""Scripts that draw the data sets of `framework/data/embedded`, from random numbers and published figures.

They wrote the files there once, and write them again byte for byte; no run reads them.
"""
