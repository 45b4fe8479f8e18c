"""The training iteration of the alias-free GAN in PyTorch: losses, penalty, optimisers. Optional.

Karras et al., "Alias-Free Generative Adversarial Networks" (NeurIPS 2021), appendix F: the phases
of `experiments.alias_free_gan.phases` without augmentation and blur.
"""

import copy
from collections.abc import Callable, Mapping

import jax
import numpy as np
import torch
from torch.nn import functional as F

from aa_jax.models import alias_free
from scripts.benchmarks.peers_torch_gan import VARIANTS, Discriminator, Generator

__all__ = ["VARIANTS", "Training", "device_for", "load"]

_PLANS = {"t": alias_free.config_t, "r": alias_free.config_r}


def device_for(backend: str) -> str | None:
    """PyTorch's device of the same kind as JAX's backend, or None."""
    device = {"cpu": "cpu", "gpu": "cuda"}.get(backend)
    return None if device == "cuda" and not torch.cuda.is_available() else device


class Training:
    """Both networks and their optimisers.

    Phases are methods `(z, images) -> metrics`: latents (N, z_dim), or None to draw them, and real
    uint8 images (N, C, H, W).
    """

    def __init__(self, config, weights: Mapping[str, dict], *, variant: str, device: str):
        """Builds the networks of a config, with our weights.

        Args:
          config: of `experiments/alias_free_gan`.
          weights: nested dicts "generator", "generator_stats" and "discriminator".
          variant: one of `VARIANTS`.
          device: where.
        """
        self.config, self.device = config, device
        half = config.dtype != "float32"
        common = {
            "half_dtype": getattr(torch, config.dtype),
            "clamp": 256.0 if half else None,
        }
        settings = config.generator
        size = {name: settings[name] for name in ("channel_base", "channel_max")}
        self.generator = Generator(
            _PLANS[settings.name](config.data.resolution, **size),
            **{name: settings[name] for name in ("z_dim", "w_dim", "mapping_layers")},
            beta=0.5 ** (config.batch_size / 20_000),
            variant=variant,
            **common,
        )
        self.discriminator = Discriminator(
            config.data.resolution,
            image=config.data.channels,
            base=config.discriminator.channel_base,
            most=config.discriminator.channel_max,
            group=config.discriminator.mbstd_group_size,
            **common,
        )
        self.load(weights)
        formats = {"published": torch.contiguous_format, "best": torch.channels_last}
        self._format = formats[variant]
        for network in (self.generator, self.discriminator):
            network.to(device, memory_format=self._format)
        self.ema = copy.deepcopy(self.generator).requires_grad_(False)
        rates, (first, second) = config.optimizer, config.optimizer.betas
        lazy = config.loss.r1_interval / (config.loss.r1_interval + 1)
        self._generator_optimizer = torch.optim.Adam(
            self.generator.parameters(),
            lr=rates.generator_learning_rate,
            betas=(first, second),
            eps=rates.epsilon,
        )
        self._discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(),
            lr=rates.discriminator_learning_rate * lazy,
            betas=(first**lazy, second**lazy),
            eps=rates.epsilon,
        )
        self._images_seen = 0

    def load(self, weights: Mapping[str, dict]) -> None:
        """Takes over weights; optimisers stay as they are."""
        load(self.generator, weights["generator"], weights["generator_stats"])
        load(self.discriminator, weights["discriminator"])

    def thread_counts(self) -> list[int]:
        """Numbers of threads worth trying."""
        return sorted({1, torch.get_num_threads()}) if self.device == "cpu" else [1]

    def runner(self, phase: str, images: np.ndarray, threads: int) -> Callable[[int], None]:
        """A function of the round's number that runs a phase and waits.

        Args:
          phase: "generator", "discriminator" or "r1".
          images: uint8 (N, H, W, C).
          threads: of PyTorch on the host, while it runs.
        """
        images = self._channels_first(images)

        def run(number):
            del number
            before = torch.get_num_threads()
            if threads != before:
                torch.set_num_threads(threads)
            getattr(self, f"train_{phase}")(None, images)
            if self.device == "cuda":
                torch.cuda.synchronize()
            if threads != before:
                torch.set_num_threads(before)

        return run

    def checked(self, phase: str, z: np.ndarray, images: np.ndarray) -> dict[str, float]:
        """Runs a phase on given latents. Returns its metrics, as ours are called."""
        z = torch.tensor(z, device=self.device)
        metrics = getattr(self, f"train_{phase}")(z, self._channels_first(images))
        if phase != "r1":
            metrics[f"grad_norm_{phase}"] = _gradient_norm(getattr(self, phase))
        return {name: value.item() for name, value in metrics.items()}

    def train_generator(self, z, images) -> dict[str, torch.Tensor]:
        """To be believed; then the weight average follows."""
        self._prepare(trained=self.generator, fixed=self.discriminator)
        logits = self.discriminator(self.generator(self._latents(z, len(images))))
        loss = F.softplus(-logits).mean()
        self._step(loss, self.generator, self._generator_optimizer)
        life = min(self.config.ema.half_life_kimg * 1000, self._images_seen * 0.05)
        decay = 0.5 ** (len(images) / max(life, 1e-8))
        with torch.no_grad():
            pairs = zip(self.ema.parameters(), self.generator.parameters(), strict=True)
            for average, new in pairs:
                average.lerp_(new, 1 - decay)
            for average, new in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
                average.copy_(new)
        return {"loss_generator": loss}

    def train_discriminator(self, z, images) -> dict[str, torch.Tensor]:
        """To tell apart."""
        self._prepare(trained=self.discriminator, fixed=self.generator)
        with torch.no_grad():
            fakes = self.generator(self._latents(z, len(images)), update_emas=True)
        fake, real = self.discriminator(fakes), self.discriminator(_floats(images))
        loss = F.softplus(fake).mean() + F.softplus(-real).mean()
        self._step(loss, self.discriminator, self._discriminator_optimizer)
        self._images_seen += len(images)
        return {
            "loss_discriminator": loss,
            "score_fake": fake.mean(),
            "score_real": real.mean(),
        }

    def train_r1(self, z, images) -> dict[str, torch.Tensor]:
        """To change slowly around real images."""
        del z
        self._prepare(trained=self.discriminator, fixed=self.generator)
        images = _floats(images).requires_grad_()
        logits = self.discriminator(images)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        penalty = gradient.square().sum((1, 2, 3)).mean()
        weight = self.config.loss.r1_gamma / 2 * self.config.loss.r1_interval
        self._step(weight * penalty, self.discriminator, self._discriminator_optimizer)
        return {"r1_penalty": penalty}

    def _channels_first(self, images: np.ndarray) -> torch.Tensor:
        tensor = torch.tensor(images, device=self.device).permute(0, 3, 1, 2)
        return tensor.contiguous(memory_format=self._format)

    def _latents(self, z, count: int):
        if z is None:
            return torch.randn(count, self.config.generator.z_dim, device=self.device)
        return z

    @staticmethod
    def _prepare(*, trained, fixed) -> None:
        trained.requires_grad_(True)
        fixed.requires_grad_(False)
        trained.zero_grad(set_to_none=True)

    @staticmethod
    def _step(loss, network, optimizer) -> None:
        loss.backward()
        # R1 leaves the last bias without one.
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        for grad in grads:
            torch.nan_to_num(grad, nan=0.0, posinf=1e5, neginf=-1e5, out=grad)
        optimizer.step()


def _gradient_norm(network: torch.nn.Module) -> torch.Tensor:
    return torch.stack([parameter.grad.norm() for parameter in network.parameters()]).norm()


def load(network: torch.nn.Module, *trees: dict) -> None:
    """Copies our arrays into a network whose tensors have the same names.

    Kernels (height, width, inputs, outputs) become (outputs, inputs, height, width); the dense
    layer of the last map takes (height, width, channels) in our order, (channels, height, width)
    in PyTorch's.

    Raises:
      ValueError: names or shapes differ.
    """
    arrays = {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf)
        for tree in trees
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
    tensors = network.state_dict()
    if arrays.keys() != tensors.keys():
        raise ValueError(f"these are on one side only: {sorted(arrays.keys() ^ tensors.keys())}")
    for name, tensor in tensors.items():
        array = arrays[name]
        if name == "epilogue.fc.kernel":
            inputs, outputs = array.shape
            array = array.reshape(4, 4, inputs // 16, outputs).transpose(2, 0, 1, 3)
            array = array.reshape(inputs, outputs)
        if name.endswith("kernel"):
            array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
        if array.shape != tuple(tensor.shape):
            raise ValueError(f"{name} must be {tuple(tensor.shape)}, got {array.shape}")
        tensor.copy_(torch.tensor(array.copy()))


def _floats(images):
    return images.float() / 127.5 - 1
