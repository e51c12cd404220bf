"""Evidence of diffraction patterns: bright-field disks, spots and rings."""
