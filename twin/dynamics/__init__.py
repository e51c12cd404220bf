"""Dynamics of the state: linear stochastic differential equations, and the inputs that drive them."""

from twin.dynamics.linear import Dynamics

__all__ = ["Dynamics"]
