"""Nested plain values in HDF5: a dict is a group, a value a dataset; and back. h5py is imported where used."""

from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_DEPTH = 16
MAX_ITEMS = 100_000


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


def read_tree(group: Any, depth: int = 0, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    """The plain values of an h5py group, without the members named in ``skip``. ValueError for what no tree of ours has."""
    import h5py

    if depth > MAX_DEPTH or len(group) > MAX_ITEMS:
        raise ValueError(f"group {group.name} is deeper or larger than any that emtwin writes")
    tree: dict[str, Any] = {}
    for key in group:
        if key in skip:
            continue
        item = group.get(key)
        if isinstance(item, h5py.Group):
            tree[key] = read_tree(item, depth + 1)
        elif isinstance(item, h5py.Dataset) and item.shape == ():
            tree[key] = plain(item[()])
        else:
            raise ValueError(f"{group.name}/{key} is no plain value")
    return tree


def plain(value: Any) -> Any:
    """Python values of numpy scalars and bytes, in nested dicts too."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.item() if isinstance(value, np.generic) else value
