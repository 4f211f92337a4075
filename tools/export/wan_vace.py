"""The transformer of a VACE model as an ONNX component: WAN's own, with a second stack that reads a control video."""

from pathlib import Path

import torch

from .component import Component, Tensors
from .source_folder import weights_variant
from .wan_transformer import Transformer, random_inputs


class VaceTransformer(Transformer):
    """The inputs of `Transformer`, and between text and tables control_hidden_states `[batch, vace_in_channels, control
    frames, height, width]` and control_hidden_states_scale `[VACE layers]`.

    A control of fewer frames than the latents is continued by tokens of zero, as diffusers does it.
    """

    def forward(self, hidden_states, timestep, encoder_hidden_states, control, scale, rotary_cos, rotary_sin):
        self.set_tables(rotary_cos, rotary_sin)
        return self.model(
            hidden_states,
            timestep,
            encoder_hidden_states,
            control_hidden_states=control,
            control_hidden_states_scale=scale,
            return_dict=False,
        )[0]


def vace_transformer(source: Path, name: str, dtype: torch.dtype, fused: bool) -> Component:
    """The component of folder `name`: `transformer` or `transformer_2`."""
    from diffusers import WanVACETransformer3DModel

    folder = source / name
    model = WanVACETransformer3DModel.from_pretrained(folder, torch_dtype=dtype, variant=weights_variant(folder)).eval()
    config, exported = model.config, VaceTransformer(model)
    area = {0: "batch", 2: "frames", 3: "height", 4: "width"}
    inputs = {
        "hidden_states": area,
        "timestep": {0: "batch"},
        "encoder_hidden_states": {0: "batch", 1: "sequence"},
        "control_hidden_states": area | {2: "control_frames"},
        "control_hidden_states_scale": {},
        "rotary_cos": {1: "tokens"},
        "rotary_sin": {1: "tokens"},
    }

    def values(batch: int, patches: tuple[int, int, int], length: int, control_patches: int) -> Tensors:
        hidden, timestep, text, *tables = random_inputs(exported, dtype, batch, patches, length)
        frames = control_patches * config.patch_size[0]
        control = torch.randn(batch, config.vace_in_channels, frames, *hidden.shape[3:]).to(dtype)
        scale = torch.linspace(0.25, 1.5, len(config.vace_layers)).to(dtype)
        return hidden, timestep, text, control, scale, *tables

    def reference(hidden, timestep, text, control, scale, *_) -> torch.Tensor:
        return model(
            hidden,
            timestep,
            text,
            control_hidden_states=control,
            control_hidden_states_scale=scale,
            return_dict=False,
        )[0]

    return Component(
        name,
        exported,
        dtype,
        inputs,
        {"out_sample": area},
        lambda: values(2, (3, 2, 5), 11, 2),
        lambda: [values(1, (1, 4, 3), 512, 1), values(2, (3, 2, 5), 24, 3), values(1, (4, 3, 2), 24, 1)],
        prepare_trace=lambda: exported.prepare_trace(fused),
        reference=reference,
    )
