"""Sensors: the expected reading of each channel for a given state, and tables of the sensors of an instrument."""

from twin.sensors.model import Clock, Input, Jump, Model, Quantity, Term
from twin.sensors.sensor import Sensor
from twin.sensors.table import SCHEMA, Parameter, Table, read_table

__all__ = [
    "SCHEMA", "Clock", "Input", "Jump", "Model", "Parameter", "Quantity", "Sensor", "Table", "Term", "read_table",
]  # fmt: skip
