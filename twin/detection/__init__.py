"""What is recorded of a wave: detectors, cameras, scans, and noise."""
