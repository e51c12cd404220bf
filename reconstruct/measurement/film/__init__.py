"""Aberrations from Ronchigram scans of an amorphous film."""
