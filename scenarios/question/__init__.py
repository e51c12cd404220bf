"""The vocabulary of a question, which `plan` answers: what is asked of which specimen, with which instrument, within which limits."""
