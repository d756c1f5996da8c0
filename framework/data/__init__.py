"""Market data on their way in: files, sources and the store become one aligned table."""
