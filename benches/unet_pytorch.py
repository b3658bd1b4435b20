"""The residual U-Net in PyTorch eager: training and sampling images/s, as JSON on the last line.

    python benches/unet_pytorch.py [--precision bf16] [--contiguous] [--threads 2] [--steps 12]

The network and the loop are the idiomatic ones: `nn.Module`, `optim.Adam`, `zero_grad`, `torch.autocast` for bf16, and the
loss read after each step, as by a loop that shows it. Weights are those of a fresh network: speed does not depend on them.
"""

import argparse
import json
import math
import platform
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F

T, SIDE = 1000, 28


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm1 = nn.GroupNorm(8, outputs)
        self.time_mlp = nn.Sequential(nn.SiLU(), nn.Linear(128, outputs))
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, emb):
        h = self.norm1(self.conv1(x))
        h = F.silu(h + self.time_mlp(emb)[:, :, None, None])
        h = self.norm2(self.conv2(h))
        return F.silu(h + self.shortcut(x))


class ResidualUnet(nn.Module):
    def __init__(self, channels, widths):
        super().__init__()
        steps = list(zip(widths, widths[1:]))
        self.init_conv = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList([ResidualBlock(fine, fine) for fine, _ in steps])
        self.down_pools = nn.ModuleList([nn.Conv2d(fine, coarse, 3, 2, 1) for fine, coarse in steps])
        self.bottleneck = ResidualBlock(widths[-1], widths[-1])
        self.up_convs = nn.ModuleList([nn.ConvTranspose2d(coarse, fine, 2, 2) for fine, coarse in reversed(steps)])
        self.up_blocks = nn.ModuleList([ResidualBlock(2 * fine, fine) for fine, _ in reversed(steps)])
        self.final_block = ResidualBlock(widths[0], widths[0])
        self.out_conv = nn.Conv2d(widths[0], channels, 1)

    def forward(self, x, t):
        frequencies = torch.exp(torch.arange(64) * (-math.log(10000) / 63))
        angles = t.float()[:, None] * frequencies
        emb = torch.cat([angles.sin(), angles.cos()], dim=1)
        h, skips = self.init_conv(x), []
        for block, pool in zip(self.down_blocks, self.down_pools):
            h = block(h, emb)
            skips.append(h)
            h = pool(h)
        h = self.bottleneck(h, emb)
        for up, block in zip(self.up_convs, self.up_blocks):
            h = block(torch.cat([up(h), skips.pop()], dim=1), emb)
        return self.out_conv(self.final_block(h, emb))


class Run:
    def __init__(self, args):
        torch.manual_seed(0)
        self.batch = args.batch
        self.layout = torch.contiguous_format if args.contiguous else torch.channels_last
        self.autocast = args.precision == "bf16"
        self.model = ResidualUnet(1, args.widths).to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, T), 0)
        self.sqrt_alpha_bar, self.sqrt_one_minus_alpha_bar = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        self.data = torch.randint(0, 256, (20 * args.batch, 1, SIDE, SIDE), dtype=torch.uint8)

    def predict(self, xt, t):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            return self.model(xt, t).float()

    def step(self):
        x0 = self.data[torch.randint(0, len(self.data), (self.batch,))].float() / 127.5 - 1
        x0 = x0.contiguous(memory_format=self.layout)
        t = torch.randint(0, T, (self.batch,))
        eps = torch.randn_like(x0)
        a, b = self.sqrt_alpha_bar[t][:, None, None, None], self.sqrt_one_minus_alpha_bar[t][:, None, None, None]
        loss = (self.predict(a * x0 + b * eps, t) - eps).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def sampling_step(self):
        """DDIM from t = 500 to the data: one call of the network and what is around it."""
        x = torch.randn(self.batch, 1, SIDE, SIDE).contiguous(memory_format=self.layout)
        eps = self.predict(x, torch.full((self.batch,), 499))
        x0 = (x - self.sqrt_one_minus_alpha_bar[499] * eps) / self.sqrt_alpha_bar[499]
        return x0.clamp(-1, 1).sum().item()


def best_seconds(repeats, work):
    """The least time of several runs, after two that do not count."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        assert math.isfinite(work())
        times.append(time.perf_counter() - start)
    return min(times[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--widths", type=lambda text: [int(width) for width in text.split(",")], default=[64, 128, 256])
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--contiguous", action="store_true", help="instead of channels last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12, help="steps that are timed one by one")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    run = Run(args)
    assert args.widths != [64, 128, 256] or sum(p.numel() for p in run.model.parameters()) == 2_844_929
    train = args.batch / best_seconds(args.steps, run.step)
    sample = args.batch / best_seconds(args.steps, run.sampling_step)
    print(f"training {train:.1f} images/s, a sampling step {sample:.1f} images/s", flush=True)
    print(json.dumps({
        "torch": torch.__version__,
        "machine": platform.machine(),
        "best_train_images_per_s": train,
        "best_sample_step_images_per_s": sample,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }))


if __name__ == "__main__":
    main()
