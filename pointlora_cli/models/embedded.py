"""The small pre-trained backbone that comes with the package.

A Point-MAE of a million parameters, pre-trained by the preset `pretrain-quickstart` on built-in shapes of kinds
that fine-tuning never sees. The file says itself with which spec, on which clouds, and how it did.
"""

from __future__ import annotations

from pathlib import Path

EMBEDDED = "embedded"
"""What stands for it in `backbone.weights`."""

EMBEDDED_FILE = Path(__file__).parents[1] / "embedded" / "point-mae-small.safetensors"
EMBEDDED_SHA256 = "536ed7e183a5d5105285fa8d06eb8a28abf3c0c93ff01a57372bfb7fee6cbd99"
