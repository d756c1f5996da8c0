"""Many runs beside each other: grids and searches, workers, and how sure a choice is."""
