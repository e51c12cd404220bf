"""Round magnetic lenses: from the field on the axis to cardinal elements and aberrations."""
