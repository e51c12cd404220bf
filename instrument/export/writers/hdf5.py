"""Nested plain values in HDF5: a dict is a group, a value a dataset."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def write_tree(group: Any, tree: Mapping[str, Any], group_attributes: Mapping[str, str], kinds: bool = False) -> None:
    """Write ``tree`` into an h5py ``group``; subgroups get ``group_attributes``. With ``kinds`` each item says its type as EMD 1.0 wants it."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            inner = group.create_group(key)
            inner.attrs.update(group_attributes)
            if kinds:
                inner.attrs["type"] = "dict"
            write_tree(inner, value, group_attributes, kinds)
            continue
        item = group.create_dataset(key, data=value)
        if kinds:
            kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
            item.attrs["type"] = kind.encode()


def plain(value: Any) -> Any:
    """Python values of numpy scalars and bytes, in nested dicts too."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.item() if isinstance(value, np.generic) else value
