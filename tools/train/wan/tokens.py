"""The tokenizer of the small WAN: a unigram model as UMT5 has it, whose pieces are the captions' words and letters."""

import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast

from train.subjects import Subject
from train.wan.captions import caption_words

SPECIAL = ("<pad>", "</s>", "<unk>")
# What a word and a letter cost: a word is spelled only where it is unknown.
WORD_SCORE, LETTER_SCORE = -6.0, -14.0
SPACE = "▁"
# WAN pads captions to so many tokens, with zeros in place of the encoder's output.
MAX_TOKENS = 512


def make_tokenizer(folder: Path, subjects: list[Subject]) -> PreTrainedTokenizerFast:
    """Writes `folder`, with `tokenizer.json` and its companions."""
    words = [SPACE + word for word in caption_words(subjects) if len(word) > 1]
    letters = [SPACE, *string.ascii_lowercase, *string.digits, *string.punctuation]
    pieces = [(token, 0.0) for token in SPECIAL]
    pieces += [(word, WORD_SCORE) for word in words] + [(f"{SPACE}a", WORD_SCORE)]
    pieces += [(letter, LETTER_SCORE) for letter in letters]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=SPECIAL.index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", SPECIAL.index("</s>"))]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_TOKENS,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
    )
    wrapped.save_pretrained(folder)
    return wrapped


def token_ids(
    tokenizer: PreTrainedTokenizerFast, captions: list[str], length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, `[batch, length]`; captions are far shorter than what `length` cuts."""
    found = tokenizer(captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return found.input_ids, found.attention_mask


def load_tokenizer(work: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(work / "wan-tokenizer")
