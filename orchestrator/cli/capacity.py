"""``cinefarm plan --procedures``: what a hospital's video needs, by specialty and in all."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from common.settings import Settings
from orchestrator.build import LEDGER_NAME, build_ledger
from orchestrator.capacity import Need, Speeds, Whole, read_hospital, reckon
from orchestrator.cli.plain import plain, stdout_console
from orchestrator.measured import measured
from orchestrator.reports import words


def run_capacity(path: Path, settings: Settings, *, as_json: bool) -> int:
    """Show it; returns 0. No farm is started, and a ledger is only read.

    Raises:
        PolicyError: the file is not one.
    """
    hospital = read_hospital(path)
    speeds = known_speeds(settings)
    whole = reckon(hospital, speeds)
    if as_json:
        for need in whole.needs:
            print(json.dumps(_need(need)))  # noqa: T201 the answer
        print(json.dumps(_whole(whole, speeds)))  # noqa: T201 the answer
    else:
        show(whole, speeds)
    return 0


def known_speeds(settings: Settings) -> Speeds:
    """What the ledger says of this farm; nothing where there is none, and none is made."""
    if not settings.ledger_url and not (settings.state_dir / LEDGER_NAME).exists():
        return Speeds()
    with build_ledger(settings).begin() as session:
        return measured(session)


def show(whole: Whole, speeds: Speeds) -> None:
    """A table by specialty, then the sums in sentences."""
    console, table = stdout_console(), Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    columns = (
        "specialty",
        "profile",
        "a day",
        "bit rate",
        "a procedure",
        "a day",
        "a month",
        "a year",
        "network",
        "work a day",
    )
    for name in columns:
        table.add_column(name, header_style="bold", justify="left" if name in columns[:2] else "right")
    for need in whole.needs:
        asked = need.specialty
        table.add_row(
            plain(asked.name),
            asked.profile,
            f"{asked.procedures_a_day:g}",
            f"{need.bit_rate / 1e6:.3g} Mbit/s",
            *(words.size(each) for each in (need.procedure_bytes, need.day_bytes, need.month_bytes, need.year_bytes)),
            f"{need.network_bit_rate / 1e6:.3g} Mbit/s",
            words.duration(need.work_seconds),
        )
    console.print(table)
    for sentence in sentences(whole, speeds):
        console.print(sentence, soft_wrap=True)


def sentences(whole: Whole, speeds: Speeds) -> list[str]:
    """What the sums mean for this site."""
    site, bit_rate = whole.site, whole.total("network_bit_rate") / 1e6
    said = [
        f"in all {words.size(whole.total('day_bytes'))} a day, {words.size(whole.total('month_bytes'))} a month, "
        f"{words.size(whole.total('year_bytes'))} a year; {bit_rate:.3g} Mbit/s to the archive in {site.hours_a_day:g} hours a day",
        f"{words.duration(whole.total('work_seconds'))} of encoding a day: {whole.workers_needed} at a time are needed, "
        f"{site.workers} on CPUs and {site.gpus} on devices are there",
    ]
    if whole.link_share is not None:
        said.append(
            f"the link is busy for {whole.link_share:.0%} of that time"
            + (": it does not suffice" if whole.link_share > 1 else "")
        )
    if whole.total("archive_bytes"):
        size = words.size(whole.total("archive_bytes"))
        days = "there is no time to migrate it beside the daily work"
        if whole.archive_days is not None:
            days = f"migrated beside the daily work in {whole.archive_days:.3g} days"
        said.append(f"the archive becomes {size}; {days}")
    basis = (
        f"{speeds.orders} encodes of this farm"
        if speeds.orders
        else "docs/estimates.md; this farm has encoded nothing yet"
    )
    said.append(f"speeds and sizes by {basis}. Content moves sizes by a factor of three either way.")
    return said


def _need(need: Need) -> dict[str, object]:
    asked = need.specialty
    return {
        "specialty": asked.name,
        "profile": asked.profile,
        "bits_per_second": need.bit_rate,
        "procedure_bytes": need.procedure_bytes,
        "day_bytes": need.day_bytes,
        "month_bytes": need.month_bytes,
        "year_bytes": need.year_bytes,
        "network_bits_per_second": need.network_bit_rate,
        "work_seconds_a_day": need.work_seconds,
        "archive_bytes": need.archive_bytes,
        "archive_work_seconds": need.archive_work_seconds,
        "measured": list(need.measured),
    }


def _whole(whole: Whole, speeds: Speeds) -> dict[str, object]:
    names = ("day_bytes", "month_bytes", "year_bytes", "archive_bytes")
    return {
        "summary": True,
        **{name: whole.total(name) for name in names},
        "network_bits_per_second": whole.total("network_bit_rate"),
        "work_seconds_a_day": whole.total("work_seconds"),
        "workers": whole.site.workers,
        "gpus": whole.site.gpus,
        "workers_needed": whole.workers_needed,
        "link_share": whole.link_share,
        "archive_days": whole.archive_days,
        "orders_measured": speeds.orders,
    }
