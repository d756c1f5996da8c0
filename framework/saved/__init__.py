"""A finished run's folder: written once, then read again by audit, register, explanation, exports and SQL."""
