"""Evidence of scans: the rotation against the camera, and the dwell time by mains that displace the probe."""
