"""Exported files: stand-alone, checked, safe whatever the names, written whole or not at all."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from spacec.diagnostics.model import SpacecError
from spacec.ir.ops import OpSpec
from spacec.lower.emit import class_name, emit_source
from spacec.lower.network import Network, transfer
from spacec.lower.package import Check, save_checkpoint, save_package, write_atomically
from spacec.space.architecture import architecture_of
from spacec.space.decisions import DecisionTable
from tests.lower import user_ops
from tests.lower.helpers import inputs_of, network_of, random_architecture, supernet_of
from tests.lower.spaces import TOYS, Builder, cell_space, ports_space, pyramid_space


def module_of(source: str) -> ModuleType:
    module = ModuleType("exported_network")
    sys.modules["exported_network"] = module
    exec(compile(source, "network.py", "exec"), vars(module))
    return module


def imported(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("name", TOYS)
def test_exported_source_is_the_network(name: str) -> None:
    toy = TOYS[name]()
    for seed in range(3):
        architecture = random_architecture(toy, seed)
        network = network_of(toy, architecture)
        transfer(supernet_of(toy), network)
        source = emit_source(toy.flat, toy.table, architecture)
        assert imported(source) - {"torch"} <= set(sys.stdlib_module_names)
        alone = module_of(source).build().double()
        assert list(alone.state_dict()) == list(network.state_dict())
        alone.load_state_dict(network.state_dict())
        for train in (True, False):
            network.train(train), alone.train(train)
            torch.manual_seed(0)
            expected = network(*inputs_of(toy))
            torch.manual_seed(0)
            found = alone(*inputs_of(toy))
            pairs = (
                zip(expected.values(), found.values(), strict=True) if isinstance(found, dict) else [(expected, found)]
            )
            assert all(torch.equal(a, b) for a, b in pairs)


def check(folder: Path) -> int:
    """What ``python network.py --check`` does, without a process of its own."""
    module = module_of((folder / "network.py").read_text())
    code = module.run_check(module.build(), folder)
    assert isinstance(code, int)
    return code


def test_package_stands_alone(tmp_path: Path) -> None:
    toy = pyramid_space()
    network = Network(toy.flat, toy.table, random_architecture(toy, 1), seed=0)
    save_package(tmp_path, network, Check("psnr", (torch.rand(2, 1, 8, 8),), (torch.rand(2, 1, 8, 8),)))
    command = [sys.executable, "-W", "error", "-I", str(tmp_path / "network.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    assert ": reproduced" in done.stdout


def test_package_reproduces_its_reported_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = pyramid_space()
    architecture = random_architecture(toy, 1)
    network = Network(toy.flat, toy.table, architecture, seed=0).eval()
    noisy, clean = torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8)
    odd, odd_clean = torch.rand(1, 1, 4, 6), torch.rand(1, 1, 4, 6)
    facts = ["1,234 parameters.", 'Made by "hand" \\ """with care"""']
    save_package(tmp_path, network, Check("psnr", (noisy, odd), (clean, odd_clean)), facts)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["check.pt", "network.py", "weights.pt"]

    monkeypatch.setattr(sys, "argv", ["network.py"])
    module = module_of((tmp_path / "network.py").read_text())
    assert module.run(module.build, str(tmp_path / "network.py"), "A network.") == 0
    printed = capsys.readouterr().out
    assert "stem_0.conv_0" in printed
    assert f"{sum(p.numel() for p in network.parameters()):,}" in printed
    assert architecture.text() in str(module.__doc__)
    assert 'Made by "hand" \\' in str(module.__doc__)

    assert check(tmp_path) == 0
    assert ": reproduced" in capsys.readouterr().out
    stored = torch.load(tmp_path / "check.pt", weights_only=True)
    with torch.no_grad():
        pairs = ((noisy, clean), (odd, odd_clean))
        errors = torch.cat([((network(x).clamp(0, 1) - y) ** 2).mean((1, 2, 3)) for x, y in pairs])
    assert stored["value"] == pytest.approx(float((-10 * torch.log10(errors)).mean()), abs=1e-4)

    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    first = next(iter(weights))
    torch.save({**weights, first: weights[first] + 1.0}, tmp_path / "weights.pt")
    assert check(tmp_path) == 1
    assert "NOT reproduced" in capsys.readouterr().out
    (tmp_path / "check.pt").unlink()
    assert check(tmp_path) == 1
    assert "check.pt is missing" in capsys.readouterr().out


def test_accuracy_check_with_named_inputs(tmp_path: Path) -> None:
    toy = ports_space()
    network = network_of(toy, random_architecture(toy, 0)).float()
    a, b = (t.float() for t in inputs_of(toy))
    parameters = network.design.program.parameters
    batch = dict(zip(parameters, (a, b), strict=True))
    labels = network(**batch)["main"].argmax(1)
    save_package(tmp_path, network, Check("accuracy", (batch,), (labels,), 1.0))
    assert torch.load(tmp_path / "check.pt", weights_only=True)["value"] == 1.0
    assert check(tmp_path) == 0
    with pytest.raises(SpacecError, match=r"accuracy on the stored tensors is 1.0000, not 0.5000"):
        save_package(tmp_path, network, Check("accuracy", (batch,), (labels,), 0.5))


def test_checkpoint_holds_source_weights_and_architecture(tmp_path: Path) -> None:
    toy = cell_space()
    network = network_of(toy, random_architecture(toy, 4))
    path = tmp_path / "network.pt"
    save_checkpoint(path, network)
    content = torch.load(path, weights_only=True)
    assert content["architecture"] == network.design.architecture.text()
    alone = module_of(content["source"]).build().double()
    alone.load_state_dict(content["state_dict"])
    (x,) = inputs_of(toy)
    assert torch.equal(alone.eval()(x), network.eval()(x))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["weights.pt"]


EMPTY = DecisionTable("user", "0123abcd", ())


def user_source(*specs: OpSpec) -> str:
    b = Builder()
    x = b.input("x", 4, 3)
    for k, spec in enumerate(specs):
        x = b.op(spec, x, key=f"op_{k}" if spec.state else "")
    return emit_source(b.graph("user", out=x), EMPTY, architecture_of(EMPTY, {}))


def test_users_code_is_copied_with_what_it_needs() -> None:
    source = user_source(user_ops.MIXER, user_ops.SHUFFLE, user_ops.QUANTISE)
    assert imported(source) - {"torch"} <= set(sys.stdlib_module_names)
    assert "import math" in source
    assert "GAIN = 2.0" in source
    result = module_of(source).build()(torch.randn(2, 4, 3))
    assert set(result) == {"out", "loss:commitment"}


class UsesPytest(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pytest.fail("never run")


class Inner:
    class Hidden(nn.Identity):
        pass


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{__name__}:UsesPytest", "it uses the package pytest"),
        (f"{__name__}:Inner.Hidden", "defined inside a function or class"),
    ],
)
def test_code_that_cannot_be_copied(target: str, message: str) -> None:
    with pytest.raises(SpacecError, match=message):
        user_source(OpSpec("bad", user_ops.same, target, state=True))


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("nas_bench_201", "NasBench201"),
        ("class", "Class"),
        ("3d", "Network3d"),
        ("none", "NoneNetwork"),
        ("f", "FNetwork"),
        ("résumé()", "RSum"),
        ("__", "Network"),
    ],
)
def test_class_names(space: str, expected: str) -> None:
    assert class_name(space) == expected
