"""What goes wrong is one line with a documented exit status; logs are one object a line and hold no secret."""

import ast
import logging
import signal
from pathlib import Path

import pytest

from pipeline import errors
from pipeline.boundary import _Stop
from pipeline.cli import main
from pipeline.logs import log_event, logging_to
from tests.bad_day import Fault, Surroundings, events

ROOT = Path(__file__).parents[1]
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.FoundryError)
}
REMEDIES = (". ", "; ", " must ", " Give ", "{remedy}", "{_KINDS}", "{_MEANINGS[")
SECRETS = {
    "PREFECT_API_KEY": "pnu_1f0c7d1ae29b4c55",
    "PREFECT_API_AUTH_STRING": "admin:correct-horse",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENG",
    "RAY_AUTH_TOKEN": "b2c3e0a8d9f94d1c",
    "OSF_TOKEN": "osf-5up3rs3cr3t",
    "HF_TOKEN": "hf_QwErTyUiOp",
}


def test_every_kind_of_error_has_its_own_documented_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    own = [kind.exit_code for kind in KINDS.values() if "exit_code" in vars(kind)]
    statuses = [*own, errors.FAULT, 129, 130, 143]
    assert len(set(statuses)) == len(statuses)
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    documented = (ROOT / "docs" / "reliability.md").read_text()
    for status in statuses:
        assert f" {status} " in said.partition("Exit status")[2].replace(",", " ").replace(".", " ")
        assert f"| {status} |" in documented


def test_every_message_names_a_remedy() -> None:
    """A sentence or a clause behind the reason, in every place that raises one of our errors with words of its own."""
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            if getattr(node.exc.func, "id", "") not in KINDS or not node.exc.args:
                continue
            message = node.exc.args[0]
            if isinstance(message, ast.JoinedStr | ast.Constant | ast.BinOp):
                text = ast.unparse(message)
                assert any(remedy in text for remedy in REMEDIES), f"{path}: {text}"


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_of_the_program_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, debug: bool
) -> None:
    monkeypatch.setattr("pipeline.plan.plan_build", lambda *_, **__: 1 // 0)
    arguments = ["build", "--out", str(tmp_path / "d")]
    if debug:
        with pytest.raises(ZeroDivisionError):
            main(["--debug", *arguments])
        return
    assert main(arguments) == errors.FAULT == 70
    said = capsys.readouterr().err
    assert said.startswith("ecg-foundry: error: ZeroDivisionError: ")
    assert said.count("\n") == 1
    assert "This is a fault of the program: report it" in said


def test_a_line_of_log_is_one_object_whatever_is_in_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "log.jsonl"
    logger = logging.getLogger("pipeline.somewhere")
    with logging_to(file):
        log_event(logger, logging.WARNING, "shard failed", reason='two\nlines "quoted"', path=Path("ä"), attempt=1)
    log_event(logger, logging.WARNING, "behind the end")
    [line] = events(file)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "event": "shard failed",
        "reason": 'two\nlines "quoted"',
        "path": "ä",
        "attempt": 1,
    }
    assert caplog.messages[0] == 'shard failed: reason=two lines "quoted" path=ä attempt=1'


@pytest.mark.parametrize("where", ["dataset/log.jsonl", "nowhere/log.jsonl"])
def test_a_log_that_would_do_harm_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    out = tmp_path / "dataset"
    assert main(["build", "--records", "32", "--out", str(out), "--log", str(tmp_path / where)]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_a_failing_build_tells_everything_but_secrets(tmp_path: Path) -> None:
    """With all surroundings full of them, a worker that fails, --debug and --log."""
    here = Surroundings(tmp_path)
    log = tmp_path / "log.jsonl"
    fault = Fault("fail", "pipeline.worker.with_identity", times=99, given=32)
    command = ["pipeline.cli", "--debug", "build", "--records", "80", "--seed", "7", "--shard-records", "32"]
    process = here.start(
        *command, "--out", str(here.out), "--engine", "serial", "--log", str(log), fault=fault, **SECRETS
    )
    said = "".join(process.communicate(timeout=120))
    assert process.returncode != 0
    assert "a fault of the test's" in said
    kinds = [event["event"] for event in events(log)]
    assert kinds.count("shard made") == 2
    assert kinds.count("shard failed") == 4
    assert kinds.count("shard failed for good") == 1
    written = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    for secret in SECRETS.values():
        assert not any(secret in text for text in [said, *written])


def test_without_debug_it_is_one_line_that_names_shard_and_records(tmp_path: Path) -> None:
    here = Surroundings(tmp_path)
    fault = Fault("fail", "pipeline.worker.with_identity", times=99, given=32)
    process = here.build(fault=fault)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 5
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("ecg-foundry: error: 1 shard(s) could not be made: shard-00001 (records 32 to 63): ")
    assert "ValueError: a fault of the test's" in last


def test_a_log_that_is_lost_is_said_once_and_ends_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("pipeline.somewhere")
    with logging_to(Path("/dev/full")):
        for attempt in range(3):
            log_event(logger, logging.INFO, "shard made", attempt=attempt)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "/dev/full cannot be written" in said


def test_a_second_signal_cuts_nothing_short_but_one_is_never_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first may come where Python drops what it raises, as in the callback of a weak reference."""
    now = [100.0]
    monkeypatch.setattr("pipeline.boundary.monotonic", lambda: now[0])
    stop = _Stop()
    with pytest.raises(KeyboardInterrupt, match="143"):
        stop(signal.SIGTERM, None)
    now[0] += 5
    stop(signal.SIGINT, None)
    now[0] += 6
    with pytest.raises(KeyboardInterrupt, match="130"):
        stop(signal.SIGINT, None)


def test_a_log_in_a_loop_of_links_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "y")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    for log, out in (("x", "dataset"), ("log.jsonl", "x"), ("dataset", "dataset")):
        arguments = ["build", "--records", "32", "--engine", "serial", "--log", str(tmp_path / log)]
        assert main([*arguments, "--out", str(tmp_path / out)]) in {3, 4}
        assert capsys.readouterr().err.count("\n") == 1
        assert not (tmp_path / "dataset").exists()
