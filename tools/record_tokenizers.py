"""Records the ids that transformers gives: tests/fixtures/tokenizers.

    pip install transformers==5.24.0 sentencepiece protobuf
    python tools/record_tokenizers.py

`*.model` are small SentencePiece models, trained here on the self-test's texts. `recorded.json` has one entry for each
set of files of a model directory: what the files hold, and the ids of every text in `texts.json`.
"""

import io
import json
import os
import pathlib
import shutil
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import sentencepiece
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import import_protobuf

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "fixtures" / "tokenizers"
SOUND = ROOT / "tests" / "fixtures" / "malformed" / "ok-control"
CORPUS = ROOT / "src" / "engine" / "self_test" / "texts"
TEXTS = [
    "", " ", "  ", "a", " a", "a ", "  two  spaces  ", "the router", "Once upon a time, there was", "\n", "\n\nline\n", "tab\there", "▁", "▁a", "a▁b",
    "é", "naïve café", "日本語", "😀 smile", "the <x> b<x>c", "PAD foo PAD", "<x><x>", " <x> ", "foofoo foo", "<s>hello</s>", "<s> hello </s>", "<unk>", "hello<s>",
    "<|im_start|>user\nhi<|im_end|>", "<|im_start|> hi", "aaaaaaaaaaaaaaaaaaaaaaaa", "The Quick Brown FOX", "1234567890", "3.14 + 2 = 5.14", "fn main() { println!(\"hi\"); }", "un\u0301ıcode ﬁ ²", "don't", "a\u00a0b", "x" * 60,
    "\x00\x01", "\ufeffbom", "mixed ▁ and  <x>  spaces ", "<USER> says <SYS>hi<USER>", "<0x0A>", "quoi de neuf? ça va", "[INST] hi [/INST]", "end.", "…", "a\r\nb", "Ünïted\tÑ", "  \n  ", "the the the",
]
BASE = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def token(text, **flags):
    return dict(content=text, lstrip=False, rstrip=False, normalized=False, single_word=False, special=False) | flags


def typed(text, **flags):
    return token(text, **flags) | {"__type": "AddedToken"}


DECLARED = {
    "nothing": {"tokenizer_config.json": BASE},
    "pad": {"tokenizer_config.json": BASE | {"pad_token": "PAD"}},
    "decoder": {"tokenizer_config.json": BASE | {"added_tokens_decoder": {"512": token("<x>"), "513": token("PAD", special=True)}}},
    "far_ids": {"tokenizer_config.json": BASE | {"added_tokens_decoder": {"700": token("<x>"), "600": token("PAD", special=True)}}},
    "flags": {"tokenizer_config.json": BASE | {"added_tokens_decoder": {
        "512": token("<x>", lstrip=True, rstrip=True), "513": token("foo", single_word=True, normalized=True), "514": token("PAD", rstrip=True, special=True)}}},
    "known": {"tokenizer_config.json": BASE | {"added_tokens_decoder": {"1": token("<s>", special=True, lstrip=True), "263": token("the"), "512": token("hello")}}},
    "added": {"tokenizer_config.json": BASE, "added_tokens.json": {"<x>": 512, "PAD": 513, "foo": 514}},
    "added_special": {"tokenizer_config.json": BASE | {"pad_token": "PAD"}, "added_tokens.json": {"<x>": 512, "PAD": 513}},
    "map": {"tokenizer_config.json": BASE, "special_tokens_map.json": {"pad_token": {"content": "PAD", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}, "additional_special_tokens": ["<x>", "foo"]}},
    "map_alone": {"special_tokens_map.json": {"bos_token": "<s>", "pad_token": "PAD"}},
    "map_not_read": {"tokenizer_config.json": BASE | {"added_tokens_decoder": {"512": token("<x>")}}, "special_tokens_map.json": {"pad_token": "PAD"}, "added_tokens.json": {"foo": 513}},
    "additional": {"tokenizer_config.json": BASE | {"additional_special_tokens": ["<x>", typed("foo", rstrip=True, normalized=True, special=True)]}},
    "extra_list": {"tokenizer_config.json": BASE | {"extra_special_tokens": ["<x>", "foo"]}},
    "extra_dict": {"tokenizer_config.json": BASE | {"extra_special_tokens": {"image_token": "<x>"}}},
    "own_name": {"tokenizer_config.json": BASE | {"image_token": "<x>", "add_prefix_space": None}},
    "typed": {"tokenizer_config.json": BASE | {"bos_token": typed("<s>", special=True), "pad_token": typed("PAD", lstrip=True)}},
    "no_bos": {"tokenizer_config.json": {"eos_token": "</s>"}},
    "ignored_bos": {"tokenizer_config.json": BASE | {"add_bos_token": False, "add_eos_token": True}},
    "chatml": {"tokenizer_config.json": BASE | {"eos_token": "<|im_end|>", "added_tokens_decoder": {"512": token("<|im_end|>", special=True), "513": token("<|im_start|>", special=True)}}},
}
BOS = BASE | {"add_bos_token": True}
MODELS = {
    "bpe": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False),
    "bpe_bare": dict(model_type="bpe", byte_fallback=False, normalization_rule_name="identity", remove_extra_whitespaces=True, add_dummy_prefix=False),
    "bpe_defined": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=True, user_defined_symbols=["<USER>", "<SYS>", "the"], control_symbols=["<x>"]),
    "unigram": dict(model_type="unigram", byte_fallback=True, normalization_rule_name="nmt_nfkc"),
}
SENTENCEPIECE = {
    "bpe": [("bos", BOS), ("eos", BOS | {"add_eos_token": True}), ("nothing", BASE), ("legacy", BOS | {"legacy": True}), ("not_legacy", BOS | {"legacy": False}), ("no_config", None),
            ("decoder", BOS | {"added_tokens_decoder": {"0": token("<unk>", special=True), "400": token("<x>", special=True), "401": token("PAD", lstrip=True, normalized=True)}}),
            ("additional", BOS | {"additional_special_tokens": ["<x>"], "pad_token": "PAD"})],
    "bpe_bare": [("bos", BOS), ("not_legacy", BOS | {"legacy": False})],
    "bpe_defined": [("bos", BOS), ("not_legacy", BOS | {"legacy": False})],
    "unigram": [("bos", BOS), ("not_legacy", BOS | {"legacy": False})],
}


def train(name, options):
    out = io.BytesIO()
    files = [str(path) for path in sorted(CORPUS.glob("*.txt"))]
    sentencepiece.SentencePieceTrainer.train(input=files, model_writer=out, vocab_size=400, character_coverage=0.99, num_threads=1, minloglevel=2, hard_vocab_limit=False, **options)
    model = import_protobuf().ModelProto()
    model.ParseFromString(out.getvalue())
    # The texts have no names.
    model.trainer_spec.ClearField("input")
    (FOLDER / f"{name}.model").write_bytes(model.SerializeToString())


def record(files, copied):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(SOUND / "config.json", folder)
        for source, name in copied:
            shutil.copy(source, f"{folder}/{name}")
        for name, value in files.items():
            pathlib.Path(folder, name).write_text(json.dumps(value))
        found = AutoTokenizer.from_pretrained(folder)
        ids = [[found(text).input_ids, found(text, add_special_tokens=False).input_ids] for text in TEXTS]
        return {"files": files, "special": found.special_tokens_map, "ids": [both[0] for both in ids], "bare": [both[1] for both in ids]}


if __name__ == "__main__":
    (FOLDER / "texts.json").write_text(json.dumps(TEXTS, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    entries = []
    for name, files in DECLARED.items():
        entries.append({"name": name, "model": None} | record(files, [(SOUND / "tokenizer.json", "tokenizer.json")]))
    for name, options in MODELS.items():
        train(name, options)
        for kind, config in SENTENCEPIECE[name]:
            files = {} if config is None else {"tokenizer_config.json": config}
            entries.append({"name": f"{name}_{kind}", "model": name} | record(files, [(FOLDER / f"{name}.model", "tokenizer.model")]))
    text = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in entries)
    (FOLDER / "recorded.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")
