"""Dynamics of the state: linear stochastic differential equations, and the inputs that drive them."""

from twin.dynamics.column import ColumnDynamics, Rates, command_focus, move_stage, standard_dynamics
from twin.dynamics.linear import Dynamics

__all__ = ["ColumnDynamics", "Dynamics", "Rates", "command_focus", "move_stage", "standard_dynamics"]
