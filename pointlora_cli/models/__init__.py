"""Backbones, heads, and the import of official checkpoints."""
