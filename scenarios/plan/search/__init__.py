"""Search over settings of the options of a question: which would need less dose than those that are given."""
