"""Detection of a wave: detectors, cameras, scans, and noise."""
