# /// script
# requires-python = ">=3.10"
# dependencies = ["gguf==0.19.0", "numpy"]
# ///
"""Records how the gguf package reads blocks of IQ4_NL, IQ4_XS and MXFP4: tests/fixtures/blocks.json.

Run: uv run tools/record_blocks.py > tests/fixtures/blocks.json
"""

import json

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize

BLOCKS = {"IQ4_NL": (Type.IQ4_NL, 18, 12), "IQ4_XS": (Type.IQ4_XS, 136, 3), "MXFP4": (Type.MXFP4, 17, 12)}


def record():
    draw = np.random.default_rng(1)
    for name, (kind, size, count) in BLOCKS.items():
        blocks = draw.integers(0, 256, (count, size), dtype=np.uint8)
        if name == "MXFP4":
            # Scales of both ends and from 2^-9 on; 255 is NaN and not used.
            blocks[:, 0] = [0, 1, 2, 254, *draw.integers(118, 136, count - 4)]
        else:
            blocks[:, :2] = draw.normal(0, 0.01, count).astype("<f2").view(np.uint8).reshape(-1, 2)
        values = dequantize(blocks, kind).astype("<f4")
        yield name, [blocks.tobytes().hex(), values.tobytes().hex()]


if __name__ == "__main__":
    print(json.dumps(dict(record()), indent=0))
