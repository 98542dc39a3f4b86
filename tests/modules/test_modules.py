"""Modules: what a ``use`` line makes visible, where it looks, and that moving text into a library changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.source import SourceFile
from spacec.syntax.read import source_from_path
from tests.modules.libraries import session

HEAD = "space s(C = 8, classes = 10)\ninput  image:  [3, 32, 32]\noutput logits: [classes]\n"
TAIL = " >> global_pool >> linear(classes)\n"


def write(folder: Path, **files: str) -> Path:
    """Files of a folder, each by its stem; the path of ``main.space``."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.space").write_text(text, encoding="utf-8")
    return folder / "main.space"


def codes(path: Path, **given: object) -> list[str]:
    with pytest.raises(SpacecError) as caught:
        spacec.load(path, **given)  # type: ignore[arg-type]  # header parameters
    return [d.code for d in caught.value.diagnostics]


CELLS = """\
def edge = conv(3) | conv(5) | skip
let cell = dag(x) { s = [x]
  for i in 0..1 { s += sum(pick 1 from s: edge) }
  return s[2] }
tied same = conv(1) | conv(3)
def deep(n) = edge >> deep(n-1) when n > 1 | edge when n <= 1
let stage[i] = conv(3) | bn
let k = {3, 5}
"""
NET = f"net = conv(k, C) >> cell * 2 >> same * 2 >> deep(3) >> stage[0] >> stage[1]{TAIL}"


def test_moving_definitions_into_a_library_changes_no_name(tmp_path: Path) -> None:
    whole = spacec.loads(HEAD + CELLS + NET)
    split = spacec.load(write(tmp_path, main=f'{HEAD}use "cells.space"\n{NET}', cells=CELLS))
    assert split.digest == whole.digest
    assert [d.id for d in split.decisions] == [d.id for d in whole.decisions]
    assert split.count() == whole.count()
    arch = whole.sample(seed=3)[0]
    assert split.params(split.architecture(arch.text())) == whole.params(arch)
    keys = [set(space.supernet(seed=0).state_dict()) for space in (whole, split)]
    assert keys[0] == keys[1]


def test_only_definitions_of_directly_used_files_are_visible(tmp_path: Path) -> None:
    files = {"cells": 'use "blocks.space"\ndef cell = block\n', "blocks": "def block = conv(3) | skip\n"}
    main = write(tmp_path, main=f'{HEAD}use "cells.space"\nnet = conv(3, C) >> cell{TAIL}', **files)
    assert spacec.load(main).count() == 2
    main = write(tmp_path, main=f'{HEAD}use "cells.space"\nnet = conv(3, C) >> block{TAIL}', **files)
    assert codes(main) == ["E0201"]


def test_a_file_shadows_what_it_uses_and_that_shadows_the_prelude(tmp_path: Path) -> None:
    cells = "def block = conv(1)\ndef twice = block * 2\ndef bn = identity\n"
    own = f'{HEAD}use "cells.space"\ndef block = conv(3)\nnet = conv(3, C) >> block >> twice >> bn{TAIL}'
    space = spacec.load(write(tmp_path, main=own, cells=cells))
    assert space.supernet_params() == 3 * 8 * 9 + 8 * 8 * 9 + 2 * 8 * 8 + 90


def test_a_space_may_be_used_as_a_library(tmp_path: Path) -> None:
    other = HEAD + CELLS + NET.replace("net = ", "net = relu >> ") + "where params <= 1\npreset tiny(C = 2)\n"
    main = write(tmp_path, main=f'{HEAD}use "other.space"\nnet = conv(3, C) >> cell{TAIL}', other=other)
    space = spacec.load(main)
    assert space.count() == spacec.loads(f"{HEAD}{CELLS}net = conv(3, C) >> cell{TAIL}").count()
    assert space.presets == ()


def test_parameters_of_a_library(tmp_path: Path) -> None:
    cells = "space cells(width = 4, kernels = [3, 5])\ndef cell = conv({*kernels}, width)\n"
    main = write(tmp_path, main=f'{HEAD}use "cells.space"\nnet = cell{TAIL}', cells=cells)
    assert (spacec.load(main).count(), spacec.load(main).supernet_params()) == (2, 3 * 4 * 34 + 50)
    text = f'{HEAD}use "cells.space"(width = 2*C, kernels = [3, 5, 7])\nnet = cell{TAIL}'
    wide = spacec.load(write(tmp_path, main=text, cells=cells), C=6)
    assert (wide.count(), wide.supernet_params()) == (3, 3 * 12 * 83 + 130)
    assert codes(write(tmp_path, main=text.replace("2*C", '"wide"'), cells=cells)) == ["E0503"]


def test_one_file_with_different_arguments_is_two_modules(tmp_path: Path) -> None:
    files = {
        "small": 'use "cells.space"(width = 4)\ndef small = cell\n',
        "large": 'use "cells.space"(width = 16)\ndef large = cell\n',
        "cells": "space cells(width)\ndef cell = conv(1, width)\n",
    }
    both = f'{HEAD}use "small.space"\nuse "large.space"\nnet = small >> large{TAIL}'
    assert spacec.load(write(tmp_path, main=both, **files)).supernet_params() == 3 * 4 + 4 * 16 + 170


def test_a_file_that_two_files_use_is_one_module(tmp_path: Path) -> None:
    files = {
        "a": 'use "shared.space"\ndef a = cell\n',
        "b": 'use "./shared.space"\ndef b = cell\n',
        "shared": "let cell = conv(3) | skip\n",
    }
    main = write(tmp_path, main=f'{HEAD}use "a.space"\nuse "b.space"\nnet = conv(3, C) >> a >> b{TAIL}', **files)
    assert spacec.load(main).count() == 2
    again = f'{HEAD}use "shared.space"\nuse "shared.space"\nnet = conv(3, C) >> cell{TAIL}'
    assert spacec.load(write(tmp_path, main=again, **files)).count() == 2


def test_defaults_of_a_library_hold_for_its_own_text(tmp_path: Path) -> None:
    cells = "default conv(bias = 1)\ndefault bn(affine = 0)\ndef cell = conv(1) >> bn >> sep_conv(3)\n"
    plain = f'{HEAD}use "cells.space"\nnet = conv(1, C) >> cell{TAIL}'
    one = 8 * 8 + 8
    sep = 2 * (8 * 9 + 8 * 8 + 16)  # of the prelude's text: as it stands
    space = spacec.load(write(tmp_path, main=plain, cells=cells))
    assert space.supernet_params() == 3 * 8 + one + sep + 90
    reset = plain.replace("net =", "default conv(bias = 0)\ndefault bn(affine = 1)\nnet =")
    space = spacec.load(write(tmp_path, main=reset, cells=cells))
    assert space.supernet_params() == 3 * 8 + (one - 8) + 16 + sep + 90


def test_lets_of_a_library_that_a_form_leaves_out_do_not_change_the_digest(tmp_path: Path) -> None:
    text = """\
space s(deep = 0)
input  x: [3, 8, 8]
output y: [4, 8, 8]
preset more(deep = 1)
use "cells.space"
net = dag(x) {
  a = x >> conv(k, 4)
  if deep { a = a >> cell }
  return a
}
"""
    main = write(tmp_path, main=text, cells="let k = {3, 5}\nlet cell = conv(3) | skip\n")
    assert spacec.load(main).digest == spacec.load(main, deep=1).digest


def test_costs_of_another_form_see_the_libraries(tmp_path: Path) -> None:
    text = f'{HEAD}use "cells.space"(width = C)\nnet = cell{TAIL}where params(C = 2) <= 100\n'
    main = write(tmp_path, main=text, cells="space cells(width)\ndef cell = conv({3, 5}, width)\n")
    assert spacec.load(main, C=64).count() == 1


# ------------------------------------------------------------------ where it looks


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "lib", cells='use "../other/blocks.space"\ndef cell = block\n')
    write(tmp_path / "other", blocks="def block = conv(3) | skip\n")
    text = HEAD + 'use "{path}"\n' + f"net = conv(3, C) >> cell{TAIL}"
    for path in ("../lib/cells.space", str(tmp_path / "lib" / "cells.space")):
        assert spacec.load(write(tmp_path / "own", main=text.format(path=path))).count() == 2
    main = write(tmp_path / "own", main=text.format(path="cells.space"))
    assert codes(main) == ["E0209"]
    assert spacec.load(main, libraries=[tmp_path / "nowhere", tmp_path / "lib"]).count() == 2
    monkeypatch.setenv("SPACEC_PATH", os.pathsep.join((str(tmp_path / "nowhere"), str(tmp_path / "lib"))))
    assert spacec.load(main).count() == 2
    write(tmp_path / "first", cells="def cell = conv(1) | conv(3) | skip\n")
    assert spacec.load(main, libraries=[tmp_path / "first"]).count() == 3
    write(tmp_path / "own", cells="def cell = conv(1)\n")
    assert spacec.load(main, libraries=[tmp_path / "first"]).count() == 1


def test_a_text_looks_beside_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, cells="def cell = conv(3) | skip\n")
    monkeypatch.chdir(tmp_path)
    assert spacec.loads(f'{HEAD}use "cells.space"\nnet = conv(3, C) >> cell{TAIL}').count() == 2


def test_an_installed_library_with_files_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "papers"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    write(package, cells='use "inner/blocks.space"\ndef cell = block\n')
    write(package / "inner", blocks='use "../ops.space"\ndef block = op | skip\n')
    write(package, ops="def op = conv(3)\n", out='use "../outside.space"\ndef cell = outside\n')
    write(tmp_path / "site", outside="def outside = conv(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    here = session(package="papers", name="papers")
    text = HEAD + 'use "papers/{name}.space"\n' + f"net = conv(3, C) >> cell{TAIL}"
    assert here.compile(SourceFile("s", text.format(name="cells"))).count() == 2
    for name in ("out", "../outside", "absent"):
        with pytest.raises(SpacecError) as caught:
            here.compile(SourceFile("s", text.format(name=name)))
        assert caught.value.diagnostics[0].code == "E0209"


# ----------------------------------------------------------------------- hostile


def test_too_large_and_odd_names(tmp_path: Path) -> None:
    (tmp_path / "large.space").write_text("# " + "x" * 4_000_001)
    for path, code in (("large.space", "E0805"), ("a\\0b.space", "E0209"), ("x" * 5_000, "E0209"), ("", "E0802")):
        main = write(tmp_path, main=f'{HEAD}use "{path}"\nnet = conv(3, C){TAIL}')
        found = codes(main)
        assert found[0] in (code, "E0103", "E0102"), (path, found)


def test_a_long_chain_and_a_wide_fan_end(tmp_path: Path) -> None:
    for i in range(150):
        write(tmp_path, **{f"m{i}": f'use "m{i + 1}.space"\ndef d{i} = d{i + 1}\n'})
    write(tmp_path, m150="def d150 = conv(3) | skip\n")
    main = write(tmp_path, main=f'{HEAD}use "m0.space"\nnet = conv(3, C) >> d100{TAIL}'.replace("d100", "d0"))
    assert codes(main) == ["E0408"]  # deeper than definitions may nest
    main = write(tmp_path, main=f'{HEAD}use "m50.space"\nnet = conv(3, C) >> d50{TAIL}')
    assert spacec.load(main).count() == 2
    fan = "".join(f'use "fan.space"(n = {i})\n' for i in range(1_001))
    write(tmp_path, fan="space fan(n)\n")
    assert "E0408" in codes(write(tmp_path, main=f"{HEAD}{fan}net = conv(3, C){TAIL}"))


def test_the_shipped_file_loader_is_the_same(tmp_path: Path) -> None:
    main = write(tmp_path, main=f'{HEAD}use "std/prelude.space"\nnet = conv(3, C) >> sep_conv(3){TAIL}')
    assert session().compile(source_from_path(main)).count() == 1
