"""Simulated venues, one module per protocol, and the rulebooks that fill in their rules."""
