"""What a job says when its input is bad: the input, what is wrong with it, and the cure."""


class BadInput(ValueError):
    """Something the user gave cannot be used. ``input`` names it, ``problem`` says what is wrong, ``cure`` what to do about it."""

    def __init__(self, input: str, problem: str, cure: str):
        super().__init__(f"{input}: {problem}. {cure}".strip())
        self.input = input
        self.problem = problem
        self.cure = cure


def from_twin(input: str, error: ValueError, cure: str) -> BadInput:
    """A refusal of the twin's ("problem; cure") as bad input named ``input``; ``cure`` where it does not say one."""
    problem, _, own = str(error).rpartition("; ")
    if not problem:
        return BadInput(input, own, cure)
    return BadInput(input, problem, f"{own[0].upper()}{own[1:].rstrip('.')}. {cure}".strip())
