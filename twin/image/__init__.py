"""The microscope composed, and the images that it predicts."""
