"""The UNet of an SDXL folder: its inputs, and those that a ControlNet and an IP-Adapter need beside them."""

from pathlib import Path

import torch

from .attention import simplify
from .component import Component, Tensors
from .conditions import Conditions
from .sdxl_conditions import (
    RESIDUAL,
    load_adapter,
    read_projection_dim,
    residual_axes,
    residual_shapes,
    sizes_of,
)
from .source_folder import weights_variant


class UNet(torch.nn.Module):
    """sample `[batch, channels, height, width]`, scalar timestep and conditions -> out_sample, the shape of sample.

    It is called with one value for each of `names`, in their order.
    """

    def __init__(self, model: torch.nn.Module, names: list[str]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        values = dict(zip(self.names, inputs, strict=True))
        conditions = {"text_embeds": values["text_embeds"], "time_ids": values["time_ids"]}
        if "image_embeds" in values:
            conditions["image_embeds"] = [values["image_embeds"]]
            self._scale_adapter(values["ip_adapter_scale"])
        residuals = [values[name] for name in self.names if name.startswith(RESIDUAL)]
        return self.model(
            values["sample"],
            values["timestep"],
            values["encoder_hidden_states"],
            timestep_cond=values.get("timestep_cond"),
            added_cond_kwargs=conditions,
            down_block_additional_residuals=residuals or None,
            mid_block_additional_residual=values.get("mid_block_additional_residual"),
            return_dict=False,
        )[0]

    def _scale_adapter(self, scale: torch.Tensor) -> None:
        for processor in self.model.attn_processors.values():
            if hasattr(processor, "to_k_ip"):
                processor.scale = [scale]


def load_unet(
    source: Path, dtype: torch.dtype, fused_attention: bool, time_ids: int = 6, conditions: Conditions | None = None
) -> Component:
    """The UNet of a diffusers folder, which is shown `time_ids` numbers beside the text."""
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel.from_pretrained(
        source / "unet", torch_dtype=dtype, variant=weights_variant(source / "unet")
    ).eval()
    return unet_component(model, dtype, fused_attention, conditions or Conditions(), time_ids)


def unet_component(
    model, dtype: torch.dtype, fused_attention: bool, conditions: Conditions, time_ids: int = 6
) -> Component:
    """`model` with the inputs that `conditions` need; it is changed."""
    image_shape = load_adapter(model, conditions, dtype)
    config = model.config
    text_dim = read_projection_dim(config, time_ids)
    area = {0: "batch_size", 2: "height", 3: "width"}
    inputs = {
        "sample": area,
        "timestep": {},
        "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
        "text_embeds": {0: "batch_size"},
        "time_ids": {0: "batch_size"},
    }
    if config.time_cond_proj_dim is not None:
        inputs["timestep_cond"] = {0: "batch_size"}
    if conditions.controlnets:
        inputs |= residual_axes(config)
    if image_shape is not None:
        inputs |= {"image_embeds": {0: "batch_size", 1: "images"}, "ip_adapter_scale": {}}

    def values(batch: int, height: int, width: int, length: int = 77, neutral: bool = False) -> Tensors:
        tensors = [
            torch.randn(batch, config.in_channels, height, width).to(dtype),
            # Scalar and float32 in every precision: schedulers make fractional timesteps that float16 would round.
            torch.tensor(437.25, dtype=torch.float32),
            torch.randn(batch, length, config.cross_attention_dim).to(dtype),
            torch.randn(batch, text_dim).to(dtype),
            sizes_of(batch, height, width, dtype, time_ids),
        ]
        if config.time_cond_proj_dim is not None:
            tensors.append(torch.randn(batch, config.time_cond_proj_dim).to(dtype))
        if conditions.controlnets:
            # Zeros of one pixel are how a run without a ControlNet leaves it out.
            shapes = residual_shapes(config, batch, height, width)
            tensors += [
                torch.zeros(1, shape[1], 1, 1, dtype=dtype) if neutral else torch.randn(*shape).to(dtype)
                for shape in shapes
            ]
        if image_shape is not None:
            tensors += [torch.randn(batch, 1, *image_shape).to(dtype), torch.tensor(0.6, dtype=dtype)]
        return tuple(tensors)

    return Component(
        "unet",
        UNet(model, list(inputs)),
        dtype,
        inputs,
        {"out_sample": area},
        # Height and width that the UNet's total stride does not divide: diffusers then passes explicit sizes to its
        # upsamplers, and the traced graph does so for every size. Traced at 16 x 16 it would fail at 18 x 13.
        lambda: values(2, 18, 13),
        lambda: [values(1, 16, 16), values(2, 12, 20, neutral=True), values(2, 17, 9, length=154)],
        lambda: simplify(model, fused_attention),
    )
