"""Benchmarks in files that a user has: written here in the formats of their authors, with values from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from spacec_tables.accel_nasbench import open_accel_nasbench
from spacec_tables.csv_file import open_csv
from spacec_tables.nas_bench_macro import open_nas_bench_macro
from spacec_tables.transnas import open_transnas_micro

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space.benchmark import Measured

GRAMMARS = Path(__file__).resolve().parents[3] / "grammars"


def code(error: pytest.ExceptionInfo[SpacecError]) -> str:
    return error.value.diagnostics[0].code


def test_nas_bench_macro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = spacec.load(GRAMMARS / "nas_bench_macro.space")
    accuracy = [89.47000122070312, 88.94999694824219, 89.16999816894531]
    row = {"test_acc": accuracy, "mean_acc": 89.19666544596355, "std": 0.21, "params": 890666, "flops": 47327744}
    file = tmp_path / "nas-bench-macro_cifar10.json"
    file.write_text(json.dumps({"02012100": row}))
    monkeypatch.setenv("SPACEC_DATA", str(tmp_path))
    ops = ("identity", "mb3_k3", "mb6_k5")
    arch = space.architecture(f"{space.digest}:net={','.join(ops[int(d)] for d in '02012100')}")
    for path in (file, None):
        found = open_nas_bench_macro(space.table, path)
        answer = found.query(arch).metrics
        assert answer["test_acc"] == 89.19666544596355
        assert answer["params"] == space.params(arch)
        assert answer["flops"] == space.macs(arch)
        assert found.query(arch, seed=1).metrics["test_acc"] == accuracy[1]
    with pytest.raises(SpacecError) as error:
        found.query(space.architecture(f"{space.digest}:net={','.join(['identity'] * 8)}"))
    assert code(error) == "E0732"


@pytest.mark.parametrize("text", ["{", "[]", '{"00": {"test_acc": []}}'])
def test_what_is_no_nas_bench_macro(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    space = spacec.load(GRAMMARS / "nas_bench_macro.space")
    with pytest.raises(SpacecError) as error:
        open_nas_bench_macro(space.table, tmp_path / "a.json")
    assert code(error) == "E0734"


def test_a_file_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACEC_DATA", raising=False)
    space = spacec.load(GRAMMARS / "nas_bench_macro.space")
    with pytest.raises(SpacecError, match="needs a file") as error:
        open_nas_bench_macro(space.table, None)
    assert code(error) == "E0733"
    assert "xiusu/NAS-Bench-Macro" in error.value.diagnostics[0].notes[0]
    assert "nas-bench-macro_cifar10.json" in error.value.diagnostics[0].help


@pytest.mark.parametrize("net", ["(2, 3, 2, 3, 2, 3)", "64-41414-2_32_323"])
def test_transnas_micro(tmp_path: Path, net: str) -> None:
    space = spacec.load(GRAMMARS / "transnas_micro.space", classes=63)
    (tmp_path / "a.csv").write_text(f'net,val_accs,params\n"{net}",53.8366,22.372959\n')
    arch = space.architecture(f"{space.digest}:cell=conv1,conv3,conv1,conv3,conv1,conv3")
    answer = open_transnas_micro(space.table, tmp_path / "a.csv").query(arch)
    assert answer == Measured({"val_accs": 53.8366, "params": space.params(arch) / 1e6})


def test_transnas_digits_are_checked(tmp_path: Path) -> None:
    space = spacec.load(GRAMMARS / "transnas_micro.space")
    (tmp_path / "a.csv").write_text('net,val_accs\n"(2, 3, 2, 3, 2, 4)",53.8\n')
    with pytest.raises(SpacecError, match="nor six digits"):
        open_transnas_micro(space.table, tmp_path / "a.csv")


ACCEL = (
    [f"block{i}_{what}" for i in range(7) for what in "ekl"]
    + [f"block{i}_se" for i in range(7)]
    + ["val_top1", "train_time", "macs", "params"]
)
BLOCKS = ((4, 5, 1), (1, 5, 1), (4, 3, 3), (6, 3, 1), (4, 5, 2), (6, 5, 1), (6, 3, 2))
CELLS = [*(str(n) for block in BLOCKS for n in block), *["False"] * 7]


def test_accel_nasbench(tmp_path: Path) -> None:
    space = spacec.load(GRAMMARS / "accel_nasbench.space")
    rows = [
        [*CELLS, "62.054", "1560.6", "369.019616", "4.042824"],
        [*CELLS, "62.056", "1560.8", "369.019616", "4.042824"],
    ]
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in [ACCEL, *rows]) + "\n")
    found = open_accel_nasbench(space.table, tmp_path / "a.csv")
    net = ",".join(f"{k},0,{n}" for _, k, n in BLOCKS)
    ops = ":".join(f"net.block@{i}.op=e{e}" for i, (e, _, _) in enumerate(BLOCKS))
    arch = space.architecture(f"{space.digest}:net={net}:{ops}")
    assert found.query(arch).metrics["val_top1"] == pytest.approx(62.055)
    assert found.query(arch).seconds == pytest.approx(1560.7)
    assert found.query(arch, repeat=1) == Measured({"val_top1": 62.056, "macs": 369.019616, "params": 4.042824}, 1560.8)
    assert space.params(arch) == 4_042_824
    assert [m.direction for m in found.metrics] == ["max", "min", "min"]


def test_accel_nasbench_checks_its_cells(tmp_path: Path) -> None:
    space = spacec.load(GRAMMARS / "accel_nasbench.space")
    row = ["5", *CELLS[1:], "62.054", "1560.6", "369", "4.0"]
    (tmp_path / "a.csv").write_text("\n".join(",".join(r) for r in [ACCEL, row]) + "\n")
    with pytest.raises(SpacecError, match="line 2: block0_e cannot be '5'"):
        open_accel_nasbench(space.table, tmp_path / "a.csv")


PICKS = spacec.loads("""
space picks(classes = 4)
input  x: [4]
output y: [classes]
def step = keep: identity | deep: (relu >> linear) * {1..2}
net = step >> dag(x) { return sum(pick 1..2 from [x, x >> tanh, x >> gelu]: linear) } >> linear(classes)
""")


def test_a_csv_file_of_any_space_by_text(tmp_path: Path) -> None:
    archs = list(PICKS.enumerate())
    lines = [f"{arch.text()},{k},{k % 3 or ''},{k * 60}" for k, arch in enumerate(archs)]
    cells = [line.replace(arch.text(), f'"{arch.text()}"') for line, arch in zip(lines, archs, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["architecture,accuracy [%],latency [ms]:min,seconds", *cells]))
    found = open_csv(PICKS.table, tmp_path / "a.csv")
    assert [(m.name, m.unit, m.direction) for m in found.metrics] == [
        ("accuracy", "%", "max"),
        ("latency", "ms", "min"),
    ]
    for k, arch in enumerate(archs):
        metrics = {"accuracy": float(k), **({"latency": float(k % 3)} if k % 3 else {})}
        assert found.query(arch) == Measured(metrics, 60.0 * k)


def test_a_csv_file_of_any_space_by_decisions_and_questions(tmp_path: Path) -> None:
    archs = list(PICKS.enumerate())
    ids = [d.id for d in PICKS.decisions]
    lines = [",".join([*ids, "dataset", "epochs", "loss:min"])]
    for k, arch in enumerate(archs):
        tokens = dict(zip((name for name, _ in arch.choices), (token for _, token in arch.tokens), strict=True))
        cells = [tokens.get(name, "") for name in ids]
        lines += [
            ",".join([*cells, name, epochs, str(k + len(name) + int(epochs))])
            for name in ("a", "bb")
            for epochs in "19"
        ]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    found = open_csv(PICKS.table, tmp_path / "a.csv")
    assert found.which == {"dataset": ("a", "bb"), "epochs": ("1", "9")}
    for k, arch in enumerate(archs):
        assert found.query(arch).metrics == {"loss": float(k + 2)}
        assert found.query(arch, dataset="bb", epochs=9).metrics == {"loss": float(k + 11)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("architecture,a\n00000000:net=keep,0,1\n", "line 2"),
        ("architecture,a\nnonsense,1\n", "line 2: an architecture starts with the digest"),
        ("net,a\nkeep,1\n", "it has no column 'net.pick[0]'"),
        ("architecture,a\n", "it has no rows"),
    ],
)
def test_csv_files_that_cannot_be_read(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SpacecError) as error:
        open_csv(PICKS.table, tmp_path / "a.csv")
    assert code(error) == "E0734"
    assert why in error.value.diagnostics[0].headline
