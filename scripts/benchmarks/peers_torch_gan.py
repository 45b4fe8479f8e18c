"""The alias-free GAN's networks in PyTorch, as published and at their best. Optional.

Karras et al., "Alias-Free Generative Adversarial Networks" (NeurIPS 2021), written from the paper's
formulas with PyTorch's own operations: no custom kernels. "published" makes a kernel for every
sample, inserts zeros and filters densely; "best" scales signals around a shared convolution, and
filters by transposed and strided convolutions, channels last. Parameters bear our names, so that
weights go over.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from scripts.benchmarks.peers_torch_filtered import _kernels

SLOPE, GAIN = 0.2, math.sqrt(2)
VARIANTS = ("published", "best")


class Linear(nn.Module):
    """A dense layer with an equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, multiplier: float = 1.0):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.scale, self.multiplier = multiplier / math.sqrt(inputs), multiplier

    def forward(self, x):
        return F.linear(x, self.kernel * self.scale, self.bias * self.multiplier)


class Mapping(nn.Module):
    """From z to w; tracks the mean w."""

    def __init__(self, z_dim: int, w_dim: int, layers: int):
        super().__init__()
        widths = [z_dim] + [w_dim] * layers
        self.layers = nn.ModuleList(
            Linear(a, b, 0.01) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.register_buffer("w_avg", torch.empty(w_dim))

    def forward(self, z, update_emas):
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = F.leaky_relu(layer(w), SLOPE) * GAIN
        if update_emas:
            self.w_avg.lerp_(w.detach().mean(0), 0.002)
        return w


class Input(nn.Module):
    """Fourier features, turned and moved as the latent says."""

    def __init__(self, plan, w_dim: int):
        super().__init__()
        channels, self.rate = plan.input_channels, plan.input_sampling_rate
        self.bandwidth = plan.input_bandwidth
        self.affine = Linear(w_dim, 4)
        self.kernel = nn.Parameter(torch.empty(channels, channels))
        self.register_buffer("freqs", torch.empty(channels, 2))
        self.register_buffer("phases", torch.empty(channels))
        for name, size in zip("yx", plan.input_size, strict=True):
            grid = (torch.arange(size) + 0.5 - size / 2) / self.rate
            self.register_buffer(name, grid, persistent=False)

    def forward(self, w):
        pose = self.affine(w)
        cosine, sine, right, down = (pose / pose[:, :2].norm(dim=1, keepdim=True)).unbind(1)
        turn = torch.stack([cosine, -sine, sine, cosine], 1).reshape(-1, 2, 2)
        freqs = self.freqs @ turn
        phases = self.phases - (freqs @ torch.stack([right, down], 1)[:, :, None])[..., 0]
        beyond = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        cycles = freqs[:, :, :1, None] * self.x + freqs[:, :, 1:, None] * self.y[:, None]
        waves = torch.sin(2 * math.pi * (cycles + phases[:, :, None, None]))
        waves = waves * (1 - beyond).clamp(0, 1)[:, :, None, None]
        return F.conv2d(waves, (self.kernel / math.sqrt(len(self.kernel)))[:, :, None, None])


class SynthesisLayer(nn.Module):
    """Modulated convolution and filtered activation."""

    def __init__(self, spec, w_dim: int, *, dtype, clamp, beta: float, variant: str):
        super().__init__()
        self.spec, self.dtype, self.clamp, self.beta = spec, dtype, clamp, beta
        self.best = variant == "best"
        size = (spec.conv_kernel, spec.conv_kernel)
        self.kernel = nn.Parameter(torch.empty(spec.out_channels, spec.in_channels, *size))
        self.bias = nn.Parameter(torch.empty(spec.out_channels))
        self.affine = Linear(w_dim, spec.in_channels)
        self.register_buffer("magnitude_ema", torch.empty(()))
        if spec.is_torgb:
            return
        like, up_taps = torch.empty(0, dtype=dtype), spec.up_filter.taps()
        # A transposed convolution correlates its scattered samples with the flipped kernel.
        up_taps = up_taps[::-1] if self.best else up_taps
        filters = {"up": _kernels(up_taps, spec.out_channels, like, gain=spec.up_factor)}
        filters["down"] = _kernels(spec.down_filter.taps(), spec.out_channels, like)
        if self.best:  # One pass over the fine grid less.
            filters["down"][0] = filters["down"][0] * GAIN
        for name, kernels in filters.items():
            for i, kernel in enumerate(kernels):
                self.register_buffer(f"{name}{i}", kernel, persistent=False)
        self.down = ["down0", "down1"][: len(filters["down"])]

    def forward(self, x, w, update_emas):
        if update_emas:
            self.magnitude_ema.lerp_(x.detach().float().square().mean(), 1 - self.beta)
        styles = self.affine(w)
        if self.spec.is_torgb:
            styles = styles / math.sqrt(self.spec.in_channels)
        x = x.to(self.dtype)
        x = (self._shared if self.best else self._grouped)(x, styles)
        x = x + self.bias.to(x.dtype)[:, None, None]
        if self.spec.is_torgb:
            return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)
        return (self._strided if self.best else self._dense)(x)

    def _normalized(self, styles):
        if self.spec.is_torgb:
            return self.kernel, styles
        kernel = self.kernel * self.kernel.square().mean((1, 2, 3), keepdim=True).rsqrt()
        return kernel, styles * styles.square().mean().rsqrt()

    def _grouped(self, x, styles):
        kernel, styles = self._normalized(styles)
        kernels = kernel * styles[:, None, :, None, None]
        if not self.spec.is_torgb:
            kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        kernels = (kernels * self.magnitude_ema.rsqrt()).to(x.dtype).flatten(0, 1)
        n, _, h, w = x.shape
        y = F.conv2d(x.reshape(1, -1, h, w), kernels, padding=self.spec.conv_kernel - 1, groups=n)
        return y.reshape(n, -1, *y.shape[2:])

    def _shared(self, x, styles):
        kernel, styles = self._normalized(styles)
        size = math.sqrt(kernel[0].numel())  # keeps 16 bits in range
        x = x * (styles * self.magnitude_ema.rsqrt()).to(x.dtype)[:, :, None, None]
        y = F.conv2d(x, (kernel / size).to(x.dtype), padding=self.spec.conv_kernel - 1)
        if self.spec.is_torgb:
            return y * size
        power = styles.square() @ kernel.square().sum((2, 3)).T
        return y * (size * (power + 1e-8).rsqrt()).to(x.dtype)[:, :, None, None]

    def _dense(self, x):
        n, c, h, w = x.shape
        up, down = self.spec.up_factor, self.spec.down_factor
        top, bottom, left, right = self.spec.padding
        x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up - 1, 0, 0, 0, up - 1])
        x = F.pad(x.reshape(n, c, h * up, w * up), [left, right, top, bottom])
        x = F.conv2d(F.conv2d(x, self.up0, groups=c), self.up1, groups=c)
        x = F.leaky_relu(x, SLOPE) * GAIN
        if self.clamp is not None:
            x = x.clamp(-self.clamp, self.clamp)
        for name in self.down:
            x = F.conv2d(x, getattr(self, name), groups=c)
        return x[:, :, ::down, ::down]

    def _strided(self, x):
        c, up, down = x.shape[1], self.spec.up_factor, self.spec.down_factor
        top, _, left, _ = self.spec.padding  # published paddings crop as much at the ends
        crop = self.spec.up_taps - 1 - top, self.spec.up_taps - 1 - left
        x = F.conv_transpose2d(x, self.up0, stride=(1, up), padding=(0, crop[1]), groups=c)
        x = F.conv_transpose2d(x, self.up1, stride=(up, 1), padding=(crop[0], 0), groups=c)
        x = F.leaky_relu(x, SLOPE)
        if self.clamp is not None:
            x = x.clamp(-self.clamp / GAIN, self.clamp / GAIN)
        strides = ((1, down), (down, 1)) if len(self.down) == 2 else (down,)
        for name, stride in zip(self.down, strides, strict=True):
            x = F.conv2d(x, getattr(self, name), stride=stride, groups=c)
        return x


class Synthesis(nn.Module):
    """From w to images (N, C, H, W), float32."""

    def __init__(self, plan, w_dim: int, *, half_dtype, **options):
        super().__init__()
        self.input = Input(plan, w_dim)
        self.layers = nn.ModuleList(
            SynthesisLayer(
                spec, w_dim, dtype=half_dtype if spec.use_fp16 else torch.float32, **options
            )
            for spec in plan.layers
        )

    def forward(self, w, update_emas):
        x = self.input(w)
        for layer in self.layers:
            x = layer(x, w, update_emas)
        return x.float() * 0.25


class Generator(nn.Module):
    """From z (N, z_dim) to images."""

    def __init__(self, plan, *, z_dim: int, w_dim: int, mapping_layers: int, **options):
        super().__init__()
        self.mapping = Mapping(z_dim, w_dim, mapping_layers)
        self.synthesis = Synthesis(plan, w_dim, **options)

    def forward(self, z, update_emas=False):
        return self.synthesis(self.mapping(z, update_emas), update_emas)


class Conv(nn.Module):
    """An equalised convolution, low-pass filtered in front of a stride, and its activation."""

    def __init__(self, inputs, outputs, size, *, down=1, bias=True, gain=1.0, clamp=None):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.scale, self.down, self.gain = 1 / math.sqrt(inputs * size**2), down, gain
        self.clamp = None if clamp is None else clamp * gain
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        blur = torch.outer(taps, taps).repeat(inputs, 1, 1, 1) if down > 1 else None
        self.register_buffer("blur", blur, persistent=False)

    def forward(self, x):
        kernel = (self.kernel * self.scale).to(x.dtype)
        margin, groups = kernel.shape[-1] // 2, x.shape[1]
        if self.down == 1:
            x = F.conv2d(x, kernel, padding=margin)
        elif margin == 0:
            x = F.conv2d(x, self.blur.to(x.dtype), stride=self.down, padding=1, groups=groups)
            x = F.conv2d(x, kernel)
        else:
            x = F.conv2d(x, self.blur.to(x.dtype), padding=2, groups=groups)
            x = F.conv2d(x, kernel, stride=self.down)
        if self.bias is None:
            return x * self.gain
        x = F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], SLOPE) * (GAIN * self.gain)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Block(nn.Module):
    """Halves a map: two convolutions beside a linear one."""

    def __init__(self, inputs, outputs, *, image, dtype, clamp):
        super().__init__()
        self.dtype = dtype
        if image:
            self.fromrgb = Conv(image, inputs, 1, clamp=clamp)
        self.conv0 = Conv(inputs, inputs, 3, clamp=clamp)
        self.conv1 = Conv(inputs, outputs, 3, down=2, gain=math.sqrt(0.5), clamp=clamp)
        self.skip = Conv(inputs, outputs, 1, down=2, bias=False, gain=math.sqrt(0.5))

    def forward(self, x):
        x = x.to(self.dtype)
        if hasattr(self, "fromrgb"):
            x = self.fromrgb(x)
        return self.skip(x) + self.conv1(self.conv0(x))


class Epilogue(nn.Module):
    """Judges a 4 x 4 map, beside its deviation from others of the batch."""

    def __init__(self, channels: int, *, group: int, clamp):
        super().__init__()
        self.group = group
        self.conv = Conv(channels + 1, channels, 3, clamp=clamp)
        self.fc = Linear(16 * channels, channels)
        self.out = Linear(channels, 1)

    def forward(self, x):
        group = min(self.group, len(x))
        parts = x.reshape(group, -1, *x.shape[1:])
        deviation = (parts.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
        deviation = deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])
        x = self.conv(torch.cat([x, deviation], 1)).flatten(1)
        return self.out(F.leaky_relu(self.fc(x), SLOPE) * GAIN)


class Discriminator(nn.Module):
    """From images (N, C, H, W) to logits (N, 1)."""

    def __init__(self, side, *, image, base, most, group, half_dtype, clamp):
        super().__init__()
        sides = [side >> i for i in range(int(math.log2(side)) - 2)]
        coarsest_half = max(side // 8, 8)
        self.blocks = nn.ModuleList(
            Block(
                min(base // s, most),
                min(base // (s // 2), most),
                image=image if s == side else None,
                dtype=half_dtype if s >= coarsest_half else torch.float32,
                clamp=clamp,
            )
            for s in sides
        )
        self.epilogue = Epilogue(min(base // 4, most), group=group, clamp=clamp)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.epilogue(x.float())
