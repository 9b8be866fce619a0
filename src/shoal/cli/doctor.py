"""`shoal doctor`: is all that was submitted accounted for, and nothing left lying about?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shoal.cli.options import environment_option, json_option

if TYPE_CHECKING:
    from shoal.client_ports import Account, Finding


@click.command("doctor", short_help="Find what is lost, doubled or orphaned, and fix it.")
@environment_option
@json_option
@click.option("--fix", is_flag=True, help="Put right what can be.")
def command(environment: str | None, as_json: bool, fix: bool) -> None:
    """Check that submitted = finished + cancelled + queued + started, and look for what is lost.

    Ends with 0 when all is well, or was put right by --fix, else with 1.
    """
    from shoal.cli.main import EXIT_UNSUCCESSFUL
    from shoal.cli.output import say
    from shoal.core.errors import StoreDamaged
    from shoal.environment import find_local

    try:
        healthy = _examine(environment, as_json=as_json, fix=fix)
    except StoreDamaged:
        if not fix:
            raise
        from shoal.local.doctor import salvage  # only a file of ours can be damaged

        aside, saved = salvage(find_local(environment)[0])
        say(f"saved {saved:,} jobs into a new file; the damaged one is {aside}")
        healthy = _examine(environment, as_json=as_json, fix=fix)
    if not healthy:
        raise click.exceptions.Exit(EXIT_UNSUCCESSFUL)


def _examine(environment: str | None, *, as_json: bool, fix: bool) -> bool:
    from shoal.core.errors import StoreDamaged
    from shoal.environment import open_environment
    from shoal.pipeline.ledger import findings as pipeline_findings

    opened = open_environment(environment)
    try:
        doctor = opened.doctor()
        findings = [*doctor.examine(), *pipeline_findings(opened)]
        fixed = []
        for finding in findings if fix else ():
            if finding.code == "damaged":
                raise StoreDamaged(finding.what, finding.remedy)
            if finding.fix is not None:
                finding.fix()
                fixed.append(finding)
        account = doctor.account()
    finally:
        opened.close()
    _print(account, findings, fixed, as_json)
    return account.missing == 0 and len(fixed) == len(findings)


def _print(account: Account, findings: list[Finding], fixed: list[Finding], as_json: bool) -> None:
    from shoal.cli.output import one_line, print_json

    if as_json:
        print_json(
            {
                "account": {**account._asdict(), "missing": account.missing},
                "findings": [
                    {
                        "code": finding.code,
                        "what": finding.what,
                        "remedy": finding.remedy,
                        "fixed": finding in fixed,
                    }
                    for finding in findings
                ],
            }
        )
        return
    parts = " + ".join(
        f"{number:,} {name}" for name, number in account._asdict().items() if name != "submitted"
    )
    sign = "=" if account.missing == 0 else "≠"
    click.echo(f"{account.submitted:,} runs submitted {sign} {parts}")
    for finding in findings:
        done = "fixed" if finding in fixed else finding.remedy
        click.echo(f"{finding.code}: {one_line(finding.what)}: {done}")
    if not findings and account.missing == 0:
        click.echo("all is well")
