"""The tokenizer of the small SDXL, and captions as tensors of token ids."""

import re
from collections import Counter
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from reference.tiny_tokenizer import write_tokenizers
from train.captions import caption_words
from train.networks import MAX_TOKENS
from train.subjects import Subject

# More than there can be: every word that captions have becomes one token.
MERGE_LIMIT = 20_000


def make_tokenizers(folder: Path, subjects: list[Subject]) -> int:
    """Writes `tokenizer/` and `tokenizer_2/`; returns the number of tokens."""
    return write_tokenizers(folder, Counter(caption_words(subjects)), MERGE_LIMIT)


class Tokens:
    """Token ids of captions for both encoders, padded as `StableDiffusionXLPipeline` pads them."""

    def __init__(self, folder: Path):
        tokenizers = [CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2")]
        self.vocabulary_size = len(tokenizers[0])
        self._pads = [tokenizer.pad_token_id for tokenizer in tokenizers]
        self._tokenizer = tokenizers[0]
        self._words: dict[str, list[int]] = {}

    def _word(self, word: str) -> list[int]:
        if word not in self._words:
            self._words[word] = self._tokenizer(word, add_special_tokens=False)["input_ids"]
        return self._words[word]

    def ids(self, captions: list[str], length: int = MAX_TOKENS) -> tuple[torch.Tensor, torch.Tensor]:
        """`[batch, length]` for the first and for the second encoder."""
        begin, end = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        rows = []
        for caption in captions:
            pieces = re.findall(r"[\w']+|[^\w\s]+", caption)
            inner = [token for piece in pieces for token in self._word(piece)]
            rows.append([begin, *inner[: length - 2], end])
        padded = [[row + [pad] * (length - len(row)) for row in rows] for pad in self._pads]
        return torch.tensor(padded[0]), torch.tensor(padded[1])
