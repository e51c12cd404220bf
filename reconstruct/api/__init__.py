"""The Python interface: measurements of images and patterns, calibrations of columns, and models that streams run on."""
