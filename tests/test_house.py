"""The house in order: who imports whom, what is public, what is instant, what the README says."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "moce_cli"

# who may import whom: a module and what lies below it
BELOW = {
    "errors": set(),
    "wording": set(),
    "runtime": {"errors"},
    "psnr": {"errors"},
    "network": {"errors"},
    "tiling": {"errors"},
    "checkpoints": {"errors", "runtime", "network"},
    "pictures": {"errors", "runtime"},
    "folders": {"errors", "pictures"},
    "degradations": {"errors", "runtime", "pictures"},
    "restoration": {"errors", "runtime", "network", "checkpoints", "pictures", "tiling"},
}
BELOW["batch"] = BELOW["restoration"] | {"restoration", "degradations"}
BELOW["training"] = BELOW["evaluation"] = BELOW["bench"] = BELOW["batch"]
BELOW["compare"] = BELOW["batch"] | {"evaluation"}
BELOW["cli"] = BELOW["batch"] | {"batch", "training", "evaluation", "bench", "compare"}

# which outside packages may be imported where
OUTSIDE = {
    "errors": set(),
    "wording": set(),
    "runtime": {"torch"},
    "psnr": {"numpy", "torch"},
    "folders": {"numpy"},
    "network": {"torch"},
    "tiling": {"numpy"},
    "checkpoints": {"torch", "numpy", "safetensors", "huggingface_hub"},
    "pages": set(),
    "pictures": {"numpy", "PIL", "cv2"},
    "degradations": {"torch", "numpy", "PIL"},
    "restoration": {"torch", "numpy", "PIL"},
    "batch": {"fsspec", "ray"},
    "bench": {"torch", "numpy", "matplotlib"},
    "evaluation": {"torch", "numpy", "PIL"},
    "compare": {"numpy", "PIL"},
    "training": {"torch", "numpy", "PIL", "matplotlib"},
    "cli": {"typer", "rich", "torch", "cv2"},
}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            if node.module == "moce_cli":
                yield from (f"moce_cli.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_imports_upward(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    for name in imports(path):
        words = name.split(".")
        if words[0] == "moce_cli":
            if len(words) > 1 and words[1] != part and (PACKAGE / words[1]).exists():
                assert words[1] in BELOW[part], f"{part} imports {name}"
        elif words[0] not in sys.stdlib_module_names:
            assert words[0] in OUTSIDE[part], f"{part} imports {name}"


def test_every_part_of_the_house_is_known():
    parts = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in modules()}
    assert parts - {"__init__", "__main__"} <= set(OUTSIDE)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".network",
        ".checkpoints",
        ".degradations",
        ".pictures",
        ".pictures.large",
        ".tiling",
        ".restoration",
        ".batch",
        ".evaluation",
        ".compare",
        ".bench",
    ],
)
def test_exported_names_exist_and_are_named_once(name):
    module = __import__(f"moce_cli{name}", fromlist=["__all__"])
    assert all(hasattr(module, member) for member in module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)


def test_only_the_command_line_prints():
    for path in modules():
        if "cli" in path.relative_to(PACKAGE).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                line = path.read_text(encoding="utf-8").splitlines()[node.lineno - 1]
                assert "T201 --" in line, f"{path}:{node.lineno} prints"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["restore", "--help"],
        ["eval", "--help"],
        ["compare", "--help"],
        ["bench", "--help"],
        ["models", "ls"],
    ],
)
def test_what_must_be_instant_imports_nothing_slow(words):
    code = (
        "import sys; from moce_cli.cli.app import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'cv2', 'huggingface_hub', 'numpy'} & set(sys.modules)\n"
        "print('slow:', sorted(slow))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    assert seen.stdout.splitlines()[-1] == "slow: []"


def test_every_ignore_has_a_reason():
    mark = re.compile(r"#\s*(noqa(?!:)|noqa:[^#]*|type: ignore[^#]*|pyright: ignore[^#]*)")
    for path in [*modules(), *(ROOT / "examples").glob("*.py")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := mark.search(line):
                assert " -- " in found[0] or " - " in found[0], f"{path}:{number} gives no reason"


def test_files_are_small():
    for path in modules():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path


def test_nothing_large_but_weights():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    ).stdout.split(b"\0")
    for name in filter(None, listed):
        path = ROOT / name.decode()
        limit = 30e6 if path.parent.name == "weights" else 2e6
        assert not path.is_file() or path.stat().st_size < limit, path
