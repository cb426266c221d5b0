"""Objects to pre-train on, none of a kind that the classes to fine-tune have: see `classes`."""
