"""What image-to-video models of WAN 2.1 have of their own: an image encoder, and a transformer that reads features."""

from pathlib import Path

import torch

from .component import Component, Tensors
from .source_folder import read_json, weights_variant
from .wan_transformer import Transformer, random_inputs

TEXT_LENGTH = 512


class _ImageEncoder(torch.nn.Module):
    """pixel_values `[batch, 3, size, size]` -> the hidden states before the last layer, `[batch, features, width]`."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values, output_hidden_states=True).hidden_states[-2]


def image_encoder(source: Path, dtype: torch.dtype) -> Component:
    """CLIP's vision model without its last layer, which nothing reads."""
    from transformers import CLIPVisionModel

    folder = source / "image_encoder"
    model = CLIPVisionModel.from_pretrained(folder, dtype=dtype, variant=weights_variant(folder)).eval()
    config = model.config

    def pictures(batch: int) -> Tensors:
        return (torch.randn(batch, config.num_channels, config.image_size, config.image_size).to(dtype),)

    batched = {0: "batch"}
    return Component(
        "image_encoder",
        _ImageEncoder(model),
        dtype,
        {"pixel_values": batched},
        {f"hidden_states.{config.num_hidden_layers - 1}": batched},
        lambda: pictures(2),
        lambda: [pictures(1), pictures(3)],
        prepare_trace=lambda: model.set_attn_implementation("eager"),
    )


class ImageTransformer(Transformer):
    """The inputs of `Transformer`, and after the prompt encoder_hidden_states_image `[batch, features, image_dim]`:
    those of one picture, or of the first and the last frame, one after the other."""

    def __init__(self, model: torch.nn.Module, features: int):
        super().__init__(model)
        self.pictures = 1 if model.config.pos_embed_seq_len is None else 2
        self.features = self.pictures * features

    def split(self, image: torch.Tensor) -> torch.Tensor:
        """As diffusers hands them over: pictures along the batch."""
        return image.reshape(-1, self.features // self.pictures, image.shape[-1])

    def forward(self, hidden_states, timestep, encoder_hidden_states, image, rotary_cos, rotary_sin) -> torch.Tensor:
        self.set_tables(rotary_cos, rotary_sin)
        return self.model(hidden_states, timestep, encoder_hidden_states, self.split(image), return_dict=False)[0]


def image_transformer(source: Path, name: str, dtype: torch.dtype, fused: bool) -> Component:
    """The component of folder `name`: `transformer` or `transformer_2`."""
    from diffusers import WanTransformer3DModel

    folder = source / name
    model = WanTransformer3DModel.from_pretrained(folder, torch_dtype=dtype, variant=weights_variant(folder)).eval()
    exported = ImageTransformer(model, features_of_one(source))
    area = {0: "batch", 2: "frames", 3: "height", 4: "width"}
    inputs = {
        "hidden_states": area,
        "timestep": {0: "batch"},
        "encoder_hidden_states": {0: "batch", 1: "sequence"},
        "encoder_hidden_states_image": {0: "batch"},
        "rotary_cos": {1: "tokens"},
        "rotary_sin": {1: "tokens"},
    }

    def values(batch: int, patches: tuple[int, int, int]) -> Tensors:
        # diffusers takes 512 for the length of every prompt, where it tells pictures from text.
        hidden, timestep, text, *tables = random_inputs(exported, dtype, batch, patches, TEXT_LENGTH)
        image = torch.randn(batch, exported.features, model.config.image_dim).to(dtype)
        return hidden, timestep, text, image, *tables

    def reference(hidden, timestep, text, image, *_) -> torch.Tensor:
        return model(hidden, timestep, text, exported.split(image), return_dict=False)[0]

    return Component(
        name,
        exported,
        dtype,
        inputs,
        {"out_sample": area},
        lambda: values(2, (2, 3, 5)),
        lambda: [values(1, (1, 4, 3)), values(2, (3, 2, 5))],
        prepare_trace=lambda: exported.prepare_trace(fused),
        reference=reference,
    )


def features_of_one(source: Path) -> int:
    """Features that the image encoder makes of one picture: one of its patches each, and one of the whole."""
    config = read_json(source / "image_encoder/config.json")
    return (config["image_size"] // config["patch_size"]) ** 2 + 1


def reads_pictures(source: Path, name: str) -> bool:
    """Whether the transformer of folder `name` takes an image encoder's features; those of WAN 2.2 do not."""
    return read_json(source / name / "config.json").get("image_dim") is not None
