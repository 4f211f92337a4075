"""The folder of a language model that an export starts from, and what of it is copied."""

import shutil
from pathlib import Path

from .source_folder import ExportError, has_weights, read_json, require_complete, without_local_path, write_json

COPIED = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def check_source(source: Path) -> dict:
    """Returns `config.json` of a causal language model. Raises `ExportError`."""
    if not source.is_dir():
        raise ExportError(f"{source} is not a folder. Give the folder that a model's save_pretrained wrote.")
    path = source / "config.json"
    if not path.is_file():
        raise ExportError(f"{source} has no config.json, so it is no language model's folder.")
    config = read_json(path)
    architectures = config.get("architectures") or ["folder without architectures"]
    if not str(architectures[0]).endswith("ForCausalLM"):
        raise ExportError(f"{path} describes a {architectures[0]}, not a causal language model.")
    missing = [name for name in ("tokenizer.json",) if not (source / name).is_file()]
    require_complete(source, missing + ([] if has_weights(source) else ["its weights"]))
    return config


def copy_small_files(source: Path, output: Path, config: dict) -> None:
    """Writes the config and copies the tokenizer, the chat template and the sampling settings."""
    write_json(output / "config.json", without_local_path(config))
    for name in COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, output / name)
