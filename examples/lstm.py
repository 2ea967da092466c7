"""What an LSTM remembers and a plain recurrent network forgets: the adding problem.

A sequence holds random numbers, two of them marked; the answer, asked for at the end, is the
sum of these two (Hochreiter and Schmidhuber, 1997). Who always answers 1 has the squared
error 1/6. To do better, a network must carry a number over many steps.
"""

import adjoint as ad
from adjoint import nn, optim
from adjoint.nn import functional as F
from adjoint_cli.scripts import script


class Adder(nn.Module):
    """A recurrent network that answers from its last state."""

    def __init__(self, kind, size):
        super().__init__()
        self.net = kind(2, size, batch_first=True)
        self.out = nn.Linear(size, 1)

    def forward(self, x):
        y, _ = self.net(x)
        return self.out(y[:, -1]).squeeze(-1)


def problems(count, length):
    """(count, length, 2): numbers and marks, one mark in each half; and the sums."""
    numbers, marks = ad.rand(count, length), ad.zeros(count, length)
    half, rows = length // 2, ad.arange(count)
    for start, stop in ((0, half), (half, length)):
        marks[rows, ad.randint(start, stop, (count,))] = 1.0
    return ad.stack([numbers, marks], dim=2), (numbers * marks).sum(1)


def remembering(lstm):
    """Start with open forget gates, so that what comes in stays."""
    for name, bias in lstm.named_parameters():
        if name.startswith("bias_ih"):
            with ad.no_grad():
                bias[lstm.hidden_size : 2 * lstm.hidden_size] = 1.0


def train(model, length, steps, rate):
    """Adam on ever new problems; the mean error of the last tenth of the steps."""
    opt, errors = optim.Adam(model.parameters(), lr=rate), []
    for step in range(steps):
        x, t = problems(64, length)
        loss = F.mse_loss(model(x), t)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        errors.append(loss.item())
        if (step + 1) % max(1, steps // 5) == 0:
            recent = errors[-steps // 10 :]
            print(f"    step {step + 1:5}   error {sum(recent) / len(recent):.4f}")
    recent = errors[-steps // 10 :]
    return sum(recent) / len(recent)


def main(length=40, size=32, steps=1000, seed=0):
    """Train the three kinds of network on the same task, and show who learned it."""
    print(
        f"add two marked numbers of {length}; always answering 1: error {1 / 6:.4f}\n"
    )
    errors = {}
    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        ad.manual_seed(seed)
        model = Adder(kind, size)
        if kind is nn.LSTM:
            remembering(model.net)
        print(f"  {kind.__name__}")
        errors[kind.__name__] = train(model, length, steps, 1e-2)
    print("\n  network   error")
    for name, error in errors.items():
        print(f"  {name:7}   {error:.4f}")
    return errors


if __name__ == "__main__":
    script(
        main,
        size="hidden units of each network",
        steps="batches of 64 new problems",
        seed="of the first weights and the problems",
    )
