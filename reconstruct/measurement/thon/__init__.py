"""Thon rings: defocus and astigmatism."""
