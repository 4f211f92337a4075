"""Weights that copy from the first step on.

To go on with a text that is being repeated takes two layers: one marks each token with the two before it, the next one
looks for the place whose marks are the newest tokens, and says what stands there. Random weights found this out after
a thousand steps or not at all in the time there was. Here both are put into the weights of some heads, with noise
enough in them that training has all to do; it goes on from there.
"""

import torch

FIRST_GROUP, COPY_GROUPS = 2, (1, 2)
# Rotary frequencies from this one on turn so little within a short text that what is compared stays comparable.
SLOW = 5
PEAK, MATCH, STRENGTH = 12.0, 2.5, 16.0


def codes(vectors: torch.Tensor, size: int, random: torch.Generator) -> torch.Tensor:
    """A linear map `[width, size]` after which the vectors are as unlike each other as noise, with variance 1."""
    _, strengths, axes = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    mixing = torch.linalg.qr(torch.randn(len(strengths), size, generator=random))[0]
    return axes.T @ (mixing / strengths[:, None]) * len(vectors) ** 0.5


def fitted(inputs: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and biases that come nearest to `wanted` `[places, size]`."""
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
    gram = inputs.T @ inputs + 1e-3 * len(inputs) * torch.eye(inputs.shape[1])
    solution = torch.linalg.solve(gram, inputs.T @ wanted)
    return solution[:-1].T, solution[-1]


def set_rows(layer, rows: slice, weights: torch.Tensor | float, biases: torch.Tensor | float) -> None:
    layer.weight[rows] = weights
    layer.bias[rows] = biases


def heads_of(config, group: int) -> range:
    count = config.num_attention_heads // config.num_key_value_heads
    return range(group * count, (group + 1) * count)


def place(head: int, size: int) -> slice:
    return slice(head * size, (head + 1) * size)


def inputs_of(model, ids: torch.Tensor, layer: int) -> torch.Tensor:
    """What a layer's attention reads `[rows, places, width]`."""
    hidden = model.model(input_ids=ids, output_hidden_states=True).hidden_states[layer]
    return model.model.layers[layer].input_layernorm(hidden)


def mark_with_earlier(model, ids: torch.Tensor, code: torch.Tensor, size: int, random: torch.Generator) -> None:
    """The first layer's heads of one group look one and two tokens back, and write what they see where little is."""
    attention = model.model.layers[0].self_attn
    theta = model.config.rope_parameters["rope_theta"]
    frequencies = theta ** (-torch.arange(size // 2) / (size // 2))
    amplitude = torch.where(torch.arange(size // 2) < 6, PEAK, 0.0)
    constant = torch.cat([amplitude, torch.zeros(size // 2)])
    set_rows(attention.k_proj, place(FIRST_GROUP, size), 0.0, constant)
    set_rows(attention.v_proj, place(FIRST_GROUP, size), code.T, 0.0)
    hidden = model.model(input_ids=ids, output_hidden_states=True).hidden_states[1].flatten(0, 1)
    axes = torch.linalg.eigh(torch.cov(hidden.T))[1]
    for back, head in enumerate(heads_of(model.config, FIRST_GROUP), 1):
        # A turn by the angle of so many places: the scalar product is largest there.
        angle = -frequencies * back
        turned = torch.cat([amplitude * torch.cos(angle), amplitude * torch.sin(angle)])
        set_rows(attention.q_proj, place(head, size), 0.0, turned)
        quiet = axes[:, (back - 1) * size : back * size]
        attention.o_proj.weight[:, place(head, size)] = quiet * hidden.std()


def copy_what_followed(model, ids: torch.Tensor, code: torch.Tensor, size: int, random: torch.Generator) -> None:
    """The second layer's heads of two groups look for the place after the two newest tokens, and say its token."""
    attention = model.model.layers[1].self_attn
    inputs = inputs_of(model, ids, 1)[:, 2:].flatten(0, 1)
    first = model.model.layers[0].input_layernorm(model.model.embed_tokens(ids)) @ code
    now, last, before_last = (first[:, 2 - back : ids.shape[1] - back].flatten(0, 1) for back in range(3))
    slow = [index for index in range(size) if index % (size // 2) >= SLOW]
    one, two = (torch.linalg.qr(torch.randn(size, len(slow), generator=random))[0] for _ in range(2))
    scale = (MATCH * (size / len(slow))) ** 0.5
    queries, keys = torch.zeros(2, len(inputs), size)
    queries[:, slow], keys[:, slow] = now @ one + last @ two, last @ one + before_last @ two
    embeddings = model.model.embed_tokens(ids)[:, 2:].flatten(0, 1)
    axes = torch.linalg.qr(torch.randn(embeddings.shape[1], size * len(COPY_GROUPS), generator=random))[0]
    for part, group in enumerate(COPY_GROUPS):
        own = axes[:, place(part, size)]
        set_rows(attention.k_proj, place(group, size), *fitted(inputs, keys * scale))
        set_rows(attention.v_proj, place(group, size), *fitted(inputs, embeddings @ own))
        for head in heads_of(model.config, group):
            set_rows(attention.q_proj, place(head, size), *fitted(inputs, queries * scale))
            attention.o_proj.weight[:, place(head, size)] = own * STRENGTH


@torch.no_grad()
def begin_copying(model, ids: torch.Tensor, seed: int = 0) -> None:
    """Changes some heads of the first two layers; `ids` `[rows, places]`: any texts."""
    random = torch.Generator().manual_seed(seed)
    size = model.config.hidden_size // model.config.num_attention_heads
    tokens = model.model.layers[0].input_layernorm(model.model.embed_tokens.weight)
    code = codes(tokens, size, random)
    mark_with_earlier(model, ids, code, size, random)
    copy_what_followed(model, ids, code, size, random)
