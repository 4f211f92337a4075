"""What draws by more than a prompt: ControlNets, an IP-Adapter with its image encoder, and the inputs that they need.

Names of inputs and outputs are those of diffusers' arguments; of those that are lists there, with an index.
"""

from pathlib import Path

import torch

from .attention import simplify
from .component import Axes, Component, Tensors
from .conditions import Conditions
from .source_folder import ExportError, weights_variant

RESIDUAL = "down_block_additional_residual_"


def read_projection_dim(config, time_ids: int = 6) -> int:
    """Width of the pooled text embedding: what the class embedding's input has beside the embedded ids."""
    return config.projection_class_embeddings_input_dim - time_ids * config.addition_time_embed_dim


def sizes_of(batch: int, height: int, width: int, dtype: torch.dtype, time_ids: int = 6) -> torch.Tensor:
    """The size ids of pictures with latents of this size."""
    sizes = [height * 8, width * 8, 0, 0, height * 8, width * 8][:time_ids]
    return torch.tensor([sizes], dtype=dtype).repeat(batch, 1)


def residual_shapes(config, batch: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Of what a ControlNet adds to the UNet's connections from down to up, and to its middle."""
    channels = config.block_out_channels
    layers = config.layers_per_block
    layers = [layers] * len(channels) if isinstance(layers, int) else layers
    shapes = [(batch, channels[0], height, width)]
    for level, (count, depth) in enumerate(zip(layers, channels, strict=True)):
        shapes += [(batch, depth, height, width)] * count
        if level < len(channels) - 1:
            height, width = (height + 1) // 2, (width + 1) // 2
            shapes.append((batch, depth, height, width))
    return [*shapes, (batch, channels[-1], height, width)]


def residual_axes(config) -> Axes:
    count = len(residual_shapes(config, 1, 8, 8)) - 1
    names = [f"{RESIDUAL}{index}" for index in range(count)] + ["mid_block_additional_residual"]
    # Axes of their own: a residual of one pixel is added to all of them.
    return {name: {0: f"{name}_batch", 2: f"{name}_height", 3: f"{name}_width"} for name in names}


class ControlNet(torch.nn.Module):
    """The UNet's inputs, a picture in 0..1 and a scale for each residual -> the residuals, scaled."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(
        self, sample, timestep, encoder_hidden_states, controlnet_cond, conditioning_scale, text_embeds, time_ids
    ) -> Tensors:
        down, mid = self.model(
            sample,
            timestep,
            encoder_hidden_states,
            controlnet_cond,
            added_cond_kwargs={"text_embeds": text_embeds, "time_ids": time_ids},
            return_dict=False,
        )
        return tuple(residual * conditioning_scale[index] for index, residual in enumerate([*down, mid]))


def controlnet(source: Path, folder: str, dtype: torch.dtype, fused_attention: bool) -> Component:
    """The ControlNet of a diffusers folder."""
    from diffusers import ControlNetModel

    model = ControlNetModel.from_pretrained(source, torch_dtype=dtype, variant=weights_variant(source)).eval()
    config = model.config
    scale = 2 ** (len(config.conditioning_embedding_out_channels) - 1)
    area = {0: "batch_size", 2: "height", 3: "width"}
    shapes = residual_shapes(config, 1, 8, 8)
    names = [f"down_block_res_sample_{index}" for index in range(len(shapes) - 1)] + ["mid_block_res_sample"]

    def values(batch: int, height: int, width: int, length: int = 77) -> Tensors:
        return (
            torch.randn(batch, config.in_channels, height, width).to(dtype),
            torch.tensor(437.25, dtype=torch.float32),
            torch.randn(batch, length, config.cross_attention_dim).to(dtype),
            torch.rand(batch, config.conditioning_channels, height * scale, width * scale).to(dtype),
            torch.linspace(0.1, 1, len(shapes)).to(dtype),
            torch.randn(batch, read_projection_dim(config)).to(dtype),
            sizes_of(batch, height, width, dtype),
        )

    return Component(
        folder,
        ControlNet(model),
        dtype,
        {
            "sample": area,
            "timestep": {},
            "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
            "controlnet_cond": {0: "batch_size", 2: f"height * {scale}", 3: f"width * {scale}"},
            "conditioning_scale": {},
            "text_embeds": {0: "batch_size"},
            "time_ids": {0: "batch_size"},
        },
        {name: {0: "batch_size", 2: f"{name}_height", 3: f"{name}_width"} for name in names},
        lambda: values(2, 18, 13),
        lambda: [values(1, 16, 16), values(2, 17, 9, length=154)],
        lambda: simplify(model, fused_attention),
    )


class ImageEncoder(torch.nn.Module):
    """pixel_values `[batch, 3, size, size]` -> what an adapter reads: image_embeds `[batch, projection]`, or the hidden
    states of the layer before the last, `[batch, sequence, width]`."""

    def __init__(self, model: torch.nn.Module, reads_states: bool):
        super().__init__()
        self.model, self.reads_states = model, reads_states

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        result = self.model(pixel_values, output_hidden_states=self.reads_states)
        return result.hidden_states[-2] if self.reads_states else result.image_embeds


def image_encoder(conditions: Conditions, dtype: torch.dtype) -> Component:
    """The CLIP vision model that an IP-Adapter was trained with, with the output that the adapter reads."""
    from transformers import CLIPVisionModelWithProjection

    source, adapter = conditions.image_encoder, conditions.ip_adapter
    model = CLIPVisionModelWithProjection.from_pretrained(source, dtype=dtype, variant=weights_variant(source)).eval()
    config = model.config
    # The first kind of adapter projects one embedding; all later ones look at hidden states.
    reads_states = "proj.weight" not in read_adapter(adapter)["image_proj"]

    def pictures(batch: int) -> Tensors:
        return (torch.randn(batch, config.num_channels, config.image_size, config.image_size).to(dtype),)

    batched = {0: "batch_size"}
    return Component(
        "image_encoder",
        ImageEncoder(model, reads_states),
        dtype,
        {"pixel_values": batched},
        {f"hidden_states.{config.num_hidden_layers - 1}" if reads_states else "image_embeds": batched},
        lambda: pictures(2),
        lambda: [pictures(1), pictures(3)],
        lambda: model.set_attn_implementation("eager"),
    )


def load_adapter(unet, conditions: Conditions, dtype: torch.dtype) -> tuple[int, ...] | None:
    """Puts an IP-Adapter's weights into the UNet; returns the shape of one picture's `image_embeds`.

    That is `[width]`, or `[sequence, width]` for adapters that look at hidden states. Raises `ExportError`.
    """
    if conditions.ip_adapter is None:
        return None
    from diffusers.models.embeddings import ImageProjection

    state = read_adapter(conditions.ip_adapter)
    try:
        unet._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
    except (KeyError, RuntimeError) as error:
        raise ExportError(f"{conditions.ip_adapter} does not fit this UNet; SDXL has adapters of its own.") from error
    unet.to(dtype)
    config = read_encoder_config(conditions.image_encoder)
    projection = unet.encoder_hid_proj.image_projection_layers[0]
    if isinstance(projection, ImageProjection):
        expected, width = projection.image_embeds.in_features, config.projection_dim
        shape: tuple[int, ...] = (width,)
    else:
        first = next(module for module in projection.modules() if isinstance(module, torch.nn.Linear))
        expected, width = first.in_features, config.hidden_size
        shape = ((config.image_size // config.patch_size) ** 2 + 1, width)
    if expected != width:
        raise ExportError(
            f"{conditions.ip_adapter} takes image embeddings of width {expected}, and {conditions.image_encoder} makes"
            f" some of {width}: give the image encoder that the adapter was trained with."
        )
    return shape


def read_encoder_config(folder: Path):
    from transformers import CLIPVisionConfig

    return CLIPVisionConfig.from_pretrained(folder)


def read_adapter(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """`image_proj` and `ip_adapter` of an IP-Adapter's file; raises `ExportError`."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state: dict[str, dict[str, torch.Tensor]] = {}
        for key, value in load_file(path).items():
            part, _, name = key.partition(".")
            state.setdefault(part, {})[name] = value
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not {"image_proj", "ip_adapter"} <= state.keys():
        raise ExportError(f"{path} is no IP-Adapter: it has no image_proj and ip_adapter weights.")
    keys = state["image_proj"].keys()
    if any(key.startswith("perceiver_resampler") for key in keys) or {"norm.weight", "proj.2.weight"} <= keys:
        raise ExportError(f"{path} is a FaceID adapter, which takes the result of a face recognizer; use another one.")
    return state
