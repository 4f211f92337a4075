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
# The same for the block that marks ends, and how large its marks are beside what the patches say.
SHARP_FOCUS, FLAG = 2.4, 2.0
# Directions that it compares: looking back and ahead in time, height, width. With the marks they fill what is free.
MEASURES = (15, 15, 7, 7, 7, 7)


def _angles(head_width: int) -> list[tuple[int, int]]:
    """Per axis (time, height, width): where its fastest rotation's pair of values is, and how many pairs there are."""
    across = 2 * (head_width // 6)
    along = head_width - 2 * across
    return [(0, along // 2), (along, across // 2), (along + across, across // 2)]


@torch.no_grad()
def look_at_neighbours(blocks, focus: float = FOCUS) -> None:
    """Sets queries' and keys' biases: head 2a looks one step back along axis a, head 2a + 1 one step ahead."""
    for block in blocks:
        attention = block.attn1
        width = attention.inner_dim // attention.heads
        axes = _angles(width)
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
            norm.weight.fill_(focus)


@torch.no_grad()
def mark_ends(transformer: WanTransformer3DModel) -> None:
    """Makes the first block say which patches are the first and last ones in time, height and width.

    In pure noise all places are alike. But a head that looks one step back, and finds nothing there, looks at its own
    place; what it brings is then like what is there already. The block writes what its heads bring into
    directions that the patches leave free, and its feed-forward layer measures how far the two are apart.
    """
    block, embedder = transformer.blocks[0], transformer.condition_embedder
    look_at_neighbours([block], SHARP_FOCUS)
    for linear in (block.attn1.to_q, block.attn1.to_k):
        nn.init.zeros_(linear.weight)
    # Shift and scale 0 and gates 1, as long as there is little but noise.
    time = embedder.time_embedder(embedder.timesteps_proj(torch.tensor([1000.0])))
    wanted = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 1.0]).view(1, 6, 1)
    block.scale_shift_table.copy_(wanted - embedder.time_proj(nn.functional.silu(time)).unflatten(1, (6, -1)))
    patches = transformer.patch_embedding.weight.flatten(1)
    directions = torch.linalg.svd(patches).U
    used, free = directions[:, : patches.shape[1]].T, directions[:, patches.shape[1] :].T
    scale = float(patches.square().sum() / len(patches)) ** 0.5
    head_width = block.attn1.inner_dim // block.attn1.heads
    hidden, out = block.ffn.net[0].proj, block.ffn.net[2]
    for linear in (block.attn1.to_v, block.attn1.to_out[0], block.attn2.to_out[0], hidden, out):
        nn.init.zeros_(linear.bias)
    for linear in (block.attn1.to_out[0], block.attn2.to_out[0], out):
        nn.init.zeros_(linear.weight)
    for head, count in enumerate(MEASURES):
        flag = free[-1 - head]
        for number in range(count):
            # Middling ones: the strongest and the weakest directions of the patches are less like noise.
            seen, kept = used[40 + sum(MEASURES[:head]) + number], free[sum(MEASURES[:head]) + number]
            row = head * head_width + number
            block.attn1.to_v.weight[row] = seen
            block.attn1.to_out[0].weight[:, row] = kept * scale / 2
            for sign, place in ((1, 2 * row), (-1, 2 * row + 1)):
                hidden.weight[place] = 2.0 * sign * (2 * kept - seen)
                out.weight[:, place] = flag * scale * FLAG / count
        out.bias.sub_(flag * scale * FLAG * 1.3)


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
