"""Whether a diffusers folder is a whole WAN that can be exported, and which of its small files are copied."""

import shutil
from pathlib import Path

from .source_folder import ExportError, copy_configs, has_weights, read_index, read_json, require_complete, write_json

# The pipeline classes of models that follow a control video and reference pictures, and of those that are given frames.
VACE = "WanVACEPipeline"
IMAGE = "WanImageToVideoPipeline"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SINGLE_FILE = (
    "Checkpoints in the original layout (a config.json and .pth files) must be converted first, with the program "
    "scripts/convert_wan_to_diffusers.py in diffusers' repository."
)


def check_source(source: Path) -> dict:
    """Returns `model_index.json` of a WAN folder; raises `ExportError` naming everything that is missing."""
    index = read_index(source, "Wan", SINGLE_FILE)
    if index["_class_name"] not in ("WanPipeline", IMAGE, VACE):
        raise ExportError(f"{source} holds a {index['_class_name']}; WanPipeline, {IMAGE} and {VACE} can be exported.")
    parts = ["text_encoder", *transformer_names(index), "vae"]
    needed = [f"{name}/config.json" for name in parts] + ["scheduler/scheduler_config.json", "tokenizer/tokenizer.json"]
    missing = [path for path in needed if not (source / path).is_file()]
    missing += [f"{name}/ (weights)" for name in parts if not has_weights(source / name)]
    require_complete(source, missing)
    _check_networks(source, index)
    if has_image_encoder(source, index):
        files = ("image_encoder/config.json", "image_processor/preprocessor_config.json")
        missing = [path for path in files if not (source / path).is_file()]
        missing += [] if has_weights(source / "image_encoder") else ["image_encoder/ (weights)"]
        require_complete(source, missing)
    return index


def has_image_encoder(source: Path, index: dict) -> bool:
    """Whether a transformer reads the features of pictures; an image encoder that none reads is left out."""
    return any(
        read_json(source / name / "config.json").get("image_dim") is not None for name in transformer_names(index)
    )


def transformer_names(index: dict) -> list[str]:
    """`transformer`, and `transformer_2` of a two-stage model."""
    names = [name for name in ("transformer", "transformer_2") if (index.get(name) or [None])[0] is not None]
    if "transformer" not in names:
        raise ExportError("model_index.json names no transformer; a model of the low-noise stage alone cannot run.")
    if "transformer_2" in names and index.get("boundary_ratio") is None:
        raise ExportError("model_index.json has a transformer_2 but no boundary_ratio, where it takes over (as 0.875).")
    return names


def _check_networks(source: Path, index: dict) -> None:
    for name in transformer_names(index):
        config = read_json(source / name / "config.json")
        reads = [config.get(key) is not None for key in ("image_dim", "added_kv_proj_dim")]
        if any(reads) and index["_class_name"] != IMAGE:
            raise ExportError(
                f"{name}/config.json has image_dim or added_kv_proj_dim, as the transformers of a {IMAGE} have, "
                f"and model_index.json describes a {index['_class_name']}."
            )
        if any(reads) and not all(reads):
            raise ExportError(f"{name}/config.json has one of image_dim and added_kv_proj_dim, and not the other.")


def copy_small_files(source: Path, output: Path, index: dict) -> None:
    """Copies configs and the tokenizer. The VAE's config goes to both of its halves."""
    own = {name: name for name in ("text_encoder", *transformer_names(index))}
    if has_image_encoder(source, index):
        own |= {"image_encoder": "image_encoder"}
        processor = "image_processor/preprocessor_config.json"
        write_json(output / processor, read_json(source / processor))
    copy_configs(source, output, index, own | {"vae_decoder": "vae", "vae_encoder": "vae"})
    (output / "tokenizer").mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (source / "tokenizer" / name).is_file():
            shutil.copyfile(source / "tokenizer" / name, output / "tokenizer" / name)
