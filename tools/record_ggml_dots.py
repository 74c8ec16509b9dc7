"""Records block dot products and 8-bit activations of ggml's CPU code for the tests of the policy `ggml`.

    python tools/record_ggml_dots.py LIBRARIES SOURCE > tests/fixtures/ggml-dots.json

LIBRARIES is the folder of libggml-base.so and libggml-cpu.so, e.g. site-packages/llama_cpp/lib of llama-cpp-python
0.3.36, SOURCE that of ggml in its source distribution (vendor/llama.cpp/ggml). For each type: weights quantised by ggml,
activations as bits of f16, what they are rounded to, and dot products by the scalar reference of single blocks and by
the code for this CPU of whole rows. The reference is compiled here, because compilers may fuse its products and sums.
"""

import ctypes
import json
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

folder, source = map(Path, sys.argv[1:])
base = ctypes.CDLL(str(folder / "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
cpu = ctypes.CDLL(str(sorted(folder.glob("libggml-cpu*.so"))[0]), mode=ctypes.RTLD_GLOBAL)
cpu.ggml_cpu_init()
with tempfile.TemporaryDirectory() as built:
    library = f"{built}/reference.so"
    folders = [f"-I{source / part}" for part in ("src", "src/ggml-cpu", "include")]
    flags = ["-O1", "-ffp-contract=off", "-mf16c", "-shared", "-fPIC", "-DGGML_CPU_GENERIC"]
    code = source / "src/ggml-cpu/quants.c"
    subprocess.run(["cc", *flags, *folders, str(code), "-o", library], check=True)
    reference = ctypes.CDLL(library)

# name: (ggml's number, weights of a block, its bytes, what activations become)
TYPES = {
    "Q4_0": (2, 32, 18, "q8_0"),
    "Q4_1": (3, 32, 20, "q8_1"),
    "Q5_0": (6, 32, 22, "q8_0"),
    "Q5_1": (7, 32, 24, "q8_1"),
    "Q8_0": (8, 32, 34, "q8_0"),
    "Q2_K": (10, 256, 84, "q8_K"),
    "Q3_K": (11, 256, 110, "q8_K"),
    "Q4_K": (12, 256, 144, "q8_K"),
    "Q5_K": (13, 256, 176, "q8_K"),
    "Q6_K": (14, 256, 210, "q8_K"),
    "IQ4_NL": (20, 32, 18, "q8_0"),
    "IQ4_XS": (23, 256, 136, "q8_K"),
    "MXFP4": (39, 32, 17, "q8_0"),
}
ROUNDED = {"q8_0": (32, 34), "q8_1": (32, 36), "q8_K": (256, 292)}
BLOCKS = {32: 8, 256: 4}

random.seed(20)
base.ggml_quantize_chunk.restype = ctypes.c_size_t


def floats(values):
    return (ctypes.c_float * len(values))(*values)


def bits(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


def dot(function, n, weights, x):
    result = ctypes.c_float()
    size = ctypes.c_size_t
    function(n, ctypes.byref(result), size(0), weights, size(0), x, size(0), 1)
    return result.value


recorded = {}
for name, (number, width, size, other) in TYPES.items():
    blocks = BLOCKS[width]
    n = blocks * width
    values = [random.gauss(0, 0.05) for _ in range(n)]
    weights = (ctypes.c_uint8 * (blocks * size))()
    importance = floats([1.0] * n)
    base.ggml_quantize_chunk(
        number, floats(values), weights, ctypes.c_int64(0), ctypes.c_int64(1), ctypes.c_int64(n), importance
    )
    # Values of one f16 each keep the file small; outliers, and values that end halfway between integers.
    x = [random.gauss(0, 1) * random.choice([1, 1, 1, 8]) for _ in range(n)]
    x = [struct.unpack("<e", struct.pack("<e", value))[0] for value in x]
    x[:width] = [127.0] + [random.randrange(-253, 254) / 2 for _ in range(width - 1)]
    to, bytes_of = ROUNDED[other]
    rounded = (ctypes.c_uint8 * (n // to * bytes_of))()
    getattr(cpu, f"quantize_row_{other}")(floats(x), rounded, ctypes.c_int64(n))
    function = f"ggml_vec_dot_{name.lower().replace('_k', '_K')}_{other}"
    scalar, fast = getattr(reference, function), getattr(cpu, function)
    single = []
    for block in range(blocks):
        w = ctypes.byref(weights, block * size)
        y = ctypes.byref(rounded, block * width // to * bytes_of)
        single.append(bits(dot(scalar, width, w, y)))
    recorded[name] = {
        "weights": bytes(weights).hex(),
        "x": [struct.unpack("<H", struct.pack("<e", value))[0] for value in x],
        "rounded": bytes(rounded).hex(),
        "single": single,
        "row_reference": dot(scalar, n, weights, rounded),
        "row": dot(fast, n, weights, rounded),
    }
json.dump(recorded, sys.stdout, separators=(",", ":"))
