"""What the time of a run holds."""

import json
import subprocess
import sys

SCRIPT = """
import json, sys
from pointlora_cli.services import finetune as service
from pointlora_cli.specs.loading import load_run_spec

own, met = service.train, {}

def train(*arguments, **named):
    met["before"] = sorted(sys.modules)
    kept = own(*arguments, **named)
    met["after"] = sorted(sys.modules)
    return kept

service.train = train
values = [
    "backbone.init=random", "backbone.width=24", "backbone.heads=2", "backbone.depth=1",
    "backbone.encoder_widths=[8,16,32]",
    "tokenizer.centers=8", "tokenizer.neighbors=4", "data.points=32", "data.clouds_per_class=2",
    "data.test_clouds_per_class=1", "train.epochs=1", "train.device=cpu", f"output.dir={sys.argv[1]}",
]
service.finetune(load_run_spec(preset="quickstart", method="linear", overrides=values), lambda event: None)
print(json.dumps(met))
"""


def test_no_compiler_is_imported_in_it(tmp_path):
    script = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    found = subprocess.run(script, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    met = json.loads(found.stdout)
    assert not [name for name in set(met["after"]) - set(met["before"]) if name.startswith("torch._dynamo")]
