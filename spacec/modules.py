"""Finding and reading the files that ``use`` lines name.

A path is looked up beside the file that names it, then in the folders of the library path, in order,
then as ``NAME/file.space`` in the library that a plugin calls NAME. It may be absolute and may contain
``..`` (not inside an installed library, which gives its own files only). The files that a run has kept come before all
of these. Guarantees: every file of a module tree is parsed, no file uses itself; everything found on the way is in
the sink, with the ``use`` beside it.
"""

from __future__ import annotations

import importlib.resources
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path

from spacec.diagnostics.model import Diagnostic, Label, Sink, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.hooks import LibraryDescriptor, Registry
from spacec.sema.modules import Import, Module
from spacec.source import OWN, Kept, SourceFile
from spacec.syntax import ast
from spacec.syntax.parse import parse
from spacec.syntax.read import MAX_BYTES, decoded, source_from_path

MAX_FINDINGS = 100
"""After which no more missing files are looked for."""
MAX_MODULES = 1_000
"""Files that one space may use, directly and indirectly."""


@dataclass(frozen=True)
class Place:
    """Where a file of a module tree is: a path, a file inside an installed library, or one that was kept."""

    path: Path | None = None
    library: str = ""
    inside: str = ""
    kept: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The same for two ways to name one file."""
        if self.kept is not None:
            return ("kept:", str(self.kept))
        return ("", str(self.path.resolve())) if self.path is not None else (self.library, self.inside)


def read_modules(
    file: ast.File, folders: tuple[Path, ...], registry: Registry, sink: Sink, kept: Kept | None = None
) -> tuple[Import, ...]:
    """The modules that a file uses; those that are missing or unreadable are left out and reported (E0209, E0220)."""
    source = file.span.source
    place = Place(Path(source.name), kept=None if kept is None else OWN)
    return _Reader(folders, registry, sink, kept or Kept()).imports(file, place, (_Link(place, None, source.name),))


def kept_modules(imports: tuple[Import, ...]) -> Kept:
    """The files of a module tree, each once, and which ``use`` led to which."""
    files: dict[tuple[str, str], SourceFile] = {}
    uses: dict[tuple[int, str], int] = {}

    def walk(user: int, imports: tuple[Import, ...]) -> None:
        for one in imports:
            source = one.module.file.span.source
            key = (str(Path(source.name).resolve()), source.text)
            new = key not in files
            files.setdefault(key, source)
            place = list(files).index(key)
            uses[user, one.use.path] = place
            if new:
                walk(place, one.module.imports)

    walk(OWN, imports)
    return Kept(tuple(files.values()), uses)


@dataclass(frozen=True)
class _Link:
    """One step of the chain from the user's file: a file and the ``use`` that led to it."""

    place: Place
    use: ast.Use | None
    name: str


class _Reader:
    def __init__(self, folders: tuple[Path, ...], registry: Registry, sink: Sink, kept: Kept) -> None:
        self.folders, self.registry, self.sink, self.kept = folders, registry, sink, kept
        self.known: dict[tuple[str, str], Module] = {}
        """Modules without arguments, which all their uses share."""
        self.count = 0

    def imports(self, file: ast.File, place: Place, chain: tuple[_Link, ...]) -> tuple[Import, ...]:
        found: list[Import] = []
        for use in (item for item in file.items if isinstance(item, ast.Use)):
            module = self.module(use, place, chain)
            if module is not None:
                found.append(Import(use, module))
        return tuple(found)

    def module(self, use: ast.Use, user: Place, chain: tuple[_Link, ...]) -> Module | None:
        place = self.find(use, user)
        if place is None:
            self.missing(use, user)
            return None
        begun = next((k for k, link in enumerate(chain) if link.place.key == place.key), None)
        if begun is not None:
            self.cycle(use, chain[begun:])
            return None
        if not use.args and place.key in self.known:
            return self.known[place.key]
        self.count += 1
        if self.count > MAX_MODULES:
            if self.count == MAX_MODULES + 1:
                self.sink.add(Diagnostic("E0408", f"this space uses over {MAX_MODULES:,} files", use.span))
            return None
        file = self.read(use, place)
        if file is None:
            return None
        module = Module(file, self.imports(file, place, (*chain, _Link(place, use, use.path))))
        if not use.args:
            self.known[place.key] = module
        return module

    # ----------------------------------------------------------------- finding

    def find(self, use: ast.Use, user: Place) -> Place | None:
        if user.kept is not None and (user.kept, use.path) in self.kept.uses:
            return Place(kept=self.kept.uses[user.kept, use.path])
        if user.path is None:
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(user.inside), use.path))
            beside = Place(library=user.library, inside=inside)
            if self.resource(beside) is not None:
                return beside
        else:
            candidates = [user.path.parent / use.path, *(folder / use.path for folder in self.folders)]
            path = next((p for p in candidates if _there(p)), None)
            if path is not None:
                return Place(path)
        name, _, rest = use.path.partition("/")
        installed = Place(library=name, inside=posixpath.normpath(rest or "."))
        return installed if rest and self.resource(installed) is not None else None

    def resource(self, place: Place) -> Traversable | None:
        """The file of an installed library; ``None`` where there is none."""
        folder = self.library(place.library)
        if folder is None or place.inside.startswith(("..", "/")):
            return None
        found = folder.joinpath(place.inside)
        return found if found.is_file() else None

    def library(self, name: str) -> Traversable | None:
        entry = self.registry.entry("spacec_library", name)
        if entry is None or not isinstance(entry.item, LibraryDescriptor):
            return None
        try:
            return importlib.resources.files(entry.item.package).joinpath(entry.item.folder)
        except ImportError:
            return None

    # ----------------------------------------------------------------- reading

    def read(self, use: ast.Use, place: Place) -> ast.File | None:
        """The parsed file; what is wrong with it is reported with the ``use`` beside it."""
        own = Sink()
        try:
            file = parse(self.source(place), own)
        except SpacecError as error:
            own.diagnostics.extend(error.diagnostics)
            file = None
        for d in own.diagnostics:
            placed = replace(d, span=use.span) if d.span is None else replace(d, labels=(*d.labels, _used(use)))
            self.sink.add(placed)
        return None if own.failed else file

    def source(self, place: Place) -> SourceFile:
        if place.kept is not None:
            return self.kept.files[place.kept]
        if place.path is not None:
            return source_from_path(place.path)
        found = self.resource(place)
        assert found is not None, "a place in a library is made of a file that is there"
        name = f"{place.library}/{place.inside}"
        try:
            with found.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise SpacecError(Diagnostic("E0803", f"cannot read '{name}': {error.strerror or error}")) from error
        if len(data) > MAX_BYTES:
            raise SpacecError(Diagnostic("E0805", f"'{name}' has more than {MAX_BYTES // 1_000_000} MB"))
        return decoded(name, data)

    # --------------------------------------------------------------- reporting

    def missing(self, use: ast.Use, user: Place) -> None:
        if len(self.sink.diagnostics) >= MAX_FINDINGS:
            return
        close = nearest(use.path, sorted(self.candidates(use, user)))
        path = use.path if len(use.path) < 80 else f"{use.path[:77]}…"
        libraries = ", ".join(self.registry.names("spacec_library")) or "none"
        looked = f"beside {Path(use.span.source.name).name}" + "".join(f", in {folder}" for folder in self.folders)
        self.sink.add(
            Diagnostic(
                "E0209",
                f'there is no library "{path}"',
                use.span,
                notes=(f"looked for {looked}; installed libraries: {libraries}",),
                help=f'did you mean "{close}"?' if close else "",
            )
        )

    def candidates(self, use: ast.Use, user: Place) -> Iterator[str]:
        """What a ``use`` could have meant, as it would be written."""
        lead = posixpath.dirname(use.path)
        if user.path is not None:
            for folder in (user.path.parent, *self.folders):
                yield from (posixpath.join(lead, name) for name in _spaces(folder / lead))
        for name in self.registry.names("spacec_library"):
            shelf = self.library(name)
            if shelf is not None and shelf.is_dir():
                yield from (f"{name}/{f.name}" for f in shelf.iterdir() if f.name.endswith(".space"))

    def cycle(self, use: ast.Use, chain: tuple[_Link, ...]) -> None:
        names = [Path(link.name).name for link in chain]
        labels = tuple(Label(link.use.span, "which is used here") for link in chain[1:] if link.use is not None)
        self.sink.add(
            Diagnostic(
                "E0220",
                f'"{use.path}" uses itself',
                use.span,
                "this closes the circle",
                labels,
                (f"the circle: {' -> '.join([*names, names[0]])}",),
            )
        )


def _used(use: ast.Use) -> Label:
    return Label(use.span, "used here")


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _spaces(folder: Path) -> list[str]:
    try:
        return [p.name for p in folder.iterdir() if p.suffix == ".space"]
    except OSError:
        return []
