"""HAADF images of a known crystal: optics, scan and detector."""
