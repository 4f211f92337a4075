"""A CLIP tokenizer with a small vocabulary of its own, in the files that SDXL folders have.

The vocabulary is laid out as CLIP's is: 256 byte letters ("!" first, id 0), the same with `</w>`, one entry per merge,
then the two marks. So any text tokenises, and the end mark has the highest id, where CLIP's pooling looks for it.
"""

import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = Path(__file__).with_name("tiny_words.txt")
MERGES = 1100


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for bytes in byte-level BPE, in CLIP's order (which begins with "!")."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def train_merges(words: Counter[str], limit: int) -> list[tuple[str, str]]:
    """Byte-pair merges of the words (with their counts), most frequent first and ties in alphabetical order.

    Ends after `limit` merges, or when every word is one token. The trainer of the `tokenizers` library breaks ties
    differently on every run, and the vocabulary must stay the same.
    """
    spelled = {word: [*word[:-1], word[-1] + "</w>"] for word in sorted(words)}
    pairs: Counter[tuple[str, str]] = Counter()
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for word, parts in spelled.items():
        for pair in pairwise(parts):
            pairs[pair] += words[word]
            owners[pair].add(word)
    merges = []
    while len(merges) < limit and pairs:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word in list(owners[best]):
            for pair in pairwise(spelled[word]):
                pairs[pair] -= words[word]
                if pairs[pair] == 0:
                    del pairs[pair]
                owners[pair].discard(word)
            spelled[word] = _merged(spelled[word], best)
            for pair in pairwise(spelled[word]):
                pairs[pair] += words[word]
                owners[pair].add(word)
    return merges


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """`parts` with each occurrence of `pair` joined, left to right."""
    result: list[str] = []
    for part in parts:
        if result and (result[-1], part) == pair:
            result[-1] += part
        else:
            result.append(part)
    return result


def listed_words() -> Counter[str]:
    """The word list of the random model."""
    return Counter(WORDS.read_text(encoding="utf-8").lower().split())


def write_tokenizers(folder: Path, words: Counter[str], limit: int) -> int:
    """Writes `tokenizer/` (pads with the end mark) and `tokenizer_2/` (pads with "!"); returns the number of tokens."""
    letters = byte_letters()
    merges = train_merges(words, limit)
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges), START, END]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
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
    typed = {
        key: {"__type": "AddedToken", **value} if isinstance(value, dict) else value for key, value in special.items()
    }
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
