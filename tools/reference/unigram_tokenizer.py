"""A small SentencePiece unigram tokenizer in the files that WAN folders have, of the same parts as umt5-xxl."""

import base64
import io
import json
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from sentencepiece import SentencePieceTrainer, sentencepiece_model_pb2

PAD, END, START, UNKNOWN = "<pad>", "</s>", "<s>", "<unk>"
# What the normaliser rewrites: NFKC of these ranges, as SentencePiece's own rules (which take 300 KB) do everywhere.
NORMALIZED = (
    range(0xA0, 0x100),
    range(0x2000, 0x2070),
    range(0x3000, 0x3001),
    range(0xFB00, 0xFB07),
    range(0xFF01, 0xFF5F),
)
REMOVED = (0xAD, 0x200B, 0x200E, 0xFEFF)
SPACES = (0x09, 0x0A, 0x0D, 0x1680)


def write_tokenizer(
    folder: Path, words: Iterable[str], pieces: int, extra_ids: int = 8, byte_fallback: bool = False
) -> int:
    """Writes tokenizer.json and its two companions; returns the number of tokens.

    `pieces` limits the learnt ones. With `byte_fallback` what has no piece becomes its UTF-8 bytes, else `<unk>`.
    """
    trained = _train(list(words), pieces, byte_fallback)
    scores = [[piece.piece, piece.score] for piece in trained.pieces]
    scores += [[f"<extra_id_{index}>", 0.0] for index in reversed(range(extra_ids))]
    special = [PAD, END, START, UNKNOWN, *(f"<extra_id_{index}>" for index in reversed(range(extra_ids)))]
    ids = {piece: index for index, (piece, _) in enumerate(scores)}
    charsmap = base64.b64encode(trained.normalizer_spec.precompiled_charsmap).decode()
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": ids[token],
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in special
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": charsmap},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [_part("Sequence", "A", 0), _part("SpecialToken", END, 0)],
            "pair": [
                _part("Sequence", "A", 0),
                _part("SpecialToken", END, 0),
                _part("Sequence", "B", 0),
                _part("SpecialToken", END, 0),
            ],
            "special_tokens": {END: {"id": END, "ids": [ids[END]], "tokens": [END]}},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": ids[UNKNOWN], "vocab": scores, "byte_fallback": byte_fallback},
    }
    names = {"bos_token": START, "eos_token": END, "pad_token": PAD, "unk_token": UNKNOWN}
    names["additional_special_tokens"] = [f"<extra_id_{index}>" for index in range(extra_ids)]
    folder.mkdir(parents=True, exist_ok=True)
    _dump(folder / "tokenizer.json", tokenizer)
    _dump(folder / "special_tokens_map.json", names, indent=2)
    settings = {"extra_ids": extra_ids, "model_max_length": 512, "tokenizer_class": "T5Tokenizer"}
    _dump(folder / "tokenizer_config.json", names | settings, indent=2)
    return len(scores)


def _train(words: list[str], pieces: int, byte_fallback: bool):
    """The same pieces for the same words: one thread, and words in the order given."""
    written = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text(_rules(), encoding="utf-8")
        SentencePieceTrainer.train(
            sentence_iterator=iter(words),
            model_writer=written,
            model_type="unigram",
            vocab_size=pieces,
            hard_vocab_limit=False,
            byte_fallback=byte_fallback,
            normalization_rule_tsv=str(rules),
            pad_id=0,
            eos_id=1,
            bos_id=2,
            unk_id=3,
            pad_piece=PAD,
            eos_piece=END,
            bos_piece=START,
            unk_piece=UNKNOWN,
            num_threads=1,
            minloglevel=2,
        )
    return sentencepiece_model_pb2.ModelProto.FromString(written.getvalue())


def _rules() -> str:
    """One rewriting a line: code points in hexadecimal, a tab, what they become."""
    rules = {code: unicodedata.normalize("NFKC", chr(code)) for codes in NORMALIZED for code in codes}
    rules |= dict.fromkeys(SPACES, " ") | dict.fromkeys(REMOVED, "")
    changed = {code: text for code, text in sorted(rules.items()) if text != chr(code)}
    return "".join(f"{code:X}\t{' '.join(f'{ord(letter):X}' for letter in text)}\n" for code, text in changed.items())


def _part(kind: str, name: str, type_id: int) -> dict:
    return {kind: {"id": name, "type_id": type_id}}


def _dump(path: Path, value: dict, indent: int | None = None) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent) + "\n", encoding="utf-8")
