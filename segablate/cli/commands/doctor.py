"""``segablate doctor``: what is installed, which devices there are, and a self-test."""

import time
from typing import Annotated

import typer

from segablate.cli.options import OutputOptions


def doctor(
    *,
    device: Annotated[str, typer.Option(help="Device of the self-test: auto, cpu, cuda or cuda:N.")] = "auto",
    no_test: Annotated[bool, typer.Option("--no-test", help="Leave out the self-test.")] = False,
    output: OutputOptions,
) -> None:
    """Check the installation: versions, devices, extras, cache, and a self-test of some seconds.

    The exit code is 1 for faults; missing extras are none.
    """
    from segablate.diagnosis.machine import check_devices, check_folders, check_versions
    from segablate.diagnosis.packages import check_packages
    from segablate.diagnosis.self_test import self_test
    from segablate.render import print_report
    from segablate.tables.diagnosis import diagnosis_report

    started = time.monotonic()
    sections = {
        "Versions": check_versions(),
        "Devices": check_devices(),
        "Extras": check_packages(),
        "Folders": check_folders(),
        **({} if no_test else {"Self-test": self_test(device)}),
    }
    report = diagnosis_report(sections, time.monotonic() - started)
    print_report(report, output.format, wide=output.wide)
    if any(check.state == "fault" for checks in sections.values() for check in checks):
        raise typer.Exit(1)
