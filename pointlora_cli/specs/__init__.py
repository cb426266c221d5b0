"""Run specs: what a run is, validated before anything starts. Imports no torch."""
