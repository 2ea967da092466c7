"""A small GPT learns to write like six of Shakespeare's sonnets, letter by letter.

The text (1609, in the public domain) is in `data/sonnets.txt`. A decoder-only transformer
reads up to `context` letters and says how likely each letter is to come next. It is measured
against two counts that need no network: the entropy of single letters, and of letters given
the one before.
"""

import math
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import adjoint as ad
from adjoint import nn, optim
from adjoint.nn import functional as F
from adjoint_cli.scripts import script

TEXT = (Path(__file__).parent / "data" / "sonnets.txt").read_text(encoding="utf-8")
LETTERS = sorted(set(TEXT))


class GPT(nn.Module):
    """Letters and places become vectors, causal layers mix them, a linear map scores."""

    def __init__(self, size, heads, layers, context):
        super().__init__()
        self.context = context
        self.letters = nn.Embedding(len(LETTERS), size)
        self.places = nn.Embedding(context, size)
        layer = nn.TransformerEncoderLayer(
            size, heads, 4 * size, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(size))
        self.scores = nn.Linear(size, len(LETTERS), bias=False)
        self.apply(start)

    def forward(self, x):
        length = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        h = self.letters(x) + self.places(ad.arange(length))
        return self.scores(self.layers(h, mask=mask, is_causal=True))

    @ad.no_grad()
    def write(self, prompt, count, temperature=0.8):
        """`prompt` continued by `count` letters drawn from what the network says."""
        text = [LETTERS.index(c) for c in prompt]
        for _ in range(count):
            scores = self(ad.tensor([text[-self.context :]]))[0, -1]
            chances = F.softmax(scores / temperature, dim=-1)
            text.append(ad.multinomial(chances, 1).item())
        return "".join(LETTERS[i] for i in text)


def start(module):
    """Small normal weights, as GPT-2 has them."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)


def entropies():
    """Nats per letter: of letters alone, and of letters given the one before."""
    one, two = Counter(TEXT), Counter(pairwise(TEXT))
    n = len(TEXT)
    alone = -sum(k / n * math.log(k / n) for k in one.values())
    given = -sum(k / n * math.log(k / one[a]) for (a, _), k in two.items())
    return alone, given


def batches(context, size):
    """Endless (letters, letters one further on) from random places of the text."""
    text = ad.tensor([LETTERS.index(c) for c in TEXT])
    steps = ad.arange(context + 1)
    while True:
        at = ad.randint(0, len(TEXT) - context, (size, 1)) + steps
        rows = text[at]
        yield rows[:, :-1], rows[:, 1:]


def train(model, steps, batch, rate):
    """AdamW with a warm-up and a cosine; the loss of every step."""
    opt = optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.1)
    data, losses, began = batches(model.context, batch), [], time.perf_counter()
    for step in range(steps):
        wave = 0.55 + 0.45 * math.cos(math.pi * step / steps)
        opt.param_groups[0]["lr"] = rate * min(1, (step + 1) / 20) * wave
        x, t = next(data)
        loss = F.cross_entropy(model(x).flatten(0, 1), t.flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        losses.append(loss.item())
        if step % max(1, steps // 10) == 0 or step == steps - 1:
            seconds = time.perf_counter() - began
            print(f"  step {step:5}   loss {losses[-1]:.3f}   {seconds:6.1f} s")
    return losses


def main(
    size=64, layers=2, context=64, steps=600, batch=32, rate=5e-3, letters=400, seed=0
):
    """Train, compare with counting, and write a few lines."""
    ad.manual_seed(seed)
    model = GPT(size, 4, layers, context)
    count = sum(p.numel() for p in model.parameters())
    alone, given = entropies()
    print(f"{len(TEXT)} letters of {len(LETTERS)} kinds; a GPT of {count} numbers\n")
    losses = train(model, steps, batch, rate)
    last = sum(losses[-20:]) / len(losses[-20:])
    print("\n  nats per letter")
    print(f"    every letter as likely     {math.log(len(LETTERS)):.3f}")
    print(f"    letters counted            {alone:.3f}")
    print(f"    pairs of letters counted   {given:.3f}")
    print(f"    the network                {last:.3f}")
    model.eval()
    text = model.write("Shall I ", letters)
    print("\n" + text)
    return {
        "first": losses[0],
        "last": last,
        "alone": alone,
        "given": given,
        "text": text,
    }


if __name__ == "__main__":
    script(
        main,
        layers="of attention, one after the other",
        context="letters that it sees at most",
        steps="batches that it learns from",
        rate="of learning, the highest",
        letters="that it writes in the end",
        seed="of weights, batches and what is written",
    )
