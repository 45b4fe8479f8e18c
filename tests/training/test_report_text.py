"""aa_jax.training.report_text: numbers as people read them, and text that is only text."""

import html
import math
import xml.etree.ElementTree as ET

import hypothesis
import pytest
from hypothesis import strategies as st

from aa_jax.training.report_text import (
    escape,
    format_bytes,
    format_decimals,
    format_duration,
    format_number,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.7, "0.7"),
        (-0.56784, "−0.5678"),
        (13.25, "13.25"),
        (1234.5, "1 234"),
        (25000.0, "25 000"),
        (99999.7, "100 000"),
        (0.0026742, "0.002674"),
        (1e-3, "0.001"),
        (2.5e-7, "2.5×10⁻⁷"),
        (1e-10, "10⁻¹⁰"),
        (-1e12, "−10¹²"),
        (1.23456e100, "1.235×10¹⁰⁰"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_numbers(value, text):
    assert format_number(value) == text.replace(" ", "\u202f")


@hypothesis.given(st.floats(-1e15, 1e15))
def test_numbers_read_back(value):
    text = format_number(value).replace("\u202f", "").replace("−", "-")
    mantissa, _, power = (
        text.rpartition("10")
        if any(it in text for it in "⁰¹²³⁴⁵⁶⁷⁸⁹")
        else (
            text,
            "",
            "",
        )
    )
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    read = float({"": "1", "-": "-1"}.get(mantissa.rstrip("×"), mantissa.rstrip("×")))
    read *= 10.0 ** int(power.translate(digits) or 0)
    assert read == pytest.approx(value, rel=6e-4, abs=1e-300)


def test_decimals_and_units():
    assert format_decimals(-0.001, 1) == "0.0"
    assert format_decimals(-1234.56, 1) == "−1\u202f234.6"
    times = {5: "5 s", 65: "1 min 5 s", 3600: "1 h", 3660: "1 h 1 min", 273600: "3 d 4 h"}
    assert {seconds: format_duration(seconds) for seconds in times} == times
    assert [format_bytes(it) for it in (10, 300 << 10, 1500 << 10)] == [
        "1 KiB",
        "300 KiB",
        "1.5 MiB",
    ]


@hypothesis.given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_only_text(text):
    escaped = escape(text, longest=10**6)
    escaped.encode()  # nothing that UTF-8 can't hold
    element = ET.fromstring(f'<a b="{escaped}">{escaped}</a>')
    assert not len(element)
    kept = "".join(it if it.isprintable() else "" for it in element.text or "")
    assert kept.replace("\ufffd", "") == "".join(
        it for it in text if it.isprintable() and it not in "\ufffe\uffff\ufffd"
    )


def test_long_text_is_cut_before_it_is_escaped():
    assert html.unescape(escape("<" * 20, longest=5)) == "<<<<<…"
    assert escape("<") == "&lt;" and escape('"') == "&quot;" and escape("'") == "&#x27;"
    assert "\u202e" not in escape("a\u202eb")  # turns the direction of the text around it
