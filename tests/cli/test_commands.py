"""Each command on real files: what it prints, as text and as JSON, and how it refuses."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import spacec as package
from tests.cli.running import Done

Run = Callable[..., Done]
DARTS = "grammars/darts.space"
NB201 = "grammars/nas_bench_201.space"
TABULAR = "grammars/tabular.space"

BROKEN = """\
space broken
input  image:  [3, 32, 32]
output logits: [10]
def edge = a: conv(3, 16) | b: conv(3, 32)
net = edge >> global_pol >> linear(10)
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.space"
    path.write_text(BROKEN)
    return path


def test_check_says_what_is_sound(spacec: Run) -> None:
    done = spacec("check", DARTS, NB201)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [f"{DARTS}: no errors", f"{NB201}: no errors"]


def test_check_reports_every_error_of_every_file(spacec: Run, broken: Path, tmp_path: Path) -> None:
    done = spacec("check", broken, NB201, tmp_path / "absent.space", "--format", "concise")
    assert done.code == 1
    lines = done.out.splitlines()
    assert any(line.startswith(f"{broken}:4:") for line in lines)
    assert any("global_pol" in line and line.startswith(f"{broken}:5:") for line in lines)
    assert any("there is no file" in line for line in lines)


def test_check_speaks_to_machines(spacec: Run, broken: Path) -> None:
    done = spacec("check", broken, "--format", "json")
    found = json.loads(done.out)
    assert {item["line"] for item in found} == {4, 5}
    assert all(re.fullmatch(r"E\d{4}", item["code"]) for item in found)
    done = spacec("check", broken, "--format", "github")
    assert all(line.startswith("::error file=") for line in done.out.splitlines())
    assert json.loads(spacec("check", NB201, "--format", "json").out) == []


def test_a_wrong_parameter_is_shown_where_it_is_declared(spacec: Run) -> None:
    done = spacec("info", DARTS, "-p", "layer=20")
    assert done.code == 1
    assert "no parameter `layer`" in done.err
    assert "did you mean `layers`?" in done.err


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("C", "not of the form name=value"),
        ("C=", "not of the form name=value"),
        ("C=[1", "E0"),
        ("C=conv(3)", "does not state a value"),
        ('C="many"', "`C` cannot be"),
        ("C=many", "`C` cannot be"),
        ("C=0", "E0"),
    ],
)
def test_what_a_parameter_can_get_wrong(spacec: Run, item: str, words: str) -> None:
    done = spacec("info", DARTS, "-p", item)
    assert (done.code, done.out) == (1, "")
    assert words in done.err


def test_a_parameter_given_twice(spacec: Run) -> None:
    assert "given twice" in spacec("info", DARTS, "-p", "C=4", "-p", "C=5").err


def test_parameters_reach_the_space(spacec: Run) -> None:
    facts = json.loads(spacec("info", TABULAR, "-p", "sizes=[8, 16..18]", "-p", "features=4", "--json").out)
    assert facts["parameters"]["sizes"] == [8, 16, 17, 18]
    assert facts["inputs"] == {"row": "[4]"}


def test_info_states_the_published_numbers(spacec: Run) -> None:
    facts = json.loads(spacec("info", DARTS, "--json").out)
    assert facts["count"] == 1_076_746_950_455_072_400
    assert facts["count_by_owner"] == {"normal": 1_037_664_180, "reduce": 1_037_664_180}
    assert facts["supernet_params"] == 1_930_618
    assert len(facts["slots"]) == 28
    assert json.loads(spacec("info", NB201, "--json").out)["count"] == 15_625


def test_info_for_people(spacec: Run) -> None:
    done = spacec("info", TABULAR)
    assert done.code == 0
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines()[:6])
    assert lines["inputs"] == "row: [1027]"
    assert re.search(r"^architectures +856$", done.out, re.MULTILINE)
    assert re.search(r"^without where +8,000$", done.out, re.MULTILINE)
    assert "must be divisible by" in spacec("info", "grammars/clearer.space").out or "[1, 8*H, 8*W]" in done.out + (
        spacec("info", "grammars/clearer.space").out
    )


def test_check_warns_where_the_constraints_leave_nothing(spacec: Run, tmp_path: Path) -> None:
    path = tmp_path / "tight.space"
    path.write_text(
        "space s\ninput x: [3, 8, 8]\noutput y: [4, 8, 8]\nnet = conv({3, 5}, 4) >> (skip | relu)\nwhere params <= 9\n"
    )
    done = spacec("check", path)
    assert done.code == 0
    assert "warning[W0511]: no architecture satisfies `params <= 9`" in done.out
    assert f"{path}: no errors" in done.out


def test_a_named_architecture_is_built_with_a_warning(spacec: Run, tmp_path: Path) -> None:
    free = package.load(TABULAR, features=9)
    arch = next(a for a in free.enumerate(where=False) if free.params(a) > 41_153).text()
    done = spacec("compile", TABULAR, "-p", "features=9", "--arch", arch, "-o", tmp_path / "n.py")
    assert done.code == 0
    assert "warning[W0606]: this architecture violates `params <= limit`: " in done.err
    assert (tmp_path / "n.py").exists()


def test_samples_are_seeded_and_read_back(spacec: Run) -> None:
    lines = spacec("sample", NB201, "-n", "4", "--seed", "3").out.splitlines()
    assert lines == spacec("sample", NB201, "-n", "4", "--seed", "3").out.splitlines()
    assert lines != spacec("sample", NB201, "-n", "4", "--seed", "4").out.splitlines()
    space = package.load(NB201)
    assert [space.architecture(line).text() for line in lines] == lines
    data = json.loads(spacec("sample", NB201, "-n", "4", "--seed", "3", "--json").out)
    assert [space.architecture(item).text() for item in data] == lines


def test_plugins_lists_what_the_host_registers(spacec: Run) -> None:
    out = spacec("plugins", "--all", "--json").out
    host = json.loads(out)["plugins"][0]
    assert host["name"] == "spacec"
    assert "conv" in [op["name"] for op in host["contributions"]["ops"]]


def test_explain_shows_both_examples(spacec: Run) -> None:
    out = spacec("explain", "e0301").out
    assert "This fails:" in out
    assert "This works:" in out
    done = spacec("explain", "E9999")
    assert done.code == 1
    assert "no code `E9999`" in done.err


def test_compiled_source_stands_alone(spacec: Run, tmp_path: Path) -> None:
    path = tmp_path / "network.py"
    done = spacec("compile", NB201, "--preset", "tiny", "--arch", "random:7", "-o", path)
    assert done.code == 0, done.err
    assert "spacec" not in re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
    code = "import sys, network; print(sum(p.numel() for p in network.build().parameters()), 'spacec' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
    )
    space = package.load(NB201, preset="tiny")
    assert run.stdout.split() == [str(space.params(space.architecture("random:7"))), "False"], run.stderr


def test_compiled_weights_load_without_running_code(spacec: Run, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "network.pt"
    assert spacec("compile", NB201, "--preset", "tiny", "--arch", "random:7", "-o", path, "--seed", "5").code == 0
    content = torch.load(path, weights_only=True)
    space = package.load(NB201, preset="tiny")
    network = space.network(space.architecture(content["architecture"]), seed=5)
    state = network.state_dict()
    assert state.keys() == content["state_dict"].keys()
    assert all(torch.equal(tensor, content["state_dict"][key]) for key, tensor in state.items())


def test_compile_refuses_what_it_cannot_write(spacec: Run, tmp_path: Path) -> None:
    done = spacec("compile", NB201, "--arch", "random:7", "-o", tmp_path / "network.onnx")
    assert done.code == 1
    assert "E0717" in done.err
    assert not list(tmp_path.iterdir())


def test_weights_of_another_network_are_refused(spacec: Run, tmp_path: Path) -> None:
    stored, other = tmp_path / "a.pt", tmp_path / "b.pt"
    spacec("compile", NB201, "--preset", "tiny", "--arch", "random:7", "-o", stored)
    done = spacec(
        "compile", NB201, "--preset", "tiny", "-p", "C=6", "--arch", "random:7", "-o", other, "--weights", stored
    )
    assert done.code == 1
    assert "weights of another network" in done.err
    assert not other.exists()
    again = spacec("compile", NB201, "--preset", "tiny", "--arch", "random:7", "-o", other, "--weights", stored)
    assert again.code == 0, again.err


def test_an_architecture_of_another_space_is_refused(spacec: Run, tmp_path: Path) -> None:
    foreign = spacec("sample", NB201).out.strip()
    done = spacec("compile", DARTS, "--arch", foreign, "-o", tmp_path / "network.py")
    assert done.code == 1
    assert package.load(DARTS).digest in done.err
    assert not list(tmp_path.iterdir())


def test_a_strategy_that_is_not_installed(spacec: Run, tmp_path: Path) -> None:
    done = spacec("search", NB201, "--task", "digits", "--strategy", "nothing", "--out", tmp_path / "run")
    assert done.code == 1
    assert "strategy 'nothing' is not installed" in done.err
    assert "strategies come with plugins" in done.err
    assert "spacec-nothing" not in done.err
    assert not (tmp_path / "run").exists()


def test_a_task_that_is_not_installed(spacec: Run, tmp_path: Path) -> None:
    arguments = ("train", NB201, "--arch", "random:1", "--out", tmp_path / "run")
    done = spacec(*arguments, "--task", "digit")
    assert done.code == 1
    assert "did you mean 'digits'?" in done.err


def test_training_an_architecture(spacec: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ("train", NB201, "--preset", "tiny", "--arch", "random:1", "--task", "digits", "--device", "cpu")
    options = ("-o", "epochs=2", "-o", "steps=3", "-o", "cutout=2", "-o", "ema=0.5", "-o", "lr=0.05")
    done = spacec(*arguments, *options, "--out", out)
    assert done.code == 0, done.err
    assert re.search(r"^test +.*accuracy 0\.\d+", done.out, re.MULTILINE)
    assert {"weights.pt", "network.py", "run.sqlite", "config.json"} <= {p.name for p in out.iterdir()}
    again = spacec(*arguments, *options, "--out", out)
    assert again.code == 1
    assert "already holds" in again.err
    resumed = spacec(*arguments, *options, "--out", out, "--resume")
    assert resumed.code == 0, resumed.err
    assert resumed.out.splitlines()[2:4] == done.out.splitlines()[2:4]


def test_training_options_are_listed_and_checked(spacec: Run, tmp_path: Path) -> None:
    out = spacec("train", "--help-options").out
    for name in ("epochs", "schedule", "cutout", "drop_path", "aux_weight", "ema"):
        assert re.search(rf"^  {name} ", out, re.MULTILINE)
    done = spacec("train", NB201, "--arch", "random:1", "--task", "digits", "--out", tmp_path / "r", "-o", "epoch=2")
    assert done.code == 1
    assert "did you mean 'epochs'?" in done.err


OPS = """
from torch import nn

class Scale(nn.Module):
    def __init__(self, in_channels, start=1.0):
        super().__init__()
        self.bn = nn.BatchNorm2d(in_channels)
        self.start = start

    def forward(self, x):
        return self.start * self.bn(x)
"""
USES_OPS = """
space own
input  image:  [1, 8, 8]
output logits: [10]
net = conv(3, 4) >> (scale(2.0) | relu) >> global_pool >> linear(10)
"""


def test_a_users_own_module_is_an_op(spacec: Run, tmp_path: Path) -> None:
    ops, file = tmp_path / "my_ops.py", tmp_path / "own.space"
    ops.write_text(OPS)
    file.write_text(USES_OPS)
    assert "scale" in spacec("check", file).out
    done = spacec("info", file, "--ops", ops, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["supernet_params"] == 4 * 9 + 8 + 4 * 10 + 10
    network = tmp_path / "network.py"
    assert spacec("compile", file, "--ops", ops, "--arch", "random:0", "-o", network).code == 0


def test_help_is_one_screen_in_groups(spacec: Run) -> None:
    shown = spacec("--help").out
    assert len(shown.splitlines()) < 56
    assert "Others:" not in shown, "a command of the host is in no group of spacec.cli.main.GROUPS"
    assert {"Write spaces:", "Know spaces:", "Build and search:", "Runs:"} <= set(shown.splitlines())


def test_every_command_has_help_with_an_example(spacec: Run) -> None:
    names = re.findall(r"^  (\w+) {2,}", spacec("--help").out.partition("Write spaces:")[2], re.MULTILINE)
    assert {"check", "info", "sample", "compile", "search", "train", "plugins", "explain"} <= set(names)
    for name in names:
        done = spacec(name, "--help")
        assert done.code == 0
        assert re.search(rf"Example:\n +spacec {name} ", done.out), name


@pytest.mark.parametrize("name", ["architecture.txt", "c=8.txt", "plain"])
def test_an_architecture_in_a_text_file(spacec: Run, tmp_path: Path, name: str) -> None:
    text = spacec("sample", TABULAR, "--seed", "3").out
    file = tmp_path / name
    file.write_text(f"\n{text}\n")
    source = tmp_path / "network.py"
    done = spacec("compile", TABULAR, "--arch", file, "-o", source)
    assert done.code == 0, done.err
    assert source.is_file()
    file.write_text("nothing like it\n")
    done = spacec("compile", TABULAR, "--arch", file, "-o", source)
    assert done.code == 1
    assert name in done.err


def test_networks_are_named(spacec: Run) -> None:
    lines = spacec("canonical", NB201, "random:1", "random:1", "random:2").out.splitlines()
    digests = [line.split()[0] for line in lines]
    assert digests[0] == digests[1] != digests[2]
    assert all(len(d) == 40 for d in digests)
    kept = spacec("canonical", NB201, "random:1", "random:1", "random:2", "--distinct").out.splitlines()
    assert kept == [lines[0].split()[1], lines[2].split()[1]]
    facts = json.loads(spacec("canonical", NB201, "random:1", "--json").out)[0]
    assert facts == {"architecture": kept[0], "canonical": digests[0], "dead": facts["dead"]}
    assert "E0540" in spacec("canonical", "grammars/darts.space", "random:1", "--size").err


def test_architectures_are_read_from_standard_input(spacec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = spacec("sample", NB201, "-n", "30").out
    monkeypatch.setattr("sys.stdin", io.StringIO(texts))
    kept = spacec("canonical", NB201, "-", "--distinct").out.splitlines()
    assert 1 < len(kept) < 30
    assert set(kept) < set(texts.splitlines())
