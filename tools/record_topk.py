# /// script
# requires-python = ">=3.10"
# dependencies = ["torch"]
# ///
"""Records which of equal scores torch.topk takes on this CPU: tests/fixtures/topk.json.

Run: uv run tools/record_topk.py > tests/fixtures/topk.json
"""

import json
import random

import torch

SHAPES = [(4, 2), (8, 1), (8, 2), (8, 3), (5, 5), (16, 4), (17, 2), (60, 4), (64, 6), (64, 8), (64, 1), (128, 2), (128, 8), (130, 2)]


def rows():
    draw = random.Random(1)
    for experts, k in SHAPES:
        for levels in [1, 2, 3, 5, 20, 200] * 4:
            scores = [draw.randrange(levels) for _ in range(experts)]
            if draw.random() < 0.1:
                scores[draw.randrange(experts)] = 255
            values = torch.tensor([[float("nan") if score == 255 else score / 16 for score in scores]])
            yield [scores, torch.topk(values, k, dim=-1).indices[0].tolist()]


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows())
    print('{"torch":"%s","rows":[\n%s\n]}' % (torch.__version__.split("+")[0], lines))
