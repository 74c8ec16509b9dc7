#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = [
#   "transformer-lens==2.0.0", "transformers==4.46.3", "torch==2.15.0", "safetensors==0.8.0", "typeguard<5",
# ]
# ///
"""Record TransformerLens 2.0.0, whose Mixtral is right for one token and wrong for more.

    uv run tools/case_studies/transformerlens_2.py assets/demo --out lens2

It prints the largest error of the logits, compared with transformers, for the first 1, 2, 4, 8, 16 and 60 tokens of a
text, and writes the caches of these runs: 01.safetensors to 60.safetensors. `mixscope check demo --against
lens2/60.safetensors` reads them.

Weights, router and mixing weights are right. The loop over the experts is not:

    results[batch] += weights[batch, pos, expert, None, None] * expert_mlp(x[batch])

`x[batch]` is the whole sequence. So each chosen expert is added to every token, not only to those that chose it. Its
weight is that of the last token that chose it, because `+=` with repeated indices keeps one of them. One token alone
hides the fault.

TransformerLens 2.0.0 loads only models whose names it knows. So the script gives it the name of Mixtral-8x7B, with the
config, the weights and the tokenizer of MODEL. Tested on a CPU with the versions above and the model in assets/demo, in
float32 and bfloat16.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from unittest.mock import patch

import torch
import transformers
from safetensors.torch import save_file
from transformer_lens import HookedTransformer

LENGTHS = (1, 2, 4, 8, 16, 60)
TEXT = ("One day, a little dog found a golden key near the old bridge. \"Whose key is this?\" asked the dog. Nobody "
        "knew. So the dog took the key to the market and showed it to the baker, the farmer and the queen. They had "
        "never seen it before.")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("model", type=Path, help="a folder with config.json, safetensors and tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the recordings")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)

    config = transformers.AutoConfig.from_pretrained(args.model)
    options = {"torch_dtype": dtype, "attn_implementation": "eager"}
    reference = transformers.MixtralForCausalLM.from_pretrained(args.model, **options).eval()
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(args.model / "tokenizer.json"), **special)

    def set_tokenizer(self: HookedTransformer, *_: object, **__: object) -> None:
        self.tokenizer = tokenizer  # not the tokenizer of Mixtral-8x7B on the Hub

    with patch.object(transformers.AutoConfig, "from_pretrained", lambda *_, **__: config), \
            patch.object(HookedTransformer, "set_tokenizer", set_tokenizer):
        options = {"hf_model": reference, "tokenizer": tokenizer, "dtype": dtype, "device": "cpu"}
        model = HookedTransformer.from_pretrained_no_processing("mixtral-8x7b", **options)

    provenance = {"engine": "transformer_lens", "transformer_lens": "2.0.0", "torch": torch.__version__,
                  "transformers": transformers.__version__, "compute_dtype": args.dtype, "script": Path(__file__).name}
    metadata = {"format": "mixscope-trace", "version": "1", "model": args.model.name,
                "precision": "f32" if dtype == torch.float32 else "hf", "provenance": json.dumps(provenance),
                "config": (args.model / "config.json").read_text()}
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    args.out.mkdir(parents=True, exist_ok=True)
    print("\ntokens   largest error of a logit   relative L2")
    with torch.no_grad():
        for length in LENGTHS:
            tokens = ids[:, :length]
            logits, cache = model.run_with_cache(tokens)
            right = reference(tokens).logits.float()
            error = logits.float() - right
            print(f"{length:6}   {error.abs().max():23.2g}   {error.norm() / right.norm():11.2g}")
            # What happens inside of an expert is left out: here each expert computes the whole text many times.
            kept = {name: value for name, value in cache.items() if ".experts." not in name}
            kept |= {"tokens": tokens, "unembed.hook_out": logits}  # the logits have no hook
            values = {name: value.detach().clone().contiguous() for name, value in kept.items()}
            save_file(values, args.out / f"{length:02}.safetensors", metadata=metadata)


if __name__ == "__main__":
    main()
