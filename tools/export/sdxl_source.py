"""Whether a diffusers folder is a whole SDXL, and which of its small files are copied."""

import json
import shutil
from pathlib import Path

from .source_folder import ExportError, copy_configs, read_index, read_json, require_complete

# The tokenizer of each text encoder. A refiner has the second encoder only.
TOKENIZERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
# Where each folder's config.json comes from: both halves of the VAE share one.
CONFIGS = {
    "text_encoder": "text_encoder",
    "text_encoder_2": "text_encoder_2",
    "unet": "unet",
    "vae_decoder": "vae",
    "vae_encoder": "vae",
}
SINGLE_FILE = (
    "A single .safetensors checkpoint must be converted first: "
    "StableDiffusionXLPipeline.from_single_file(...).save_pretrained(...)."
)


# What the folder refiner/ of a base model holds: the base has the same second text encoder and the same VAE.
REFINER_FOLDERS = ("unet",)


def text_encoders(index: dict) -> list[str]:
    """The text encoders that a model has: both, or the second."""
    return [name for name in TOKENIZERS if index.get(name, [True])[0] is not None]


def folders_of(index: dict, refiner: bool) -> list[str]:
    """The component folders that are written."""
    if refiner:
        return list(REFINER_FOLDERS)
    return [name for name in CONFIGS if name not in TOKENIZERS or name in text_encoders(index)]


def time_id_count(index: dict) -> int:
    """How many ids a UNet is shown beside the text: a refiner's are crop, original size and an aesthetic score."""
    return 5 if index.get("requires_aesthetics_score") else 6


def check_source(source: Path, refiner: bool = False) -> dict:
    """Returns `model_index.json` of an SDXL folder; raises `ExportError` naming everything that is missing."""
    index = read_index(source, "StableDiffusionXL", SINGLE_FILE)
    origins = [CONFIGS[folder] for folder in folders_of(index, refiner)]
    needed = [f"{name}/config.json" for name in dict.fromkeys(origins)] + ["scheduler/scheduler_config.json"]
    missing = [path for path in needed if not (source / path).is_file()]
    missing += [
        f"{name}/ (vocab.json and merges.txt, or tokenizer.json)"
        for name in _tokenizers(index, refiner)
        if not _has_vocabulary(source / name)
    ]
    require_complete(source, missing)
    embed_type = read_json(source / "unet/config.json").get("addition_embed_type")
    if embed_type != "text_time":
        raise ExportError(f"unet/config.json has addition_embed_type {embed_type!r}; an SDXL UNet has 'text_time'.")
    return index


def _has_vocabulary(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file() or (
        (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    )


def _tokenizers(index: dict, refiner: bool) -> list[str]:
    return [] if refiner else [TOKENIZERS[name] for name in text_encoders(index)]


def copy_small_files(source: Path, output: Path, index: dict, refiner: bool = False) -> None:
    """Copies configs and tokenizers."""
    copy_configs(source, output, index, {folder: CONFIGS[folder] for folder in folders_of(index, refiner)})
    for name in _tokenizers(index, refiner):
        _copy_tokenizer(source / name, output / name)


def _copy_tokenizer(source: Path, output: Path) -> None:
    """Copies one tokenizer's files and derives the missing ones of vocab.json, merges.txt and tokenizer.json."""
    output.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, output / name)
    if not (output / "tokenizer.json").is_file():
        from transformers import CLIPTokenizer

        CLIPTokenizer.from_pretrained(source).backend_tokenizer.save(str(output / "tokenizer.json"), pretty=False)
    if not (output / "vocab.json").is_file():
        model = read_json(output / "tokenizer.json")["model"]
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        (output / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
        (output / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
