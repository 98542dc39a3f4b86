"""``python -m spacec.cli``: the same as ``spacec``."""

from __future__ import annotations

from spacec.cli.main import main

if __name__ == "__main__":
    main()
