"""Names, units and signs: controls and sensor channels of an instrument, and the fields of a file's metadata. Without JAX."""

from twin.channels.fields import FIELDS, Field, field
from twin.channels.instrument import CHANNELS, CONTROLS, Channel, Control, Kind, channel, control

__all__ = ["CHANNELS", "CONTROLS", "Channel", "Control", "FIELDS", "Field", "Kind", "channel", "control", "field"]
