"""Reading, checking and writing point-cloud and mesh files; numpy alone, lazrs for LAZ, open3d for FBX."""
