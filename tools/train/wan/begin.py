"""How the transformer begins: with heads that look at neighbours, and with captions that outweigh the padding.

WAN's transformer has no positions but the rotations of its attention, and its captions are 512 places of which all but
a dozen are zeros. Both are hard for a small network to find its way out of in an hour; weights that begin like this are
weights like any others afterwards.
"""

import math

import torch
from diffusers import WanTransformer3DModel
from torch import nn

# How strongly a looking head prefers its neighbour, as a factor on normalised queries and keys.
FOCUS = 1.6
CONTENT_SHARE = 0.25


def _angles(head_width: int) -> list[tuple[int, int]]:
    """Per axis (time, height, width): where its fastest rotation's pair of values is, and how many pairs there are."""
    across = 2 * (head_width // 6)
    along = head_width - 2 * across
    return [(0, along // 2), (along, across // 2), (along + across, across // 2)]


@torch.no_grad()
def look_at_neighbours(transformer: WanTransformer3DModel, layers: int = 3) -> None:
    """Sets queries' and keys' biases: head 2a looks one step back along axis a, head 2a + 1 one step ahead."""
    width = transformer.config.attention_head_dim
    axes = _angles(width)
    for block in transformer.blocks[:layers]:
        attention = block.attn1
        query, key = torch.zeros_like(attention.to_q.bias), torch.zeros_like(attention.to_k.bias)
        for head in range(attention.heads):
            step = (-1, 1)[head % 2]
            for axis, (first, _) in enumerate(axes):
                place = head * width + first
                turn = step if axis == head // 2 else 0
                # Rotated by their places q and k agree best where k is `turn` steps from q.
                query[place], query[place + 1] = math.cos(turn), math.sin(turn)
                key[place] = 1.0
        strength = math.sqrt(width / len(axes))
        attention.to_q.bias.copy_(query * strength)
        attention.to_k.bias.copy_(key * strength)
        for linear in (attention.to_q, attention.to_k):
            linear.weight.mul_(CONTENT_SHARE)
        for norm in (attention.norm_q, attention.norm_k):
            norm.weight.fill_(FOCUS)


@torch.no_grad()
def prefer_captions(transformer: WanTransformer3DModel) -> None:
    """Makes the padding's keys and values zero, and all captions' keys alike at first, so that queries find them."""
    embedder = transformer.condition_embedder.text_embedder
    for linear in (embedder.linear_1, embedder.linear_2):
        nn.init.zeros_(linear.bias)
    # GELU's outputs are positive on the whole: their mean says that there is a token.
    embedder.linear_2.weight[0] = 4.0 / embedder.linear_2.in_features
    for block in transformer.blocks:
        attention = block.attn2
        direction = torch.randn_like(attention.to_q.bias)
        attention.to_k.weight[:, 0] = direction * 8.0
        attention.to_q.bias.copy_(direction)
        for linear in (attention.to_k, attention.to_v):
            nn.init.zeros_(linear.bias)
        for norm in (attention.norm_q, attention.norm_k):
            norm.weight.fill_(FOCUS)
