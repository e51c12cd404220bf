"""What no state explains, learnt from checked predictions; and whether the model still holds."""
