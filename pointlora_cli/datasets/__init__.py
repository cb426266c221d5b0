"""Data sets: labelled clouds of one size, ready for a device."""
