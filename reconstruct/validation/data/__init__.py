"""Evidence from the recorded data themselves: lattices, disks, diffraction spots, rings, scans, spectra, counting statistics."""
