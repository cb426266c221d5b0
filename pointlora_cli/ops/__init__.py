"""Geometry on batches of clouds: sampling, neighbours, gathering."""
