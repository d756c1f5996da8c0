"""The folder of a run: written whole, and read through doors that check types."""
