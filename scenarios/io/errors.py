"""The error for bad input, as every job raises it: see `twin.errors`."""

from twin.errors import BadInput as BadInput
from twin.errors import from_twin as from_twin
