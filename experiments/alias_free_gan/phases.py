"""The phases of an iteration: what each of them computes, on whom, and in which order.

Karras et al., "Alias-Free Generative Adversarial Networks" (NeurIPS 2021), appendix F, and the two
StyleGAN2 papers that it builds on. An iteration is

    1. generator        the loss of the generator, then its weight average
    2. path length      lazily, where it has a weight (StyleGAN2 only)
    3. discriminator    real and fake images; drawing these moves the generator's running means
    4. R1               lazily, on the same real images

Phases are pure functions `(state, batch) -> (state, metrics)`, each compiled for itself.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import optax
from jax import lax, numpy as jnp

from aa_jax.ops.augmentation import augment
from aa_jax.ops.blur import gaussian_blur
from aa_jax.ops.translate import translate_lanczos
from aa_jax.training import adversarial, schedules
from aa_jax.training.state import collect_stats, merge
from aa_jax.training.steps import accumulated_gradients
from experiments.alias_free_gan import updates
from experiments.alias_free_gan.rules import Players, Rules
from experiments.alias_free_gan.state import GanState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]

# Every phase has its own randomness.
_GENERATOR, _PATH_LENGTH, _DISCRIMINATOR, _R1 = range(4)


@dataclasses.dataclass(frozen=True, eq=False)
class Phases:
    """The phases of one pair of networks.

    Attributes:
        players: their structures.
        rules: what they are trained for.
        generator_optimizer: see `schedules.lazy_adam`.
        discriminator_optimizer: likewise.
        frozen: nested dict of booleans over the discriminator's parameters, True for those that
            are kept as they are (Freeze-D); None trains all.
    """

    players: Players
    rules: Rules
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    frozen: dict | None = None

    # ---- what the networks are asked ----

    def generate(self, params, stats, z, labels, key, *, update_emas=False):
        """Draws images. Returns them, their latents and the generator's new statistics."""
        generator = merge(self.players.generator, params, stats)
        ws = self._latents(generator, z, labels, key, update_emas=update_emas)
        images = self._synthesis(generator, key)(ws, update_emas=update_emas)
        return images, ws, collect_stats(generator)

    def _latents(self, generator, z, labels, key, *, update_emas=False):
        """Latents of all layers, some batches' with styles mixed."""
        ws = generator.mapping(z, labels, update_emas=update_emas)
        if not self.rules.style_mixing:
            return ws
        other_key, cut_key, whether_key = jax.random.split(jax.random.fold_in(key, 0), 3)
        other = generator.mapping(jax.random.normal(other_key, z.shape, z.dtype), labels)
        layers = ws.shape[1]
        cut = jax.random.randint(cut_key, (), 1, layers)
        mixed = jax.random.uniform(whether_key) < self.rules.style_mixing
        kept = (jnp.arange(layers) < cut) | ~mixed
        return jnp.where(kept[:, None], ws, other)

    def _synthesis(self, generator, key):
        """The synthesis network, its noise drawn where it has any."""
        if not self.players.noisy:
            return generator.synthesis
        return functools.partial(generator.synthesis, key=jax.random.fold_in(key, 1))

    def judge(self, params, images, labels, key, state: GanState):
        """Logits of images as the discriminator gets to see them: blurred, then augmented."""
        rules = self.rules
        if rules.blur_initial:
            sigma = schedules.blur_sigma(
                state.images_seen, initial=rules.blur_initial, fade_images=rules.blur_images
            )
            images = gaussian_blur(images, sigma)
        if rules.augmentation is not None:
            images = augment(images, key, state.augmentation.value, rules.augmentation)
        return merge(self.players.discriminator, params, {})(images, labels)

    # ---- the phases ----

    def generator(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        """Trains the generator to be believed, and averages its weights."""

        def loss(params, stats, part, key):
            drawing, judging, moving = jax.random.split(key, 3)
            labels = part["label"]
            images, ws, _ = self.generate(params, stats, part["z"], labels, drawing)
            logits = self.judge(state.discriminator, images, labels, judging, state)
            loss = adversarial.generator_loss(logits)
            metrics = {"loss_generator": loss}
            if self.rules.equivariance_weight:
                error = self._equivariance_error(params, stats, images, ws, moving)
                metrics["equivariance_error"] = error
                loss = loss + self.rules.equivariance_weight * error
            return loss, (stats, metrics)

        images_before, batch_size = state.images_seen, len(batch["image"])
        state, metrics = self._train_generator(state, batch, loss, _GENERATOR)
        decay = schedules.ema_decay(
            images_before,
            batch_size,
            half_life=self.rules.ema_half_life,
            ramp_up=self.rules.ema_ramp_up,
        )
        ema = jax.tree.map(lambda a, p: p + decay * (a - p), state.ema, state.generator)
        return state.replace(ema=ema), metrics

    def path_length(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        """Trains the generator to move its images as far in every direction of its latents."""
        rules = self.rules

        def loss(params, stats, part, key):
            drawing, direction = jax.random.split(key)
            count = max(1, len(part["z"]) // rules.path_length_shrink)
            part = jax.tree.map(lambda x: x[:count], part)
            generator = merge(self.players.generator, params, stats)
            ws = self._latents(generator, part["z"], part["label"], drawing)
            synthesize = self._synthesis(generator, drawing)
            lengths = adversarial.path_lengths(synthesize, ws, direction)
            change = lax.stop_gradient(lengths.mean()) - state.path_length
            mean = state.path_length + rules.path_length_decay * change
            penalty = jnp.mean(jnp.square(lengths - mean))
            weight = rules.path_length_weight * rules.path_length_interval
            return weight * penalty, (stats, {"path_length": mean, "path_length_penalty": penalty})

        state, metrics = self._train_generator(state, batch, loss, _PATH_LENGTH)
        return state.replace(path_length=metrics["path_length"]), metrics

    def discriminator(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        """Trains the discriminator to tell apart; moves the generator's running means."""

        def loss(params, stats, part, key):
            drawing, fake_key, real_key = jax.random.split(key, 3)
            labels = part["label"]
            # The only place where the running means move: with fresh latents, once a step.
            fakes, _, stats = self.generate(
                state.generator, stats, part["z"], labels, drawing, update_emas=True
            )
            fakes = lax.stop_gradient(fakes)
            fake = self.judge(params, fakes, labels, fake_key, state)
            real = self.judge(params, part["image"], part["real_label"], real_key, state)
            loss = adversarial.discriminator_loss(fake, real)
            metrics = {"loss_discriminator": loss, **updates.scores(fake=fake, real=real)}
            return loss, (stats, metrics)

        state, stats, metrics = self._train_discriminator(state, batch, loss, _DISCRIMINATOR)
        return state.replace(generator_stats=stats), metrics

    def r1(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        """Trains the discriminator to change slowly around real images."""
        weight = self.rules.r1_gamma / 2 * self.rules.r1_interval

        def loss(params, stats, part, key):
            def judge(images):
                return self.judge(params, images, part["real_label"], key, state)

            penalties, real = adversarial.r1_penalty(judge, part["image"])
            penalty = penalties.mean()
            return weight * penalty, (stats, {"r1_penalty": penalty, **updates.scores(real=real)})

        state, _, metrics = self._train_discriminator(state, batch, loss, _R1)
        return state, {"r1_penalty": metrics["r1_penalty"], "diverged": metrics["diverged"]}

    def finish(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        """Ends an iteration: adjusts the augmentation, counts."""
        rules, batch_size = self.rules, len(batch["image"])
        step = state.step + 1
        if rules.augmentation is not None and rules.augmentation_target is not None:
            adjusted = state.augmentation.adjust(
                batch_size * rules.augmentation_interval,
                target=rules.augmentation_target,
                images_to_one=rules.augmentation_images,
            )
            # Counted as published: at iterations 0, 4, 8, ... of a count from 0.
            due = state.step % rules.augmentation_interval == 0
            augmentation = jax.tree.map(
                lambda new, old: jnp.where(due, new, old), adjusted, state.augmentation
            )
            state = state.replace(augmentation=augmentation)
        images_seen = state.images_seen + batch_size
        metrics = {
            "kimg": images_seen / 1000,
            "augment_probability": state.augmentation.value,
        }
        return state.replace(step=step, images_seen=images_seen), metrics

    # ---- how a network is trained ----

    def _train_generator(self, state: GanState, batch: Batch, loss: Callable, phase: int):
        gradients = accumulated_gradients(loss, self.rules.accumulation_steps)
        grads, _, metrics = gradients(
            state.generator,
            state.generator_stats,
            self._inputs(state, batch, phase),
            self._key(state, phase, 1),
            updates.scale_of(state.generator_scale),
        )
        (params, opt_state, scale), health = updates.descend(
            state.generator, state.generator_optimizer, state.generator_scale, grads,
            self.generator_optimizer,
        )  # fmt: skip
        state = state.replace(
            generator=params, generator_optimizer=opt_state, generator_scale=scale
        )
        return updates.checked(state, metrics, health, "generator")

    def _train_discriminator(self, state: GanState, batch: Batch, loss: Callable, phase: int):
        gradients = accumulated_gradients(loss, self.rules.accumulation_steps)
        grads, stats, metrics = gradients(
            state.discriminator,
            state.generator_stats,
            self._inputs(state, batch, phase),
            self._key(state, phase, 1),
            updates.scale_of(state.discriminator_scale),
        )
        if self.frozen is not None:
            grads = jax.tree.map(
                lambda frozen, g: jnp.zeros_like(g) if frozen else g, self.frozen, grads
            )
        (params, opt_state, scale), health = updates.descend(
            state.discriminator, state.discriminator_optimizer, state.discriminator_scale, grads,
            self.discriminator_optimizer,
        )  # fmt: skip
        state = state.replace(
            discriminator=params,
            discriminator_optimizer=opt_state,
            discriminator_scale=scale,
            augmentation=state.augmentation.observe(metrics["sign_real"], len(batch["image"])),
        )
        state, metrics = updates.checked(state, metrics, health, "discriminator")
        return state, stats, metrics

    def _inputs(self, state: GanState, batch: Batch, phase: int) -> Batch:
        """Real images and labels, and this phase's own latents and labels."""
        latents, shuffling = jax.random.split(self._key(state, phase, 0))
        images = batch["image"]
        if images.dtype == jnp.uint8:
            images = images.astype(jnp.float32) / 127.5 - 1
        inputs = {
            "image": images,
            "z": jax.random.normal(latents, (len(images), self.players.z_dim)),
            "label": None,
            "real_label": None,
        }
        if self.players.c_dim:
            labels = batch["label"]
            if labels.ndim == 1:
                labels = jax.nn.one_hot(labels, self.players.c_dim)
            # Those of the batch in another order are labels of random rows of the data, too.
            inputs["label"] = jax.random.permutation(shuffling, labels)
            inputs["real_label"] = labels
        return inputs

    def _key(self, state: GanState, phase: int, purpose: int) -> jax.Array:
        """A function of step, phase and purpose alone, so that a restart repeats it."""
        key = jax.random.fold_in(state.key, state.step)
        return jax.random.fold_in(jax.random.fold_in(key, phase), purpose)

    # ---- regularisers of the generator ----

    def _equivariance_error(self, params, stats, images, ws, key):
        """Mean square by which moved images differ from images, moved; one motion a batch."""
        height, width = images.shape[1:3]
        bound = self.rules.max_translation
        right, down = jax.random.uniform(key, (2,), minval=-bound, maxval=bound)
        unit = min(height, width)
        zero, one = jnp.zeros(()), jnp.ones(())
        transform = jnp.stack([
            jnp.stack([one, zero, -right]),
            jnp.stack([zero, one, -down]),
            jnp.stack([zero, zero, one]),
        ])  # fmt: skip
        generator = merge(self.players.generator, params, stats)
        moved = generator.synthesis(ws, transform=transform)
        reference, mask = translate_lanczos(images, jnp.stack([down, right]) * unit)
        mask = jnp.broadcast_to(mask, images.shape[1:3])[..., None].astype(images.dtype)
        squared = jnp.square(moved - reference) * mask
        return squared.sum() / (mask.sum() * len(images) * images.shape[3])
