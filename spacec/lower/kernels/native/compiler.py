"""C source to callable functions: compiled once by the system's C compiler, kept on disk, loaded by ctypes.

A library is named by the hash of its source, of the flags, of the compiler and of the processor's features, so that a
file in the cache fits or is not found. It ends in a digest of itself: a truncated or foreign file is built anew. Files
appear by atomic rename, so that any number of processes may build the same one at once. The digest is no signature: the
folder must be this user's, and closed to others.

Without a compiler, or where a build fails, :func:`load` says so once, as a warning, and returns ``None``.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spacec.lower.cache import cache_folder, why_distrusted

FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fno-predictive-commoning", "-fPIC", "-shared", "-pthread")
"""Carrying loaded vectors from one turn of a loop to the next would take the registers that hold sums."""
_DIGEST = 32
_LIMIT = 300
"""Seconds after which a compiler is given up."""


@dataclass(frozen=True)
class Build:
    """One library as this process came by it: ``seconds`` of compilation, 0 where it lay in the cache."""

    name: str
    seconds: float


_builds: list[Build] = []
_told: set[str] = set()
_lock = threading.Lock()


def builds() -> tuple[Build, ...]:
    """The libraries that this process has loaded, in order."""
    return tuple(_builds)


def compiler() -> str | None:
    """The path of the C compiler: ``CC`` where that names a program, else ``cc``, ``gcc`` or ``clang``."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found:
            return found
    return None


def source(names: tuple[str, ...], defines: Mapping[str, str | int]) -> str:
    """The C text of a kernel: its compile-time constants, then the named files of ``c/``."""
    folder = files("spacec.lower.kernels.native") / "c"
    head = "".join(f"#define {name} {value}\n" for name, value in defines.items())
    return head + "".join((folder / name).read_text(encoding="utf-8") for name in names)


def load(name: str, text: str) -> ctypes.CDLL | None:
    """The library of C source ``text``, built if the cache lacks it; ``None`` where it cannot be built.

    ``name`` is for people: it stands in :func:`builds` and in warnings.
    """
    program = compiler()
    if program is None:
        _tell("no C compiler was found: generated kernels are not used")
        return None
    key = _key(text, program)
    folder = cache_folder("native")
    path = folder / f"{key}.so"
    started = time.perf_counter()
    seconds = 0.0
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if why := why_distrusted(folder):
            raise PermissionError(f"{why}, so code is neither kept nor run there (see XDG_CACHE_HOME)")
        if not _sound(path):
            _compile(program, text, path)
            seconds = time.perf_counter() - started
        library = ctypes.CDLL(str(path))
    except subprocess.CalledProcessError as error:
        _tell(f"the kernel {name} was not built, the library's is used: {_first_error(error)}")
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        _tell(f"the kernel {name} was not built, the library's is used: {error}")
        return None
    with _lock:
        _builds.append(Build(name, seconds))
    return library


def _compile(program: str, text: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as scratch:
        written = Path(scratch) / "kernel.c"
        built = Path(scratch) / "kernel.so"
        written.write_text(text, encoding="utf-8")
        command = [program, *FLAGS, written.name, "-o", built.name]
        subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT, cwd=scratch)
        with built.open("ab") as out:
            out.write(blake2b(built.read_bytes(), digest_size=_DIGEST).digest())
        built.replace(path)


def _sound(path: Path) -> bool:
    """Whether the file is there and ends in its own digest."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    return len(data) > _DIGEST and blake2b(data[:-_DIGEST], digest_size=_DIGEST).digest() == data[-_DIGEST:]


def _key(text: str, program: str) -> str:
    real = Path(program).resolve()
    stat = real.stat()
    parts = (text, " ".join(FLAGS), str(real), str(stat.st_size), str(stat.st_mtime_ns), features())
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


@functools.cache
def features() -> str:
    """The machine and its features, as far as the system tells: what ``-march=native`` depends on."""
    known = [platform.system(), platform.machine(), platform.processor()]
    info = Path("/proc/cpuinfo")
    if info.exists():
        wanted = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU part")
        for line in info.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines():
            if line.partition(":")[0].strip() in wanted:
                known.append(line)
    return "\n".join(known)


def _first_error(error: subprocess.CalledProcessError) -> str:
    lines = error.stderr.decode(errors="replace").splitlines()
    return next((line for line in lines if "error" in line), f"the compiler ended with status {error.returncode}")


def _tell(message: str) -> None:
    """Warns, once in a process for each message."""
    with _lock:
        if message in _told:
            return
        _told.add(message)
    warnings.warn(message, RuntimeWarning, stacklevel=4)


@functools.cache
def team() -> int | None:
    """The address of ``GOMP_parallel`` in the OpenMP runtime that torch brought; ``None`` where there is none.

    Kernels run their tasks on its threads, so that no second pool competes with torch's.
    """
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except (AttributeError, OSError, TypeError):
        return None


_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threads(count: int) -> int:
    """``count``, or 1 in a forked child: the runtime's threads stayed with the parent."""
    return 1 if _forked else count


def declared(built: ctypes.CDLL | None, pointers: Mapping[str, int]) -> ctypes.CDLL | None:
    """The library with the arguments of its functions declared: sizes, so many pointers, the team and its size."""
    if built is not None:
        for name, count in pointers.items():
            getattr(built, name).argtypes = [ctypes.c_void_p] * (count + 2) + [ctypes.c_int]
    return built


@functools.lru_cache(maxsize=4096)
def _longs(numbers: tuple[int, ...]) -> Any:
    return (ctypes.c_long * len(numbers))(*numbers)


def call(function: Any, sizes: tuple[int, ...], *given: Tensor | ctypes.Array[Any] | None) -> None:
    """Run a kernel on the threads that torch may use. Raises :class:`MemoryError` where it found none for its rows."""
    pointers = (t.data_ptr() if isinstance(t, Tensor) else t for t in given)
    if function(_longs(sizes), *pointers, team(), threads(torch.get_num_threads())):
        raise MemoryError("a generated kernel found no memory for its scratch rows")
