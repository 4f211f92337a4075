"""The tokenizer: Qwen2's byte-level BPE with a vocabulary of its own, made from the training texts."""

import json
import re
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from train.captions import OPENINGS
from train.qwen.judge import backgrounds, motions
from train.qwen.texts import END_TEXT, END_TURN, Pieces, corpus
from train.qwen.words import dictionary, is_held_out, listed

VOCABULARY = 2048
LINK_WORDS = listed("a an the of and with in on at under over near from by for is")
START_TURN = "<|im_start|>"
SPECIAL = (END_TEXT, START_TURN, END_TURN)
# Qwen2's own.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def blank_words() -> list[str]:
    """Words of captions that are one token with the blank before them. All others have it by itself, so that a word
    has the same tokens at a line's beginning and within a line: else what is copied has to be put together anew."""
    texts = (*backgrounds(), *motions(), *OPENINGS, *LINK_WORDS)
    return sorted({word for text in texts for word in re.findall(r"[a-z]+", text)})


def make_tokenizer() -> Tokenizer:
    """The same on every run."""
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL) - len(blank_words()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    apart = Tokenizer(models.BPE())
    apart.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.Split(Regex(r"\p{L}+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    texts = [re.sub(r"<\|\w+\|>", "\n", text) for text in corpus(7, 400)]
    words = [word for word in dictionary() if not is_held_out(word)]
    apart.train_from_iterator([*texts, *words, *blank_words() * 200], trainer)
    model = json.loads(apart.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    vocabulary = model["vocab"]
    for word in blank_words():
        if word in vocabulary:
            vocabulary["Ġ" + word] = len(vocabulary)
            merges.append(("Ġ", word))
    return with_qwen_rules(Tokenizer(models.BPE(vocabulary, merges)))


def with_qwen_rules(tokenizer: Tokenizer) -> Tokenizer:
    """Splits and marks as Qwen2's tokenizer has them."""
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
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
