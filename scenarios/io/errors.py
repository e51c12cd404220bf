"""What a job says when its input is bad: the input, what is wrong with it, and the cure; see `twin.errors`."""

from twin.errors import BadInput as BadInput
from twin.errors import from_twin as from_twin
