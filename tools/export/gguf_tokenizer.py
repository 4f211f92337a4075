"""The byte-level tokenizer in a GGUF file, as `tokenizer.json` writes it."""

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from .source_folder import ExportError

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|NUMBERS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# How texts are split into words, by llama.cpp's names for it.
NUMBERS = {"qwen2": r"\p{N}", "llama-bpe": r"\p{N}{1,3}"}
CONTROL = 3


def field(reader: GGUFReader, name: str, default=None):
    found = reader.fields.get(name)
    return default if found is None else found.contents()


def splitter(kind: str) -> pre_tokenizers.PreTokenizer:
    if kind == "smollm":
        return pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    if kind not in NUMBERS:
        raise ExportError(f"The tokenizer splits texts as {kind} does; there are smollm, {', '.join(NUMBERS)}.")
    words = Regex(WORDS.replace("NUMBERS", NUMBERS[kind]))
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def read_tokenizer(reader: GGUFReader) -> PreTrainedTokenizerFast:
    """Raises `ExportError` for a tokenizer of another kind than byte pairs."""
    kind = field(reader, "tokenizer.ggml.model")
    if kind != "gpt2":
        raise ExportError(f"The tokenizer is a {kind}; this program reads those of byte pairs (gpt2).")
    words = field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ", 1)) for pair in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = splitter(field(reader, "tokenizer.ggml.pre", ""))
    tokenizer.decoder = decoders.ByteLevel()
    types = field(reader, "tokenizer.ggml.token_type")
    special = [word for word, type_ in zip(words, types, strict=True) if type_ == CONTROL]
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    marks = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    ids = {name: field(reader, f"tokenizer.ggml.{part}_token_id") for name, part in marks.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=field(reader, "tokenizer.chat_template"),
        **{name: words[index] for name, index in ids.items() if index is not None},
    )
