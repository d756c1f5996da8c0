"""Many runs beside each other: the published study, sweeps, readings of a publication, coarser rows."""
