"""Reading, checking and writing point-cloud and mesh files; needs numpy alone (and lazrs for LAZ)."""
