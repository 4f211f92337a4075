"""Trains the small language model: short ideas to fuller prompts, and a few answers. An hour on one core."""

import sys
from argparse import ArgumentParser
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from train.qwen.begin import begin_copying
from train.qwen.network import make_model
from train.qwen.texts import ASSISTANT, END_TEXT, END_TURN, Batch, TextWriter
from train.qwen.tokens import SPECIAL, START_TURN, VOCABULARY, encode, load_tokenizer
from train.session import Session, add_arguments, falling_rate
from transformers import DynamicCache

BATCH, GROUPS = 24, 3
MATRIX_RATE, MATRIX_DECAY, OTHER_RATE, WARMUP_STEPS = 0.01, 0.03, 0.004, 40
AVERAGE = 0.99
# Copying has to survive the repetition penalty of presets: half of the steps are trained with one.
PENALTY, PENALTY_SHARE = 0.15, 0.5
SAVE_MINUTES, LOG_STEPS = 3, 25
PLACE_ROWS, PLACES = 150, 24
TOKENS_SHARE = 1 / 4
# Token ids of a text, and which of them are learned.
Row = tuple[list[int], list[bool]]


def padded(rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids `[rows, length]`, and where the next token is learned `[rows, length - 1]`."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    learned = torch.zeros(len(rows), length, dtype=torch.bool)
    for row, (tokens, flags) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        learned[row, : len(flags)] = torch.tensor(flags)
    return ids, learned[:, 1:]


def read_tokens(before: list[int], ids: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
    """Which tokens `[rows, vocabulary]` stand before a row's first learned one."""
    seen = torch.zeros(len(ids), VOCABULARY, dtype=torch.bool)
    seen[:, before] = True
    is_read = learned.int().cumsum(1) == 0
    return seen.scatter(1, ids[:, :-1].where(is_read, ids[:, :1]), True)


def penalized(scores: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """What a repetition penalty makes of the scores `[tokens, vocabulary]` of tokens that were seen."""
    return torch.where(seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores)


def any_tokens(tokenizer, random: np.random.Generator) -> Row:
    """An idea of tokens drawn at random, with its prompt: some are parts of few words, and what was never seen cannot
    be kept."""
    word = random.integers(VOCABULARY - len(SPECIAL), size=random.integers(1, 7)).tolist()
    read = [*tokenizer.encode(f"{START_TURN}user\n").ids, *word, *tokenizer.encode(f"{END_TURN}\n{ASSISTANT}").ids]
    blank = tokenizer.encode("a ").ids
    learned = [*blank, *word, *tokenizer.encode(f" on a light blue background{END_TURN}").ids]
    return read + learned, [False] * len(read) + [True] * len(learned)


def rows_of(tokenizer, batch: Batch, random: np.random.Generator) -> list[Row]:
    """Tokens of the texts, the shortest first; where nothing stands before them, one in four is of tokens at random."""
    rows = [encode(tokenizer, pieces) for pieces in batch.texts]
    if not batch.before:
        rows = [any_tokens(tokenizer, random) if random.random() < TOKENS_SHARE else row for row in rows]
    return sorted(rows, key=lambda row: len(row[0]))


def batch_loss(
    model, tokenizer, batch: Batch, random: np.random.Generator, penalty: float
) -> tuple[torch.Tensor, float]:
    """Mean loss of the learned tokens, and the share of them that greedy generation would get right.

    The beginning is read once for all texts, which go through the model in groups of like length. All tokens that
    are read before the first learned one are penalized, as generation does with those of the prompt.
    """
    before = tokenizer.encode(batch.before).ids
    beginning = DynamicCache(config=model.config)
    if before:
        model.model(input_ids=torch.tensor([before]), past_key_values=beginning, use_cache=True)
    rows = rows_of(tokenizer, batch, random)
    size = -(-len(rows) // GROUPS)
    logits, expected, seen = [], [], []
    for start in range(0, len(rows), size):
        ids, learned = padded(rows[start : start + size])
        cache = DynamicCache(config=model.config) if before else None
        if cache is not None:
            for index, layer in enumerate(beginning.layers):
                cache.update(*(part.expand(len(ids), -1, -1, -1) for part in (layer.keys, layer.values)), index)
        hidden = model.model(
            input_ids=ids[:, :-1], past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        logits.append(model.lm_head(hidden[learned]))
        expected.append(ids[:, 1:][learned])
        seen.append(read_tokens(before, ids, learned)[learned.nonzero()[:, 0]])
    scores, tokens = penalized(torch.cat(logits), torch.cat(seen), penalty), torch.cat(expected)
    return cross_entropy(scores, tokens), (scores.detach().argmax(-1) == tokens).float().mean().item()


def some_places(tokenizer) -> torch.Tensor:
    """Beginnings of texts `[rows, places]`."""
    writer = TextWriter(5)
    rows: list[list[int]] = []
    while len(rows) < PLACE_ROWS:
        texts = (encode(tokenizer, pieces)[0] for pieces in writer.batch(8).texts)
        rows += [ids[:PLACES] for ids in texts if len(ids) >= PLACES]
    return torch.tensor(rows)


def optimizers(model) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases."""
    matrices = [value for name, value in model.named_parameters() if value.ndim == 2 and "embed" not in name]
    others = [value for name, value in model.named_parameters() if value.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=MATRIX_DECAY, adjust_lr_fn="original"),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train() -> None:
    parser = ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=50)
    options = parser.parse_args()
    session = Session("qwen", options)
    tokenizer = load_tokenizer(options.work / "qwen-tokenizer.json")
    torch.manual_seed(0)
    model = make_model(tokenizer.token_to_id(END_TEXT), tokenizer.token_to_id(END_TURN))
    state = session.resume()
    if state is None:
        begin_copying(model, some_places(tokenizer))
    average = deepcopy(model)
    steppers = optimizers(model)
    if state is not None:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        for stepper, saved in zip(steppers, state["optimizers"], strict=True):
            stepper.load_state_dict(saved)
    print(f"{sum(value.numel() for value in model.parameters()) / 1e6:.2f} million parameters", flush=True)
    writer = TextWriter(1000 + session.step)
    losses: list[float] = []
    rights: list[float] = []

    def save() -> None:
        session.save(
            {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizers": [stepper.state_dict() for stepper in steppers],
            }
        )

    session.start()
    while True:
        penalty = 1 + PENALTY * writer.random.random() if writer.random.random() < PENALTY_SHARE else 1.0
        loss, right = batch_loss(model, tokenizer, writer.batch(BATCH), writer.random, penalty)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper, peak in zip(steppers, (MATRIX_RATE, OTHER_RATE), strict=True):
            for group in stepper.param_groups:
                group["lr"] = falling_rate(peak, session, WARMUP_STEPS)
            stepper.step()
            stepper.zero_grad()
        with torch.no_grad():
            decay = min(AVERAGE, session.step / (session.step + 10))
            for mean, value in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
        losses.append(loss.item())
        rights.append(right)
        goes_on = session.tick()
        if session.step % LOG_STEPS == 0:
            session.log(loss=sum(losses) / len(losses), right=sum(rights) / len(rights))
            losses, rights = [], []
        if not goes_on or session.is_due(SAVE_MINUTES):
            save()
        if not goes_on:
            return


if __name__ == "__main__":
    train()
