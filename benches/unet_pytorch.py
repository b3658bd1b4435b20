"""The residual U-Net in PyTorch eager: training and sampling images/s, as JSON on the last line.

    python benches/unet_pytorch.py [--threads 2] [--widths 64,128,256] [--batch 64] [--steps 12]

Each of contiguous and channels_last, in f32 and under bf16 autocast; the best step of several, as `unet_rate.rs` takes it.
"""

import argparse
import json
import math
import time

import torch
import torch.nn.functional as F
from torch import nn

T, SIDE, EMBEDDING = 1000, 28, 128


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm1 = nn.GroupNorm(8, outputs)
        self.time_mlp = nn.Sequential(nn.SiLU(), nn.Linear(EMBEDDING, outputs))
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, t):
        h = F.silu(self.norm1(self.conv1(x)) + self.time_mlp(t)[..., None, None])
        return F.silu(self.norm2(self.conv2(h)) + self.shortcut(x))


class ResidualUnet(nn.Module):
    def __init__(self, widths, channels=1):
        super().__init__()
        down = list(zip(widths[:-1], widths[1:]))
        up = [(coarse, fine) for fine, coarse in reversed(down)]
        self.init_conv = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList([ResidualBlock(fine, fine) for fine, _ in down])
        self.down_pools = nn.ModuleList([nn.Conv2d(fine, coarse, 3, 2, 1) for fine, coarse in down])
        self.bottleneck = ResidualBlock(widths[-1], widths[-1])
        self.up_convs = nn.ModuleList([nn.ConvTranspose2d(coarse, fine, 2, 2) for coarse, fine in up])
        self.up_blocks = nn.ModuleList([ResidualBlock(2 * fine, fine) for _, fine in up])
        self.final_block = ResidualBlock(widths[0], widths[0])
        self.out_conv = nn.Conv2d(widths[0], channels, 1)
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, -math.log(10_000), EMBEDDING // 2)))

    def forward(self, x, index):
        angles = index[:, None].float() * self.frequencies
        t = torch.cat([angles.sin(), angles.cos()], dim=1)
        h, skips = self.init_conv(x), []
        for block, pool in zip(self.down_blocks, self.down_pools):
            h = block(h, t)
            skips.append(h)
            h = pool(h)
        h = self.bottleneck(h, t)
        for conv, block in zip(self.up_convs, self.up_blocks):
            h = block(torch.cat([conv(h), skips.pop()], dim=1), t)
        return self.out_conv(self.final_block(h, t))


def best_seconds(repeats, work):
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[2:])


def measure(args, layout, bf16):
    torch.manual_seed(0)
    net = ResidualUnet(args.widths).to(memory_format=layout)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, T), 0)
    data = torch.rand(args.batch, 1, SIDE, SIDE).mul_(2).sub_(1)

    def predict(x, index):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return net(x.to(memory_format=layout), index).float()

    def train():
        index, eps = torch.randint(0, T, (args.batch,)), torch.randn_like(data)
        signal = alpha_bar[index].view(-1, 1, 1, 1)
        loss = F.mse_loss(predict(signal.sqrt() * data + (1 - signal).sqrt() * eps, index), eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def sample():
        predict(data, torch.full((args.batch,), 500))

    return {
        "train_images_per_s": args.batch / best_seconds(args.steps, train),
        "sample_step_images_per_s": args.batch / best_seconds(args.steps, sample),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--widths", type=lambda text: [int(width) for width in text.split(",")], default=[64, 128, 256])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12, help="training steps, and sampling steps, that are timed")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    results = {}
    for precision, bf16 in [("f32", False), ("bf16", True)]:
        for name, layout in [("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)]:
            found = measure(args, layout, bf16)
            results[f"{precision} {name}"] = found
            print(f"{precision} {name}: training {found['train_images_per_s']:.1f} images/s, "
                  f"a sampling step {found['sample_step_images_per_s']:.1f} images/s", flush=True)

    def best(precision, what):
        return max(found[what] for name, found in results.items() if name.startswith(precision))

    print(json.dumps({
        "torch": torch.__version__,
        "runs": results,
        "best_train_images_per_s": best("f32", "train_images_per_s"),
        "best_sample_step_images_per_s": best("f32", "sample_step_images_per_s"),
        "best_bf16_train_images_per_s": best("bf16", "train_images_per_s"),
    }))


if __name__ == "__main__":
    main()
