"""The error for bad input: what the input is, what is wrong with it, and the cure."""


class BadInput(ValueError):
    """Input that cannot be used. ``input`` names it, ``problem`` says what is wrong, ``cure`` how to correct it."""

    def __init__(self, input: str, problem: str, cure: str):
        super().__init__(f"{input}: {problem}. {cure}".strip())
        self.input = input
        self.problem = problem
        self.cure = cure

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """To another process as it is."""
        return type(self), (self.input, self.problem, self.cure)


def from_twin(input: str, error: ValueError, cure: str) -> BadInput:
    """A refusal of the twin's ("problem; cure") as bad input named ``input``; ``cure`` only where it does not say one."""
    text = str(error)
    at = _last_semicolon(text)
    if at < 0:
        return BadInput(input, text, cure)
    advice = text[at + 2 :].rstrip(".")
    return BadInput(input, text[:at], f"{advice[:1].upper()}{advice[1:]}.")


def _last_semicolon(text: str) -> int:
    """Where the last "; " stands that lies in no brackets; -1 if there is none."""
    depth, split = 0, -1
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and text.startswith("; ", index):
            split = index
    return split
