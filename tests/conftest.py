"""Settings of every test: no hub, no telemetry, one numeric thread (small models are slower and less repeatable with more)."""

import os

for name, value in {
    "HF_HUB_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "POLARS_SKIP_CPU_CHECK": "1",
}.items():
    os.environ.setdefault(name, value)
