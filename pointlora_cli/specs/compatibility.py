"""Which methods run on which backbones."""

from __future__ import annotations

PLAIN_ONLY = ("idpt", "dapt", "ppt", "pointgst", "point-peft")
"""Methods defined on plain blocks: one sequence of tokens, the residual from the block's own input."""

OF_ANY_BACKBONE = ("full", "linear", "mlp3", "bitfit", "lora", "adapter")
"""Methods that add no tokens, and need neither a class token nor one set of patches for all blocks."""


def refusal(backbone_name: str, method_name: str) -> str | None:
    """Why a method cannot run on a backbone; None where it can."""
    pair = f"method {method_name} does not run on backbone {backbone_name}"
    if backbone_name == "point-m2ae" and method_name not in OF_ANY_BACKBONE:
        return (
            f"{pair}, which has no class token, and other patches at each level "
            f"({', '.join(OF_ANY_BACKBONE[:-1])} and {OF_ANY_BACKBONE[-1]} do)"
        )
    if backbone_name == "recon" and method_name in PLAIN_ONLY:
        return f"{pair}; on recon-plain it does, for it is defined on plain blocks"
    return None
