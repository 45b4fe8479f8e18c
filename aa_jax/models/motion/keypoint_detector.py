"""Unsupervised keypoints with Jacobians (Siarohin et al., NeurIPS 2019, section 3.1)."""

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.models.motion.hourglass import PLAIN, Hourglass, Resampling, convolution
from aa_jax.models.motion.keypoints import Keypoints, soft_argmax
from aa_jax.nn.record import Record, scoped
from aa_jax.ops.downsample import antialias_interpolate

# Side of the kernels that read keypoints and Jacobians off the hourglass's map, without padding.
_HEAD = 7


class KeypointDetector(nnx.Module):
    """Reduces a frame, and takes the mean position under K learnt maps that each sum to one.

    Attributes:
      scale_factor: by which frames are reduced first, with the Gaussian of the published model.
    """

    def __init__(
        self,
        *,
        num_kp: int = 10,
        channels: int = 3,
        block_expansion: int = 32,
        num_blocks: int = 5,
        max_features: int = 1024,
        scale_factor: float = 0.25,
        temperature: float = 0.1,
        estimate_jacobian: str = "per_keypoint",
        resampling: Resampling = PLAIN,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights; the defaults are those of the published vox-256 model.

        Args:
          num_kp: K.
          channels: of the frames.
          block_expansion, num_blocks, max_features: of the hourglass.
          scale_factor: see the attribute; 1 leaves frames as they are.
          temperature: by which logits are divided.
          estimate_jacobian: "per_keypoint"; "single", one map of Jacobians for all of them; or
            "none".
          resampling: how the hourglass changes resolution.
          dtype: dtype of the computation; None: what frames and weights promote to. Keypoints are
            float32 or better.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: an option is out of range.
        """
        if estimate_jacobian not in ("per_keypoint", "single", "none"):
            raise ValueError(
                'estimate_jacobian must be "per_keypoint", "single" or "none", got '
                f"{estimate_jacobian!r}"
            )
        options = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.predictor = Hourglass(
            channels,
            block_expansion=block_expansion,
            num_blocks=num_blocks,
            max_features=max_features,
            resampling=resampling,
            **options,
        )
        inputs = self.predictor.outputs
        self.kp = convolution(inputs, num_kp, _HEAD, padding=0, **options)
        maps = {"per_keypoint": num_kp, "single": 1, "none": 0}[estimate_jacobian]
        options |= dict(padding=0, kernel_init=nnx.initializers.zeros, bias_init=_identities)
        self.jacobian = convolution(inputs, 4 * maps, _HEAD, **options) if maps else None
        self.num_kp, self.temperature, self.scale_factor = num_kp, temperature, scale_factor

    def __call__(
        self, images: Array, *, train: bool = False, record: Record | None = None
    ) -> Keypoints:
        """Finds the keypoints of frames (N, H, W, channels) in [0, 1].

        `record` is told "predictor.encoder.<i>", "features" and "heatmap".

        Raises:
          ValueError: `images` does not hold images, or of sides that the hourglass cannot halve.
        """
        check_images(images)
        small = antialias_interpolate(images, self.scale_factor)
        return self.keypoints_of(small, train=train, record=record)

    def keypoints_of(
        self, small: Array, *, train: bool = False, record: Record | None = None
    ) -> Keypoints:
        """The same of frames that are reduced already, by whatever method."""
        features = self.predictor(small, train=train, record=scoped(record, "predictor"))
        logits = self.kp(features)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        heatmap = jax.nn.softmax(logits / self.temperature, axis=(1, 2))
        if record is not None:
            record("features", features)
            record("heatmap", heatmap)
        value = soft_argmax(heatmap)
        if self.jacobian is None:
            return Keypoints(value)
        maps = self.jacobian(features).astype(heatmap.dtype)
        maps = maps.reshape(*maps.shape[:3], -1, 4)
        # One map of Jacobians serves all keypoints.
        form = "nhwk,nhwkj->nkj" if maps.shape[3] == self.num_kp else "nhwk,nhwoj->nkj"
        jacobian = jnp.einsum(form, heatmap, maps, precision=jax.lax.Precision.HIGHEST)
        return Keypoints(value, jacobian.reshape(*value.shape, 2))


def _identities(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    del key
    return jnp.tile(jnp.asarray([1, 0, 0, 1], dtype), shape[0] // 4)
