"""Reads a kernel's PTX: a list of instructions, and where their branches lead."""

import dataclasses
import re


class UnknownPTXError(Exception):
    """The program uses something that the emulator does not know."""


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
      name: with all its modifiers.
      operands: as written.
      predicate: register that says which threads run it, None for all of them.
      negated: whether they are the others.
      target: of a branch, the index of the instruction that it leads to.
    """

    name: str
    operands: tuple[str, ...]
    predicate: str | None
    negated: bool
    target: int | None = None


def parse(text: str) -> list[Instruction]:
    """Reads the text of one kernel."""
    code, labels = [], {}
    for line in text.splitlines():
        line = re.sub(r"//.*", "", line).strip()
        if scope := re.fullmatch(r"\{(.*;)\s*\}", line):
            line = scope[1]
        if label := re.fullmatch(r"([\w$]+):", line):
            labels.setdefault(label[1], []).append(len(code))
        elif line.endswith(";"):
            code += filter(None, map(_instruction, line.split(";")))
    return [_with_target(at, instruction, labels) for at, instruction in enumerate(code)]


def _instruction(text: str) -> Instruction | None:
    match = re.fullmatch(r"(?:@(!?)([%\w]+)\s+)?([a-zA-Z_][\w.:]*)\s*(.*)", text.strip())
    if not match:  # A directive, or nothing.
        return None
    return Instruction(match[3], tuple(_split(match[4])), match[2], match[1] == "!")


def _split(text: str) -> list[str]:
    """Splits at the commas outside of brackets and braces."""
    parts = re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|[^,{\[])+", text)
    return [part.strip() for part in parts if part.strip()]


def _with_target(at: int, instruction: Instruction, labels: dict) -> Instruction:
    if not instruction.name.startswith("bra"):
        return instruction
    # Inline code repeats its labels, each in a scope of its own: a loop that waits, and its end.
    (label,) = instruction.operands
    target = min(labels[label], key=lambda index: abs(index - at))
    if len(labels[label]) > 1:
        after = label == "DONE"
        if not after and label != "LAB_WAIT":
            raise UnknownPTXError(f"the emulator expects one label {label!r}, not several")
        nearest = [index for index in labels[label] if (index > at) == after]
        target = min(nearest) if after else max(nearest)
    return dataclasses.replace(instruction, target=target)
