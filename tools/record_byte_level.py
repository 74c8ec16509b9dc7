# /// script
# requires-python = ">=3.11"
# dependencies = ["transformers==5.24.0", "tokenizers"]
# ///
"""Records the ids of byte-level tokenizers: tests/fixtures/tokenizers/byte_level.json.

    python tools/record_byte_level.py

One small tokenizer for each way to cut a text that GGUF files name (`tokenizer.ggml.pre`), trained here on the self-test's texts:
its tokens, merges and special tokens, as a GGUF file holds them, and the ids that the `tokenizers` library gives to every text.
"""

import json
import pathlib

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "fixtures" / "tokenizers"
CORPUS = ROOT / "src" / "engine" / "self_test" / "texts"
# OpenAI's o200k_base, as tiktoken has it.
O200K = "|".join([
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
    r"""\p{N}{1,3}""", r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""", r"""\s*[\r\n]+""", r"""\s+(?!\S)""", r"""\s+""",
])
MORE = ["12345 678", "a1b2", "HelloWorld's", "I'LL we've", "path/to//file\n\n", "e\u0301 cafe\u0301", "x  \n\n y", "١٢٣", "  1  22"]


def cut(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2(*before):
    return pre_tokenizers.Sequence([*before, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])


CUTS = {
    "gpt-2": (None, gpt2()),
    "olmo": (normalizers.NFC(), gpt2()),
    "refact": (None, gpt2(pre_tokenizers.Digits(individual_digits=True))),
    "qwen2": (normalizers.NFC(), cut(PRETOKENIZE_REGEX)),
    "gpt-4o": (None, cut(O200K)),
}


def main():
    texts = json.loads((FOLDER / "texts.json").read_text()) + MORE
    corpus = [path.read_text() for path in sorted(CORPUS.iterdir()) if path.is_file()] + texts
    recorded = {"texts": texts, "cuts": {}}
    for name, (normalizer, pre_tokenizer) in CUTS.items():
        tokenizer = Tokenizer(models.BPE())
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizer
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=special, show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(corpus, trainer)
        model = json.loads(tokenizer.to_str())["model"]
        tokens = [token for token, _ in sorted(model["vocab"].items(), key=lambda entry: entry[1])]
        recorded["cuts"][name] = {
            "tokens": tokens, "merges": [" ".join(merge) for merge in model["merges"]], "special": special,
            "ids": [tokenizer.encode(text).ids for text in texts],
        }
    (FOLDER / "byte_level.json").write_text(json.dumps(recorded, ensure_ascii=True))


main()
