"""Whether ControlNets, an IP-Adapter and its image encoder fit an SDXL folder, and their small files."""

import re
from pathlib import Path

from .conditions import Conditions
from .source_folder import ExportError, has_weights, read_json, without_local_path, write_json

# What a ControlNet has to have in common with the UNet: its residuals are added there.
SHARED = (
    "in_channels",
    "block_out_channels",
    "layers_per_block",
    "cross_attention_dim",
    "addition_embed_type",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
)
# How CLIP is shown pictures; all that differs between its models is the size.
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


def named_controlnets(arguments: list[str]) -> dict[str, Path]:
    """`NAME=FOLDER` of the command line; raises `ExportError`."""
    named: dict[str, Path] = {}
    for argument in arguments:
        name, separator, folder = argument.partition("=")
        if not separator or not re.fullmatch(r"[a-z0-9_]+", name):
            raise ExportError(f"--controlnet {argument}: give it as NAME=FOLDER, such as canny=checkpoints/canny.")
        if name in named:
            raise ExportError(f"--controlnet {name} is given twice.")
        named[name] = Path(folder)
    return named


def check_conditions(source: Path, conditions: Conditions) -> None:
    """Raises `ExportError` for what is not there or does not fit the UNet, before weights are loaded."""
    unet = read_json(source / "unet/config.json")
    for name, folder in conditions.controlnets.items():
        _check_controlnet(name, folder, unet)
    if (conditions.ip_adapter is None) != (conditions.image_encoder is None):
        raise ExportError("--ip-adapter and --image-encoder are given together: the one reads what the other makes.")
    if conditions.ip_adapter is None or conditions.image_encoder is None:
        return
    if not conditions.ip_adapter.is_file():
        raise ExportError(f"{conditions.ip_adapter} is not a file. Give the .safetensors or .bin of an IP-Adapter.")
    _check_folder(conditions.image_encoder, "CLIPVisionModelWithProjection")
    config = read_json(conditions.image_encoder / "config.json")
    if "image_size" not in config or "patch_size" not in config:
        raise ExportError(f"{conditions.image_encoder}/config.json is not that of a CLIP vision model.")


def _check_folder(folder: Path, kind: str) -> None:
    if not (folder / "config.json").is_file() or not has_weights(folder):
        raise ExportError(f"{folder} is no folder of a {kind}: it needs config.json and weights.")


def _check_controlnet(name: str, folder: Path, unet: dict) -> None:
    _check_folder(folder, "ControlNetModel")
    config = read_json(folder / "config.json")
    if config.get("_class_name") != "ControlNetModel":
        raise ExportError(f"{folder} is a {config.get('_class_name')}; only ControlNetModel is exported.")
    # A UNet for inpainting has more channels of input, which its ControlNets are not shown.
    expected = unet | {"in_channels": 4 if unet["in_channels"] == 9 else unet["in_channels"]}
    for key in SHARED:
        if config.get(key) != expected.get(key):
            raise ExportError(
                f"the ControlNet {name} ({folder}) has {key} {config.get(key)}, and the UNet {expected.get(key)}:"
                " it was trained for another kind of model."
            )


def add_conditions(output: Path, conditions: Conditions) -> None:
    """Writes their configs, and what `model_index.json` and the UNet's config say of them."""
    index_path, unet_path = output / "model_index.json", output / "unet/config.json"
    index, unet = read_json(index_path), read_json(unet_path)
    for name, folder in conditions.controlnets.items():
        config = without_local_path(read_json(folder / "config.json"))
        write_json(output / f"controlnet_{name}/config.json", config)
        index[f"controlnet_{name}"] = ["diffusers", "ControlNetModel"]
        unet["controlnet_residuals"] = True
    if conditions.image_encoder is not None:
        config = without_local_path(read_json(conditions.image_encoder / "config.json"))
        write_json(output / "image_encoder/config.json", config)
        write_json(output / "feature_extractor/preprocessor_config.json", _processor(conditions.image_encoder, config))
        index["image_encoder"] = ["transformers", "CLIPVisionModelWithProjection"]
        index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
        unet["encoder_hid_dim_type"] = "ip_image_proj"
    write_json(index_path, index)
    write_json(unet_path, unet)


def _processor(folder: Path, config: dict) -> dict:
    """The encoder's own processor, or the one that diffusers makes for an encoder that has none."""
    path = folder / "preprocessor_config.json"
    if path.is_file():
        return read_json(path)
    size = config["image_size"]
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "do_convert_rgb": True,
    }
