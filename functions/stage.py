"""Stages a folder per function, out of which its image is built: `python functions/stage.py [FOLDER]`.

Each is complete: `docker build` works in it, and so do `fn build` and `fn deploy`.
"""

import shutil
import sys
from pathlib import Path
from string import Template

CHECKOUT = Path(__file__).resolve().parents[1]
FUNCTIONS = {
    "store-data": {"memory": 256, "timeout": 30},
    "process-data": {"memory": 512, "timeout": 300},
}
"""Memory in MB and time-out in seconds, as Terraform sets them too."""


def main() -> None:
    """Stage all functions in the folder, and say where."""
    sys.path.insert(0, str(CHECKOUT))
    from shared import VERSION

    build = Path(sys.argv[1] if len(sys.argv) > 1 else CHECKOUT / "build")
    for name, limits in FUNCTIONS.items():
        print(stage(build / name, name, {"version": VERSION, **limits}))


def stage(folder: Path, name: str, values: dict[str, object]) -> Path:
    """Fill a folder, which is emptied first, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CHECKOUT / "shared", folder / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (
        f"functions/{name}/func.py",
        "functions/Dockerfile",
        "functions/slim.py",
        "requirements.txt",
    ):
        shutil.copy(CHECKOUT / path, folder)
    template = Template((CHECKOUT / "func.yaml.template").read_text())
    (folder / "func.yaml").write_text(template.substitute(values, name=name))
    return folder


if __name__ == "__main__":
    main()
