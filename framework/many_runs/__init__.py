"""Many runs beside each other: grids, paths that might have been, workers, and how sure a choice is."""
