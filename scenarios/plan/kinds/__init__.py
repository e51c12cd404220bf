"""Kinds of question: each tells the specimens that it compares and how an option is assessed."""
