"""The diffusers folder that an export starts from: what its small files say, and what of it is copied."""

import json
from pathlib import Path


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


def read_index(source: Path, family: str, single_file: str) -> dict:
    """Returns `model_index.json` of a folder whose pipeline class begins with `family`.

    `single_file` is what a person with a single checkpoint file can do. Raises `ExportError`.
    """
    if not source.is_dir():
        raise ExportError(f"{source} is not a folder. Give the folder that {family}Pipeline.save_pretrained wrote.")
    path = source / "model_index.json"
    if not path.is_file():
        raise ExportError(f"{source} has no model_index.json, so it is not a diffusers folder. {single_file}")
    index = read_json(path)
    class_name = str(index.get("_class_name", ""))
    if not class_name.startswith(family):
        raise ExportError(f"{path} describes a {class_name or 'folder without _class_name'}, not a {family} pipeline.")
    return index


def require_complete(source: Path, missing: list[str]) -> None:
    if missing:
        raise ExportError(f"{source} is not complete, it lacks: " + ", ".join(missing))


def has_weights(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in ("*.safetensors", "*.bin"))


def weights_variant(folder: Path) -> str | None:
    """`fp16` when the folder was saved or downloaded with that variant only, which the file names then carry."""
    names = [path.name for path in folder.glob("*.safetensors")]
    return "fp16" if names and all(".fp16" in name for name in names) else None


def without_local_path(config: dict) -> dict:
    """Drops `_name_or_path`, which names a folder of the machine that saved the config."""
    return {key: value for key, value in config.items() if key != "_name_or_path"}


def copy_configs(source: Path, output: Path, index: dict, folders: dict[str, str]) -> None:
    """Writes every JSON file of the layout; `folders` names the source's folder for each of the output's."""
    write_json(output / "model_index.json", without_local_path(index))
    write_json(output / "scheduler/scheduler_config.json", read_json(source / "scheduler/scheduler_config.json"))
    for folder, origin in folders.items():
        write_json(output / folder / "config.json", without_local_path(read_json(source / origin / "config.json")))
