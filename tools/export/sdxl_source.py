"""The diffusers folder that an export starts from: is it SDXL, is it whole, and which small files are copied."""

import json
import shutil
from pathlib import Path

COMPONENTS = ("text_encoder", "text_encoder_2", "unet", "vae")
TOKENIZERS = ("tokenizer", "tokenizer_2")
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class ExportError(Exception):
    """Something about the input or the result that the person who runs the export can act on."""


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ExportError(f"{path} is not valid JSON: {error}") from error


def write_json(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_source(source: Path) -> dict:
    """Returns `model_index.json` of an SDXL folder; raises `ExportError` naming everything that is missing."""
    if not source.is_dir():
        raise ExportError(
            f"{source} is not a folder. Give the folder that StableDiffusionXLPipeline.save_pretrained wrote."
        )
    index_path = source / "model_index.json"
    if not index_path.is_file():
        raise ExportError(
            f"{source} has no model_index.json, so it is not a diffusers folder. A single .safetensors checkpoint must "
            "be converted first: StableDiffusionXLPipeline.from_single_file(...).save_pretrained(...)."
        )
    index = read_json(index_path)
    class_name = str(index.get("_class_name", ""))
    if not class_name.startswith("StableDiffusionXL"):
        raise ExportError(
            f"{index_path} describes a {class_name or 'folder without _class_name'}, not a StableDiffusionXL pipeline."
        )
    needed = [f"{name}/config.json" for name in COMPONENTS] + ["scheduler/scheduler_config.json"]
    missing = [path for path in needed if not (source / path).is_file()]
    missing += [
        f"{name}/ (vocab.json and merges.txt, or tokenizer.json)"
        for name in TOKENIZERS
        if not _has_vocabulary(source / name)
    ]
    if missing:
        raise ExportError(f"{source} is not complete, it lacks: " + ", ".join(missing))
    embed_type = read_json(source / "unet/config.json").get("addition_embed_type")
    if embed_type != "text_time":
        raise ExportError(f"unet/config.json has addition_embed_type {embed_type!r}; an SDXL UNet has 'text_time'.")
    return index


def _has_vocabulary(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file() or (
        (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    )


def without_local_path(config: dict) -> dict:
    """Drops `_name_or_path`, which names a folder of the machine that saved the config."""
    return {key: value for key, value in config.items() if key != "_name_or_path"}


def copy_configs(source: Path, output: Path, index: dict) -> None:
    """Writes every JSON file of the layout; the VAE's config goes to both of its halves."""
    write_json(output / "model_index.json", without_local_path(index))
    write_json(output / "scheduler/scheduler_config.json", read_json(source / "scheduler/scheduler_config.json"))
    for folder, origin in (
        ("text_encoder", "text_encoder"),
        ("text_encoder_2", "text_encoder_2"),
        ("unet", "unet"),
        ("vae_decoder", "vae"),
        ("vae_encoder", "vae"),
    ):
        write_json(output / folder / "config.json", without_local_path(read_json(source / origin / "config.json")))


def copy_tokenizer(source: Path, output: Path) -> None:
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
