"""The tensors of a safetensors file as numpy arrays, each read when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

# numpy has no bfloat16, which traces are mostly made of, so the file is read here and not by the library of the format.
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}
_LARGEST_HEADER = 100_000_000  # bytes, the limit of the format


class Tensors(Mapping):
    """Arrays by name. bfloat16 becomes float32, which holds the same values."""

    def __init__(self, path: Path) -> None:
        self.path = path
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
                raise ValueError(f"{path}: not a safetensors file: its header would have {length} bytes of {size}")
            header = json.loads(file.read(length))
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        self._start = 8 + length
        self._entries: dict[str, dict] = header
        for name, entry in header.items():
            if entry["dtype"] not in _DTYPES:
                raise ValueError(f"{path}: {name} has the dtype {entry['dtype']}; known are {', '.join(_DTYPES)}")
            begin, end = entry["data_offsets"]
            if not 0 <= begin <= end <= size - self._start:
                raise ValueError(f"{path}: {name} lies outside the file: it was cut, or its header is wrong")

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        begin, end = entry["data_offsets"]
        if count * dtype.itemsize != end - begin:
            raise ValueError(f"{self.path}: {name} of shape {list(shape)} needs {count * dtype.itemsize} bytes, it has {end - begin}")
        if count == 0:
            return np.zeros(shape, np.float32 if entry["dtype"] == "BF16" else dtype)
        array = np.memmap(self.path, dtype, "r", self._start + begin, (count,)).reshape(shape)
        if entry["dtype"] == "BF16":
            return (array.astype(np.uint32) << 16).view(np.float32)
        return np.array(array)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
