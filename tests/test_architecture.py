"""Dependencies point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, at the top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


LAYERS = (
    ("errors", "leads", "logs", "progress", "timings"),
    ("boundary", "columns", "shards", "recipe", "noise"),
    ("measurement", "generators"),
    ("inputs", "interpret"),
    ("dictionary", "digest"),
    ("rows", "store"),
    ("dataset", "plan"),
    ("second_opinion", "worker"),
    ("engines", "normal", "quality", "regenerate"),
    ("damage", "folder", "report"),
    ("finalise", "remaining", "verify"),
    ("build", "release"),
    ("measure_input", "publish", "schemas", "status"),
    ("api", "arguments", "doctor"),
    ("cli",),
)
"""The rooms of `pipeline/` from the ground up; a room may use its own layer's only inside itself."""
FLOOR = {room: floor for floor, rooms in enumerate(LAYERS) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_below_reaches_up(path: Path) -> None:
    names = imported(path)
    roots = {name.split(".")[0] for name in names}
    assert not roots & {"prefect", "flows", "deepfakeecg"}
    assert "ray" not in roots or path.parent == ROOT / "pipeline" / "engines"
    own = path.relative_to(ROOT / "pipeline").parts[0].removesuffix(".py")
    for name in names:
        if name.startswith("pipeline.") and own != "__init__" and room_of(name) != own:
            assert FLOOR[room_of(name)] < FLOOR[own], f"{own} imports {name}"


def test_the_measurement_knows_nothing_of_where_signals_come_from() -> None:
    allowed = ("pipeline.measurement", "pipeline.columns", "pipeline.errors", "pipeline.leads")
    for path in (ROOT / "pipeline" / "measurement").glob("*.py"):
        for name in imported(path):
            assert not name.startswith("pipeline") or name.startswith(allowed), f"{path.name} imports {name}"


def test_modules_can_be_read_in_one_sitting() -> None:
    assert max(len(path.read_text().splitlines()) for path in MODULES) <= 400
