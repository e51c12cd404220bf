"""Model discrepancy estimated from checked predictions, and tests of the model's validity."""
