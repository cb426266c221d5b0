"""Fine-tune pre-trained 3D point-cloud transformers with a few per cent of their weights."""

__version__ = "0.1.0"
