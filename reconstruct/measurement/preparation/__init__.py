"""The preparation of recorded values that all kinds of measurement share: selection, levels, masks, defects, binning."""
