"""The body of the TPU kernel: one step of a program; see `pallas_tpu_plan` for the walk.

A group of temporary rows passes through five stations, all in VMEM:

    input rows --vertical up, vector unit--> `upped` --horizontal up, matrix unit--> activation
    --> `active` --horizontal down, matrix unit--> `downed` --vertical down, vector unit--> output

Filtering vertically outside and horizontally inside keeps the vector unit on the small side of
either resampling; the matrix unit sees each row twice, in whole blocks.

float32 is two numbers of type bfloat16 to the matrix unit (signal and taps; all four products are
summed, relative error about 2**-17), bfloat16 is one, with taps in two so that the stop band holds.
"""

import functools

from jax import lax, numpy as jnp
from jax.experimental import pallas as pl

from aa_jax.ops.filtered_activation.pallas_tpu_arithmetic import (
    loop,
    product,
    slopes_of,
    slot_of,
    slots_from,
    split,
    value_and_code,
    weighted,
)
from aa_jax.ops.filtered_activation.pallas_tpu_bands import ALIGN, ALIGN_CODES
from aa_jax.ops.filtered_activation.pallas_tpu_plan import Plan, Rows
from aa_jax.ops.filtered_activation.piecewise import ROWS_PER_BYTE

# Columns that the vector unit filters at a time: few enough for all rows to stay in registers.
_UP_COLUMNS, _DOWN_COLUMNS = 32, 16
# Products in flight: enough to hide the latency of the matrix unit, few enough to compile fast.
_PRODUCTS = 12


def step(plan: Plan, *refs, mode: str):
    """Runs step `pl.program_id(2)` of one image and one block of channels.

    Args:
      plan: the walk.
      *refs: the input rows of this step; for "gated" the codes of its temporary rows; the
        matrices of `up` and `down`; the output block; for "codes" the codes' block; the buffers
        of `Plan.scratch`.
      mode: "plain", "codes" (activation, codes written) or "gated" (slopes from codes).
    """
    x, *refs = refs
    codes_in, refs = (refs[0], refs[1:]) if mode == "gated" else (None, refs)
    up_matrix, down_matrix, y, *refs = refs
    codes_out, refs = (refs[0], refs[1:]) if mode == "codes" else (None, refs)
    input_rows, upped, active, codes, downed = refs
    rows, index = plan.rows, pl.program_id(2)

    @pl.when(index == 0)
    def _():
        _clear(plan, input_rows, active, downed)

    _receive(plan, index, x, input_rows)
    per_step = rows.tall // rows.group
    first_group = index * per_step - rows.lag // rows.group

    def group(position):
        start = (first_group + position) * rows.group
        byte_row = position * (rows.group // ROWS_PER_BYTE)
        _filter_up_vertically(plan, start, input_rows, upped)
        if mode == "gated":
            _copy_codes(plan, codes_in, byte_row, codes, 0)
        _activate(plan, upped, up_matrix, active, codes, mode)
        if mode == "codes":
            _copy_codes(plan, codes, 0, codes_out, byte_row)
        _filter_down_horizontally(plan, start, active, down_matrix, downed)

    def zero_group(position):
        start = (first_group + position) * rows.group
        loop(0, rows.group, lambda row: _zero_row(plan, start + row, downed))

    # Groups before the first and after the last row of the temporary grid.
    begin = jnp.clip(-first_group, 0, per_step)
    end = jnp.clip(rows.groups - first_group, begin, per_step)
    loop(begin, end, group)
    loop(end, per_step, zero_group)

    @pl.when(index >= rows.out_lag)
    def _():
        _filter_down_vertically(plan, (index - rows.out_lag) * rows.tall, downed, y)


def _clear(plan: Plan, input_rows, active, downed):
    """Zeros what lies outside of the signals: margins, and rows above the first."""
    for buffer in (input_rows, active):
        loop(0, buffer.shape[0], functools.partial(_zero_slot, buffer))
    loop(-plan.rows.down.offset, 0, lambda row: _zero_row(plan, row, downed))


def _zero_slot(buffer, slot):
    buffer[slot] = jnp.zeros(buffer.shape[1:], buffer.dtype)


def _zero_row(plan: Plan, row, downed):
    """A temporary row that doesn't exist."""
    slot = slot_of(row, plan.rows.down.offset, plan.rows.temporary_ring)
    _zero_slot(downed, slot)


def _receive(plan: Plan, index, x, input_rows):
    """Puts the rows of this step into the ring, as float32, zeros below the image."""
    rows, shift, width = plan.rows, plan.up.shift, plan.stage.size[1]

    def receive(position):
        row = index * rows.fresh + position
        value = jnp.where(row < rows.up.size_in, x[position].astype(jnp.float32), 0.0)
        slot = _input_slot(rows, row)
        input_rows[slot, shift : shift + width] = value

    loop(0, rows.fresh, receive)


def _input_slot(rows: Rows, row):
    return slot_of(row, rows.lag // rows.up.up - rows.first_input, rows.input_ring)


def _filter_up_vertically(plan: Plan, start, input_rows, upped):
    """Interpolates the rows of a group between input rows and splits them for the matrix unit."""
    rows = plan.rows
    used = sorted({sample for taps in rows.taps for _, sample in taps})
    slots = slots_from(
        _input_slot(rows, lax.div(start, jnp.int32(rows.up.up)) + rows.first_input),
        rows.input_ring,
        [sample - rows.first_input for sample in used],
    )

    def chunk(position):
        columns = pl.ds(pl.multiple_of(position * _UP_COLUMNS, _UP_COLUMNS), _UP_COLUMNS)
        values = {
            sample: input_rows[slot, columns] for sample, slot in zip(used, slots, strict=True)
        }
        zeros = jnp.zeros((_UP_COLUMNS, input_rows.shape[2]), jnp.float32)
        for row, pairs in enumerate(rows.taps):
            for number, (vertical, _) in enumerate(plan.stage.up.terms):
                total = weighted([(vertical[tap], values[sample]) for tap, sample in pairs])
                total = zeros if total is None else total
                if rows.up.size_out % rows.group:
                    total = jnp.where(start + row < rows.up.size_out, total, 0.0)
                for part, piece in enumerate(split(total, plan.parts)):
                    upped[number * plan.parts + part, row, columns] = piece

    loop(0, input_rows.shape[1] // _UP_COLUMNS, chunk)


def _activate(plan: Plan, upped, up_matrix, active, codes, mode: str):
    """Finishes the rows of a group on the temporary grid and applies the pointwise function."""
    band, activation = plan.up, plan.stage.activation

    def block(position):
        window = pl.ds(pl.multiple_of(band.start + position * band.advance, ALIGN), band.window)
        outputs = pl.ds(pl.multiple_of(position * band.block, ALIGN_CODES), band.block)
        targets = pl.ds(pl.multiple_of(plan.down.shift + position * band.block, ALIGN), band.block)
        matrix = up_matrix[jnp.where(position == band.count - 1, 1, 0)]
        packed = [jnp.zeros((band.block, codes.shape[2]), jnp.int32)] * codes.shape[0]
        if mode == "gated":
            packed = [codes[byte, outputs].astype(jnp.int32) for byte in range(len(packed))]
        for row in range(plan.rows.live):
            byte, bits = row // ROWS_PER_BYTE, 2 * (row % ROWS_PER_BYTE)
            u = product(matrix, [upped[i, row, window] for i in range(upped.shape[0])], band.wide)
            if mode == "gated":
                value = u * slopes_of(activation, (packed[byte] >> bits) & 3)
            else:
                value, code = value_and_code(activation, u, bits if mode == "codes" else None)
                packed[byte] = packed[byte] | code
            for part, piece in enumerate(split(value, plan.parts)):
                active[part, row, targets] = piece
        if mode == "codes":
            for byte, value in enumerate(packed):
                codes[byte, outputs] = value.astype(jnp.uint8)

    loop(0, band.count, block, together=_PRODUCTS // plan.rows.live or 1)


def _copy_codes(plan: Plan, source, source_row, target, target_row):
    """Copies the bytes of a group between the codes' block and the padded buffer."""
    width = plan.stage.temporary_size[1]
    for byte in range(-(-plan.rows.live // ROWS_PER_BYTE)):
        target[target_row + byte, :width] = source[source_row + byte, :width]


def _filter_down_horizontally(plan: Plan, start, active, down_matrix, downed):
    """Filters and decimates the rows of a group along columns, for every term."""
    band, rows = plan.down, plan.rows
    terms = downed.shape[1]
    slots = slots_from(
        slot_of(start, rows.down.offset, rows.temporary_ring),
        rows.temporary_ring,
        range(rows.group),
    )

    def block(position):
        window = pl.ds(pl.multiple_of(band.start + position * band.advance, ALIGN), band.window)
        outputs = pl.ds(pl.multiple_of(position * band.block, 8), band.block)
        for row in range(rows.live):
            filtered = product(
                down_matrix[...],
                [active[part, row, window] for part in range(plan.parts)],
                band.wide,
            )
            for term in range(terms):
                of_term = slice(term * band.block, (term + 1) * band.block)
                downed[slots[row], term, outputs] = filtered[of_term]

    loop(0, band.count, block, together=_PRODUCTS // plan.rows.live or 1)
    for row in range(rows.live, rows.group):
        _zero_row(plan, start + row, downed)


def _filter_down_vertically(plan: Plan, start, downed, y):
    """Finishes an output block; its first row's first tap is at temporary row start - offset."""
    rows, axis = plan.rows, plan.rows.down
    together = next(count for count in (4, 2, 1) if rows.out % count == 0)
    width = plan.stage.out_size[1]
    reach = (together - 1) * axis.down + axis.taps
    verticals = [vertical for vertical, _ in plan.stage.down.terms]

    def some_rows(position):
        first = start + position * (together * axis.down) - axis.offset
        slots = slots_from(
            slot_of(first, axis.offset, rows.temporary_ring), rows.temporary_ring, range(reach)
        )

        def chunk(columns):
            totals = [None] * together
            for term, vertical in enumerate(verticals):
                values = [downed[slot, term, columns] for slot in slots]
                for row in range(together):
                    window = values[row * axis.down : row * axis.down + axis.taps]
                    totals[row] = weighted(zip(vertical, window, strict=True), totals[row])
            for row, total in enumerate(totals):
                if total is None:
                    total = jnp.zeros(values[0].shape, jnp.float32)
                y[position * together + row, columns] = total.astype(y.dtype)

        whole = width // _DOWN_COLUMNS

        def chunk_at(number):
            chunk(pl.ds(pl.multiple_of(number * _DOWN_COLUMNS, _DOWN_COLUMNS), _DOWN_COLUMNS))

        loop(0, whole, chunk_at)
        if width % _DOWN_COLUMNS:
            chunk(pl.ds(whole * _DOWN_COLUMNS, width % _DOWN_COLUMNS))

    loop(0, rows.out // together, some_rows)
