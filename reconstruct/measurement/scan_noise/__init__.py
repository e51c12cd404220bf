"""Periodic displacement of a scanning probe, such as by stray fields of the mains: its frequency in cycles per pixel."""
