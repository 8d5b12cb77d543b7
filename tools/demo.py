"""What ``make run`` shows: a server, a camera, a snap, and the address, until Ctrl-C.

The camera is the machine's first one, else a folder of real photographs that scikit-image ships.
Everything it makes is in ``.demo``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

DEMO = Path(".demo").resolve()
COMMAND = [sys.executable, "-m", "objectclassification"]
PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
STOP_TIMEOUT_S = 15.0


def main() -> int:
    """Runs the demo.

    Returns:
        The exit code.
    """
    port = os.environ.get("PORT", "8000")
    source = find_source()
    with ExitStack() as stack:
        server = stack.enter_context(
            program("serve", "--port", port, "--data", str(DEMO / "data"), "--log-level", "warning")
        )
        lines = read_until(server, "data:")
        if lines is None:
            print("the server did not start; another port: make run PORT=8001")
            return 1
        url = next(word for line in lines for word in line.split() if word.startswith("http"))
        url = url.partition("/?")[0].rstrip("/")
        token = (DEMO / "data" / "admin-token").read_text().strip()
        env = {"OBJECTCLASSIFICATION_TOKEN": token, "OBJECTCLASSIFICATION_SERVER": url}
        camera = stack.enter_context(
            program(
                *("camera", url, "--name", "demo", "--source", source, "--log-level", "warning"),
                *("--path", str(DEMO / "opencv_frame_0.jpg"), "--spool", str(DEMO / "spool")),
                env={**env, "OBJECTCLASSIFICATION_TOKEN": camera_token(env)},
            )
        )
        if read_until(camera, "ready") is None:
            print("the camera program did not start")
            return 1
        print(f"\n$ objectclassification snap demo      (its camera: {source})", flush=True)
        snapped = subprocess.run([*COMMAND, "snap", "demo"], env=os.environ | env, check=False)
        if snapped.returncode == 0:
            stay_up(camera, url, token)
        return snapped.returncode


def find_source() -> str:
    """The first video device, else a folder of photographs."""
    listed = subprocess.run([*COMMAND, "devices", "--json"], capture_output=True, check=False)
    devices = json.loads(listed.stdout or "[]") if listed.returncode == 0 else []
    if devices:
        return str(devices[0]["source"])
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("no camera here and no photographs: pip install '.[demo]'")
    folder = DEMO / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        shutil.copy(Path(spec.origin).with_name("data") / name, folder / name)
    return str(folder)


def camera_token(env: dict[str, str]) -> str:
    """A token of the demo camera's own, as the two-machine way has it."""
    made = subprocess.run(
        [*COMMAND, "token", "add", "--camera", "demo", "--json"],
        env=os.environ | env,
        capture_output=True,
        check=True,
    )
    return str(json.loads(made.stdout)["token"])


@contextmanager
def program(*arguments: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Starts one of our commands, and ends it on the way out."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=os.environ | (env or {}),
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # Ctrl-C is for this script, which stops them in order
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_until(process: subprocess.Popen[str], word: str) -> list[str] | None:
    """Reads a program's lines up to one with a word; None if it ended before."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return lines
    return None


def stay_up(camera: subprocess.Popen[str], url: str, token: str) -> None:
    """Says where the page is, and shows what the camera prints, until Ctrl-C."""
    assert camera.stdout is not None  # noqa: S101 - it is a pipe
    try:
        print(f"\nServer and camera are up. Open   {url}/?token={token}")
        print("and from another terminal:       .venv/bin/objectclassification snap demo")
        print("Ctrl-C stops them.", flush=True)
        for line in camera.stdout:
            print(line, end="", flush=True)
    except KeyboardInterrupt:
        print("\nstopping …")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it stops as with Ctrl-C
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
