"""``objectclassification rule add|list|remove`` and ``verdicts``."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(
        help="Rules: what makes a picture ok or ng (no good).", no_args_is_help=True
    )
    group.command()(add)
    group.command("list")(list_)
    group.command()(remove)
    app.add_typer(group, name="rule")
    app.command()(verdicts)


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    ok: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="A class or label that is good; may be repeated."),
    ] = None,
    ng: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="A class or label that is not; may be repeated."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(metavar="HEAD", help="Whose answer it looks at; without: at the best label."),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Whose pictures; may be repeated. Without: everybody's."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="S",
            help="Below it a label is unsure, and a box does not count; without: as `unsure` "
            "shows, and 0.5 for boxes.",
        ),
    ] = None,
    count: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Count the boxes with this label instead."),
    ] = None,
    least: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="So many boxes are ok, fewer are ng.")
    ] = None,
    most: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="So many boxes are ok, more are ng.")
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Judge pictures by a rule, from now on.

    With --ok alone everything else is ng; with --ng alone everything else is ok; with both,
    everything else is unsure. With --count, --least and --most the number of boxes decides.
    Of several rules the worst counts: ng, unsure, ok.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    wanted = {
        "name": name,
        "cameras": camera or [],
        "head": head,
        "ok": ok or [],
        "ng": ng or [],
        "min_score": min_score,
        "count": count,
        "least": least,
        "most": most,
    }
    with Http(find_connection(server, token_file, ca)) as http:
        made = http.json("POST", "/api/rules", wanted)
    if json:
        print(jsonlib.dumps(made))
    else:
        print(f"{made['name']} judges pictures from now on")


def list_(
    json: AsJson = False, server: Server = None, token_file: TokenFile = None, ca: Ca = None
) -> None:
    """List the rules."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        found = http.json("GET", "/api/rules")
    if json:
        print(jsonlib.dumps(found))
        return
    if not found:
        typer.echo("no rules yet: objectclassification rule add --help", err=True)
        return
    rows = []
    for rule in found:
        cameras = ", ".join(rule["cameras"]) or "all"
        rows.append((rule["name"], cameras, *_shown(rule)))
    new_console().print(Rows(("rule", "cameras", "looks at", "ok", "ng"), rows))


def _shown(rule: dict[str, Any]) -> tuple[str, str, str]:
    """What a rule looks at, what is ok and what is ng."""
    score = "" if rule["min_score"] is None else f", from {rule['min_score']:g}"
    if rule["count"] is not None:
        return f"boxes of {rule['count']}{score}", _range(rule["least"], rule["most"]), "all else"
    seen = rule["head"] or f"the best label{score}"
    good, bad = (
        "\n".join(rule[mine]) or ("all else" if rule[others] else "")
        for mine, others in (("ok", "ng"), ("ng", "ok"))
    )
    return seen, good, bad


def _range(least: int | None, most: int | None) -> str:
    if most is None:
        return f"{least} or more"
    if not least:
        return f"{most} at most" if most else "none"
    return str(least) if least == most else f"{least} to {most}"


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The rule, as `rule list` shows it.")],
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Remove a rule; what it said of pictures stays."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        http.json("DELETE", f"/api/rules/{quote(name, safe='')}")


def verdicts(
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this camera's pictures.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From when, as 2026-11-22T10:00:00Z; a day ago if not."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when; now if not given.")
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Count the pictures that were ok, ng and unsure, by the hour."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    asked = {"camera": camera, "since": since, "until": until}
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    with Http(find_connection(server, token_file, ca)) as http:
        found: list[dict[str, Any]] = http.json("GET", f"/api/verdicts?{query}")
    if json:
        print(jsonlib.dumps(found))
        return
    if not found:
        typer.echo(
            "no picture was judged in that time: `rule add` makes rules, --since looks back",
            err=True,
        )
        return
    kinds = ("ok", "ng", "unsure")
    rows = [(row["hour"][:16].replace("T", " "), *(row[name] for name in kinds)) for row in found]
    rows.append(("all", *(sum(row[name] for row in found) for name in kinds)))
    new_console().print(Rows(("hour (UTC)", *kinds), rows, right=kinds))
