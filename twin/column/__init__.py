"""A column from gun to camera: from what its lenses carry to what its optics are."""
