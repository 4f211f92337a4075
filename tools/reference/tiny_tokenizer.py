"""A CLIP tokenizer with a small vocabulary of its own, in the files that SDXL folders have.

The vocabulary is laid out as CLIP's is: 256 byte letters ("!" first, id 0), the same with `</w>`, one entry per merge,
then the two marks. So any text tokenises, and the end mark has the highest id, where CLIP's pooling looks for it.
"""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = Path(__file__).with_name("tiny_words.txt")
MERGES = 1100


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for bytes in byte-level BPE, in CLIP's order (which begins with "!")."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def train_merges() -> list[tuple[str, str]]:
    """Byte-pair merges of the word list, most useful first."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    split = pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    trainer = trainers.BpeTrainer(vocab_size=100_000, min_frequency=1, end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(WORDS.read_text(encoding="utf-8").splitlines(), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(merge) for merge in merges[:MERGES]]


def write_tokenizers(folder: Path) -> int:
    """Writes `tokenizer/` (padded with the end mark) and `tokenizer_2/` (padded with "!"); returns the vocabulary's size."""
    letters = byte_letters()
    merges = train_merges()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges), START, END]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    if len(vocabulary) != len(tokens):
        raise ValueError("two merges make the same token; the marks would not be the last ids")
    for name, pad in (("tokenizer", END), ("tokenizer_2", "!")):
        _write(folder / name, vocabulary, merges, pad)
    return len(vocabulary)


def _write(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]], pad: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def mark(content: str) -> dict:
        return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}

    def dump(name: str, value: dict, indent: int | None = 2) -> None:
        (folder / name).write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")

    special = {"bos_token": mark(START), "eos_token": mark(END), "pad_token": pad, "unk_token": mark(END)}
    dump("special_tokens_map.json", special)
    typed = {key: {"__type": "AddedToken", **value} if isinstance(value, dict) else value for key, value in special.items()}
    dump(
        "tokenizer_config.json",
        {
            "add_prefix_space": False,
            **typed,
            "clean_up_tokenization_spaces": True,
            "do_lower_case": True,
            "errors": "replace",
            "model_max_length": 77,
            "tokenizer_class": "CLIPTokenizer",
        },
    )
    dump("vocab.json", vocabulary, indent=None)
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
