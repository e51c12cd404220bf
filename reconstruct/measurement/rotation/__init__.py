"""Rotation and flip between the scan and the camera of a 4D-STEM recording."""
