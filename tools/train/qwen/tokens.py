"""The tokenizer: Qwen2's byte-level BPE with a vocabulary of its own, made from the training texts."""

import re
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from train.qwen.texts import END_TEXT, END_TURN, Pieces, corpus
from train.qwen.words import other_names

VOCABULARY = 3072
START_TURN = "<|im_start|>"
SPECIAL = (END_TEXT, START_TURN, END_TURN)
# Qwen2's own.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def make_tokenizer() -> Tokenizer:
    """The same on every run."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [re.sub(r"<\|\w+\|>", "\n", text) for text in corpus(7, 400)]
    tokenizer.train_from_iterator([*texts, *(f"a {name}" for name in other_names())], trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """From its file, which is made first where it is missing."""
    if not path.is_file():
        make_tokenizer().save(str(path))
    return Tokenizer.from_file(str(path))


def encode(tokenizer: Tokenizer, pieces: Pieces) -> tuple[list[int], list[bool]]:
    """Token ids and which of them are learned. A piece ends where the template ends it: no token spans two."""
    ids: list[int] = []
    learned: list[bool] = []
    for text, is_learned in pieces:
        tokens = tokenizer.encode(text).ids
        ids += tokens
        learned += [is_learned] * len(tokens)
    return ids, learned
