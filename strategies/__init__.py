"""Strategies, one module each, and the moves that several of them share."""
