"""What a job says when its input is bad: the input, what is wrong with it, and the cure."""


class BadInput(ValueError):
    """Something the user gave cannot be used. ``input`` names it, ``problem`` says what is wrong, ``cure`` what to do about it."""

    def __init__(self, input: str, problem: str, cure: str):
        super().__init__(f"{input}: {problem}. {cure}".strip())
        self.input = input
        self.problem = problem
        self.cure = cure
