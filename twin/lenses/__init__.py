"""Round magnetic lenses: from the field on the axis to what they do to electrons."""
