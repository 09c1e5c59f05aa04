"""Frame timing of DICOM multi-frame headers (PS3.3 C.7.6.5 Cine, C.7.6.6 Multi-frame): read it exactly, write it legally."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DEFAULT_RATE = Fraction(25)
"""Rate of a loop that says nothing of its timing: the middle of what ultrasound and endoscopy record; on the record as 'default'."""

BROADCAST_RATES: tuple[Fraction, ...] = tuple(
    Fraction(rate)
    for rate in (
        "24000/1001",
        "24",
        "25",
        "30000/1001",
        "30",
        "48",
        "50",
        "60000/1001",
        "60",
        "100",
        "120000/1001",
        "120",
        "15",
    )
)
"""Rates that equipment really runs at (SMPTE ST 12-1, Rec. BT.709); a rounded Frame Time is read as one of these."""

FRAME_TIME = 0x00181063
FRAME_TIME_VECTOR = 0x00181065
MAX_SHORT_VALUE_BYTES = 65534
"""Longest even value of a DS element: explicit VR gives it a 16-bit length (PS3.5 7.1.2)."""

_FLOAT_NOISE = Fraction(1, 10**6)
"""Relative error that single-precision arithmetic leaves in a printed period; neighbouring rates are 1000 times further apart."""

_LARGEST_DENOMINATOR = 100_000
"""Keeps numerator and denominator within the 32 bits that containers give to a time scale."""


@dataclass(frozen=True)
class Timing:
    """When frames are shown. ``vector_ms``: increments in ms, one a frame, the first 0; None when the rate is constant."""

    frame_rate: Fraction
    vector_ms: tuple[float, ...] | None
    source: str  # keyword of the attribute it was read from, or 'default'


def read_timing(dataset: Dataset, frames: int) -> Timing:
    """Timing of a multi-frame header: what Frame Increment Pointer names, else the best of what there is.

    Order of the rest: Frame Time Vector, Frame Time, Cine Rate, Recommended Display Frame Rate, Actual Frame Duration,
    Effective Duration divided by ``frames``, Enhanced functional groups, else 25/1 with source ``default``. A value that is no
    positive number is passed over. Vectors whose increments are all equal within their own rounding count as constant.
    """
    for reader in _readers(dataset):
        if timing := reader(dataset, frames):
            return timing
    return Timing(DEFAULT_RATE, None, "default")


def rate_of_period(text: str) -> Fraction:
    """Frames per second of a period in ms as printed in a DS or IS.

    33.367 → 30000/1001, 33.33 → 30, 33 → 30, 40 → 25: a broadcast rate is taken when its period rounds or is cut off to
    the digits printed; whole rates win where the digits cannot tell. Other periods give the exact quotient.

    Raises:
        ValueError: not a positive, finite number.
    """
    period = _decimal(text)
    matches = sorted(
        (rank, rate.denominator, rate) for rate in BROADCAST_RATES if (rank := _match(period, rate)) is not None
    )
    if matches:
        return matches[0][2]
    rate = (1000 / Fraction(period)).limit_denominator(_LARGEST_DENOMINATOR)
    if not rate:
        raise ValueError("a frame may not last longer than a day")
    return rate


def write_timing(dataset: Dataset, rate: Fraction, vector_ms: tuple[float, ...] | None) -> None:
    """Set Frame Time or Frame Time Vector, Frame Increment Pointer and the Cine attributes, in place.

    A source's own element is left as it is where it says the same. A vector is written only when it has one value a frame and
    its text fits the element. Cine Rate, Recommended Display Frame Rate and Effective Duration are filled in where absent.
    """
    from pydicom.tag import Tag

    frames = int(dataset.NumberOfFrames)
    if vector_ms is not None and len(vector_ms) == frames and _fits(vector_ms):
        _write_vector(dataset, vector_ms)
    else:
        _write_period(dataset, rate)
    dataset.FrameIncrementPointer = Tag(FRAME_TIME if "FrameTime" in dataset else FRAME_TIME_VECTOR)
    whole = max(1, round(rate))
    for keyword, value in (("CineRate", whole), ("RecommendedDisplayFrameRate", whole)):
        if _number(dataset, keyword) is None:
            setattr(dataset, keyword, value)
    if _number(dataset, "EffectiveDuration") is None:
        dataset.EffectiveDuration = legal_ds(Fraction(frames) / rate)
    for keyword in ("StartTrim", "StopTrim"):
        if (trim := _number(dataset, keyword)) is not None and trim > frames:
            setattr(dataset, keyword, frames)


def vector_of(ticks: Sequence[int], tick_ms: Fraction) -> tuple[float, ...] | None:
    """Frame Time Vector of frames shown at ``ticks`` of so many ms, ascending: the most exact that explicit VR holds, or None.

    Running times are rounded, so that no frame is off by more than half a unit of the last digit: 0.001 ms for up to about
    9,000 frames, 1 ms for up to about 20,000.
    """
    for digits in (3, 2, 1, 0):
        unit = tick_ms * 10**digits
        shown = [round((tick - ticks[0]) * unit) for tick in ticks]
        vector = (0.0, *((after - before) / 10**digits for before, after in pairwise(shown)))
        if _fits(vector):
            return vector
    return None


def legal_ds(value: Fraction | float) -> str:
    """Decimal String of at most 16 characters (PS3.5 6.2), the closest one."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


def _readers(dataset: Dataset) -> Iterator[Callable[[Dataset, int], Timing | None]]:
    pointed = {FRAME_TIME: _from_period("FrameTime"), FRAME_TIME_VECTOR: _from_vector}
    pointer = dataset.get("FrameIncrementPointer")
    # an enhanced pointer may name several attributes; the first one we know counts
    for tag in pointer if isinstance(pointer, list | tuple) or hasattr(pointer, "append") else [pointer]:
        if isinstance(tag, int) and int(tag) in pointed:
            yield pointed[int(tag)]
    yield _from_vector
    yield _from_period("FrameTime")
    yield _from_rate("CineRate")
    yield _from_rate("RecommendedDisplayFrameRate")
    yield _from_period("ActualFrameDuration")
    yield _from_duration
    yield _from_functional_groups


def _from_period(keyword: str) -> Callable[[Dataset, int], Timing | None]:
    def read(dataset: Dataset, _frames: int) -> Timing | None:
        text = _text(dataset, keyword)
        return None if text is None else Timing(rate_of_period(text), None, keyword)

    return read


def _from_rate(keyword: str) -> Callable[[Dataset, int], Timing | None]:
    def read(dataset: Dataset, _frames: int) -> Timing | None:
        number = _number(dataset, keyword)
        return None if number is None else Timing(number.limit_denominator(_LARGEST_DENOMINATOR), None, keyword)

    return read


def _from_vector(dataset: Dataset, frames: int) -> Timing | None:
    values = dataset.get("FrameTimeVector")
    texts = [str(value) for value in values] if hasattr(values, "append") else []
    if len(texts) < 2:
        return None
    try:
        increments = [_decimal(text) for text in texts[1:]]
    except ValueError:
        return None
    spread = max(increments) - min(increments)
    digits = min(int(increment.as_tuple().exponent) for increment in increments)
    unit, total = Decimal(1).scaleb(digits), sum(map(Fraction, increments), Fraction())
    mean = total / len(increments)
    if 0 < spread <= unit:
        return Timing(_rate_of_running_times(total, len(increments), Fraction(unit)), None, "FrameTimeVector")
    if not spread or len(texts) != frames:
        # increments of running rounded times: their mean is as much finer as there are tens of them
        fine = max(-digits, 0) + len(str(len(increments))) - 1
        text = f"{float(mean):.{fine}f}" if spread else str(increments[0])
        return Timing(rate_of_period(text), None, "FrameTimeVector")
    rate = (1000 / mean).limit_denominator(_LARGEST_DENOMINATOR)
    return Timing(rate, tuple(float(text) for text in texts), "FrameTimeVector")


def _rate_of_running_times(total: Fraction, frames: int, unit: Fraction) -> Fraction:
    """The rate whose running times, rounded or cut off to a unit, lead to this total of ms over so many frames.

    A broadcast rate is taken when its own total rounds to it, before one whose total is cut off to it; others give the mean.
    """
    for below, above in ((unit / 2, unit / 2), (unit, Fraction())):
        near = [rate for rate in BROADCAST_RATES if total - above <= frames * 1000 / rate < total + below]
        if near:
            return min(near, key=lambda rate: (abs(frames * 1000 / rate - total), rate.denominator))
    return (1000 * frames / total).limit_denominator(_LARGEST_DENOMINATOR)


def _from_duration(dataset: Dataset, frames: int) -> Timing | None:
    seconds = _number(dataset, "EffectiveDuration")
    if seconds is None or frames < 1:
        return None
    return Timing(rate_of_period(f"{float(seconds * 1000 / frames):.3f}"), None, "EffectiveDuration")


def _from_functional_groups(dataset: Dataset, _frames: int) -> Timing | None:
    """Frame Acquisition Duration (ms) of the shared or the first per-frame group (PS3.3 C.7.6.16.2.2)."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (dataset.get(keyword) or [])[:1]:
            for content in (group.get("FrameContentSequence") or [])[:1]:
                if number := _number(content, "FrameAcquisitionDuration"):
                    return Timing(rate_of_period(f"{float(number):.6f}"), None, "FrameAcquisitionDuration")
    return None


def _write_vector(dataset: Dataset, vector_ms: tuple[float, ...]) -> None:
    kept = dataset.get("FrameTimeVector")
    if not (hasattr(kept, "append") and tuple(float(value) for value in kept) == vector_ms):
        dataset.FrameTimeVector = list(map(_increment, vector_ms))
    if "FrameTime" in dataset:
        del dataset.FrameTime


def _write_period(dataset: Dataset, rate: Fraction) -> None:
    kept = _text(dataset, "FrameTime")
    if kept is None or rate_of_period(kept) != rate or len(kept) > 16:
        dataset.FrameTime = _period(rate)
    if "FrameTimeVector" in dataset:
        del dataset.FrameTimeVector


def _period(rate: Fraction) -> str:
    """1000 / ``rate`` in ms. 16 is also what 16.667 is cut off to; a zero more says that it is not."""
    text = legal_ds(1000 / rate)
    return text if math.isclose(rate_of_period(text), rate, rel_tol=1e-5) else f"{float(1000 / rate):.2f}"


def _fits(vector_ms: tuple[float, ...]) -> bool:
    return sum(len(_increment(value)) + 1 for value in vector_ms) <= MAX_SHORT_VALUE_BYTES


def _increment(value: float) -> str:
    """An increment as short as it can be: there are thousands."""
    return legal_ds(value).removesuffix(".0")


def _match(period: Decimal, rate: Fraction) -> int | None:
    """0: the rate's period rounds to the digits printed, 1: it is cut off to them, None: neither."""
    exact = 1000 / rate
    if abs(Fraction(period) - exact) <= exact * _FLOAT_NOISE:
        return 0
    plain = (
        period.to_integral_value() == period and int(period.as_tuple().exponent) >= -1
    )  # 16.0: a float's print of 16
    digits = Decimal(1).scaleb(0 if plain else int(period.as_tuple().exponent))
    printed = Decimal(exact.numerator) / Decimal(exact.denominator)
    if printed.quantize(digits, ROUND_HALF_UP) == period:
        return 0
    return 1 if printed.quantize(digits, ROUND_DOWN) == period else None


def _decimal(text: str) -> Decimal:
    """A positive finite number; ValueError otherwise."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError("no number") from None
    if not value.is_finite() or value <= 0 or not -20 < value.adjusted() < 9:
        raise ValueError("no positive number of a believable size")
    return value


def _text(dataset: Dataset, keyword: str) -> str | None:
    """Printed form of a positive number, or None: a header may hold anything, and another attribute may be sound."""
    try:
        value = dataset.get(keyword)
        return None if value is None else str(_decimal(str(value)))
    except (ValueError, TypeError, OverflowError, NotImplementedError):  # pydicom knows no such VR
        return None


def _number(dataset: Dataset, keyword: str) -> Fraction | None:
    text = _text(dataset, keyword)
    return None if text is None or not math.isfinite(float(text)) else Fraction(text)
