"""Writes what each engine can do into `docs/engines.md`, between the two marks: of the same lists that engines and their tests use.

python .ci/engines_table.py [docs/engines.md]
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from shoal._core.schema.engine_limits import CAPABILITIES, INLINE, NATIVE, EngineLimits

BEGIN, END = "<!-- written by .ci/engines_table.py -->", "<!-- end -->"
ADAPTERS = (
    ("ray", "shoal.integrations.ray.limits", "RAY"),
    ("ray://", "shoal.integrations.ray.limits", "RAY_CLIENT"),
    ("dask", "shoal.integrations.dask.limits", "DASK"),
)


def engines() -> dict[str, EngineLimits]:
    """Returns the limits of all engines, by the heading of their column."""
    found = {"native": NATIVE, "inline": INLINE}
    for heading, module, name in ADAPTERS:
        found[heading] = getattr(importlib.import_module(module), name)
    return found


def table(limits: dict[str, EngineLimits]) -> str:
    """Returns the table, and below it what to do instead of what is missing."""
    lines = [
        f"| | {' | '.join(limits)} |",
        f"|---|{'---|' * len(limits)}",
    ]
    for capability, meaning in CAPABILITIES.items():
        cells = ("yes" if capability in one.capabilities else "no" for one in limits.values())
        lines.append(f"| {meaning} (`{capability}`) | {' | '.join(cells)} |")
    lines += ["", "Where the table says *no*:", ""]
    for heading, one in limits.items():
        for capability in CAPABILITIES:
            if capability in one.missing:
                lines.append(f"- {heading}, `{capability}`: {one.missing[capability]}")
    return "\n".join(lines)


def rewritten(page: str) -> str:
    """Returns a page with the table of now between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(engines())}\n{END}{after}"


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/engines.md")
    path.write_text(rewritten(path.read_text()))


if __name__ == "__main__":
    main()
