"""A column from gun to camera: from lens excitations to the optics of the image."""
