"""``python -m objectclassification``."""

from objectclassification.cli import main

main()
