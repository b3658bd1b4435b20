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
import sys
import time
from pathlib import Path

import torch

# The network is the one that the checks compare with.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "fixtures"))
from networks import ResidualUnet

T, SIDE = 1000, 28


class Run:
    def __init__(self, args):
        torch.manual_seed(0)
        self.batch = args.batch
        self.layout = torch.contiguous_format if args.contiguous else torch.channels_last
        self.autocast = args.precision == "bf16"
        self.device = torch.device(args.device)
        self.model = ResidualUnet(1, args.widths).to(self.device, memory_format=self.layout)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, T, device=self.device), 0)
        self.sqrt_alpha_bar, self.sqrt_one_minus_alpha_bar = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        self.data = torch.randint(0, 256, (20 * args.batch, 1, SIDE, SIDE), dtype=torch.uint8, device=self.device)

    def predict(self, xt, t):
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            return self.model(xt, t).float()

    def step(self):
        x0 = self.data[torch.randint(0, len(self.data), (self.batch,), device=self.device)].float() / 127.5 - 1
        x0 = x0.contiguous(memory_format=self.layout)
        t = torch.randint(0, T, (self.batch,), device=self.device)
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
        x = torch.randn(self.batch, 1, SIDE, SIDE, device=self.device).contiguous(memory_format=self.layout)
        eps = self.predict(x, torch.full((self.batch,), 499, device=self.device))
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
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
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
