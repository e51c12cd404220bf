"""Metadata against evidence: a verdict on every field that a file claims."""
