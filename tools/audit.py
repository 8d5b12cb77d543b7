"""``make audit``: known vulnerabilities of what ``constraints.txt`` pins, as pip-audit finds them.

Fails on findings. A machine that cannot ask a vulnerability service is told so, and is no failure:
pip-audit itself counts a package that its service does not know as one without vulnerabilities.
Arguments are pip-audit's own, such as ``--vulnerability-service osv``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def main(arguments: list[str]) -> int:
    """Audits and prints; returns the exit code."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS)),
            *("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"),
            *arguments,
        ],
        capture_output=True,
        text=True,
    )
    if ran.returncode == 2:  # wrong use
        print(ran.stderr)
        return 2
    try:
        packages: list[dict[str, Any]] = json.loads(ran.stdout)["dependencies"]
    except ValueError:
        why = ran.stderr.strip().rpartition("\n")[2]
        print(f"not audited: the vulnerability service does not answer ({why})")
        return 0
    return _report(packages)


def _report(packages: list[dict[str, Any]]) -> int:
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):
        print("not audited: the vulnerability service knows none of the packages; is it a mirror?")
        return 0
    found = 0
    for package in packages:
        for vulnerability in package.get("vulns", ()):
            found += 1
            fixed = ", ".join(vulnerability["fix_versions"]) or "nothing yet"
            print(
                f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}"
            )
    print(f"{len(packages) - len(unknown)} packages audited, {found} vulnerabilities known")
    if unknown:
        print(f"not known to the service: {', '.join(unknown)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
