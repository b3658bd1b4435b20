"""The classic S-curve run in PyTorch eager: training steps/s and sampling seconds, as JSON on the last line.

    python benches/s_curve_pytorch.py [--steps 2000] [--repeats 5] [--threads 1 2]

The network, the loop and the sampler are the idiomatic ones: `nn.Linear`, `nn.Embedding`, `optim.Adam`,
`clip_grad_norm_`, t drawn antithetically, no synchronisation but the loss that a loop wants to show.
"""

import argparse
import json
import os
import platform
import time

import torch
from torch import nn

T, BATCH, POINTS = 100, 128, 10_000


class MLPDiffusion(nn.Module):
    def __init__(self, n_steps, num_units=128):
        super().__init__()
        self.linears = nn.ModuleList([
            nn.Linear(2, num_units), nn.ReLU(),
            nn.Linear(num_units, num_units), nn.ReLU(),
            nn.Linear(num_units, num_units), nn.ReLU(),
            nn.Linear(num_units, 2),
        ])
        self.step_embeddings = nn.ModuleList([nn.Embedding(n_steps, num_units) for _ in range(3)])

    def forward(self, x, t):
        for i, embedding in enumerate(self.step_embeddings):
            x = self.linears[2 * i](x) + embedding(t)
            x = self.linears[2 * i + 1](x)
        return self.linears[-1](x)


def s_curve(n):
    u = 3 * torch.pi * (torch.rand(n) - 0.5)
    points = torch.stack([torch.sin(u), torch.sign(u) * (torch.cos(u) - 1)], dim=1)
    return (points + 0.1 * torch.randn_like(points)) / 10


class Run:
    def __init__(self):
        torch.manual_seed(0)
        self.betas = torch.sigmoid(torch.linspace(-6, 6, T)) * (5e-3 - 1e-5) + 1e-5
        self.alphas = 1 - self.betas
        self.alpha_bar = torch.cumprod(self.alphas, 0)
        self.sqrt_alpha_bar = self.alpha_bar.sqrt()
        self.sqrt_one_minus_alpha_bar = (1 - self.alpha_bar).sqrt()
        self.data = s_curve(POINTS)
        self.model = MLPDiffusion(T)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def step(self, x0):
        half = torch.randint(0, T, (x0.shape[0] // 2,))
        t = torch.cat([half, T - 1 - half])
        eps = torch.randn_like(x0)
        xt = x0 * self.sqrt_alpha_bar[t].unsqueeze(1) + eps * self.sqrt_one_minus_alpha_bar[t].unsqueeze(1)
        loss = (self.model(xt, t) - eps).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss

    def train(self, steps):
        """Goes over the shuffled data in batches, the last short one left out, for as many epochs as it takes."""
        done = 0
        while done < steps:
            order = torch.randperm(POINTS)
            for first in range(0, POINTS - BATCH + 1, BATCH):
                self.step(self.data[order[first:first + BATCH]])
                done += 1
                if done == steps:
                    break

    @torch.no_grad()
    def sample(self, n):
        x = torch.randn(n, 2)
        for i in reversed(range(T)):
            eps = self.model(x, torch.full((n,), i))
            mean = (x - self.betas[i] / self.sqrt_one_minus_alpha_bar[i] * eps) / self.alphas[i].sqrt()
            x = mean + self.betas[i].sqrt() * torch.randn_like(x) if i > 0 else mean
        return x


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="training steps a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= (os.cpu_count() or 1)]
    parser.add_argument("--threads", type=int, nargs="+", default=counts, help="each is tried")
    args = parser.parse_args()

    results = {}
    for threads in args.threads:
        torch.set_num_threads(threads)
        run = Run()
        assert sum(p.numel() for p in run.model.parameters()) == 72_066
        run.train(200)
        run.sample(1000)
        rates = [args.steps / seconds(lambda: run.train(args.steps)) for _ in range(args.repeats)]
        times = [seconds(lambda: run.sample(10_000)) for _ in range(args.repeats)]
        results[threads] = {"train_steps_per_s": rates, "sample_s": times}
        print(f"{threads} threads: {max(rates):.0f} steps/s, sampling 10,000 x {T} in {min(times):.3f} s", flush=True)
    print(json.dumps({
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": results,
        "best_train_steps_per_s": max(max(r["train_steps_per_s"]) for r in results.values()),
        "best_sample_s": min(min(r["sample_s"]) for r in results.values()),
    }))


if __name__ == "__main__":
    main()
