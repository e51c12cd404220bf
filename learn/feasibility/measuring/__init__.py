"""To which standard deviation a quantity is measured by each way of recording, and at which dose, by the twin's own signals and their derivatives."""
