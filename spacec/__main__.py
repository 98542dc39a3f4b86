"""``python -m spacec``: the same as ``spacec``; so ``torchrun … -m spacec search …`` starts it in several processes."""

from __future__ import annotations

from spacec.cli.main import main

if __name__ == "__main__":
    main()
