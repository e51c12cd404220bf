"""The kinds of measurement: for each, the inputs of its estimator out of a recording and what is known of it."""
