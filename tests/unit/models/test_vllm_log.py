import pytest

from workbench.models.vllm_log import VLLMReport, quoted, read_report, telling_lines

GPU_LOG = """
(EngineCore pid=9) INFO 11-23 18:12:45 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: dtype=torch.bfloat16
(APIServer pid=1) INFO 11-23 18:12:37 [model.py:2152] Using max model len 32768
(EngineCore pid=9) INFO 11-23 18:12:59 [gpu_model_runner.py:5150] Model loading took 15.27 GiB memory and 3.141593 seconds
(EngineCore pid=9) INFO 11-23 18:12:59 [gpu_worker.py:760] Available KV cache memory: 52.3 GiB
(EngineCore pid=9) INFO 11-23 18:12:59 [k.py:7] GPU KV cache size: 380,912 tokens, Maximum concurrency for 32,768 tokens per request: 11.62x
"""
DEATH = """
(EngineCore pid=9) ERROR 11-23 18:12:59 [core.py:1] EngineCore failed to start.
(EngineCore pid=9) ERROR 11-23 18:12:59 [core.py:1] Traceback (most recent call last):
(EngineCore pid=9) ERROR 11-23 18:12:59 [core.py:1]   File "core.py", line 1, in run
(EngineCore pid=9) ERROR 11-23 18:12:59 [core.py:1]     raise ValueError(
(EngineCore pid=9) ERROR 11-23 18:12:59 [core.py:1] ValueError: No available memory for the cache blocks.
(APIServer pid=1) RuntimeError: Engine core initialization failed.
(APIServer pid=1) INFO 11-23 18:13:00 [launcher.py:1] Shutting down
"""


def test_everything_that_a_gpu_server_says_of_itself_is_read():
    assert read_report(GPU_LOG, start_s=90.0) == VLLMReport(
        version="0.32.0",
        weights_gib=15.27,
        kv_cache_gib=52.3,
        kv_cache_tokens=380_912,
        max_model_len=32_768,
        max_concurrency=11.62,
        dtype="bfloat16",
        start_s=90.0,
    )


def test_what_a_log_does_not_say_is_unknown():
    assert read_report("") == VLLMReport()


def test_the_installed_version_says_more_than_the_log():
    assert read_report(GPU_LOG, version="0.32.0+cpu").version == "0.32.0+cpu"


def test_the_reasons_of_a_death_are_picked_out_without_prefixes():
    said = telling_lines(DEATH)
    assert said[-2:] == [
        "ValueError: No available memory for the cache blocks.",
        "RuntimeError: Engine core initialization failed.",
    ]
    assert not [line for line in said if "pid=" in line or line.startswith("File")]


@pytest.mark.parametrize(
    "line",
    [
        "vllm serve: error: unrecognized arguments: --kv-cache-memory-bytes",
        "OSError: [Errno 98] Address already in use",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "[Errno 28] No space left on device",
    ],
)
def test_what_servers_die_of_is_recognised(line):
    assert telling_lines(f"(APIServer pid=1) INFO 11-23 18:12:37 [a.py:1] fine\n{line}\nbye\n") == [line]


def test_a_log_without_an_error_shows_its_end():
    assert telling_lines("one\ntwo\n\nthree\n", n=2) == ["two", "three"]


def test_an_empty_log_is_said_to_be_empty():
    assert "the log is empty" in quoted(telling_lines(""))


def test_a_line_repeated_by_every_process_is_told_once():
    assert telling_lines("(A pid=1) KeyError: 'x'\n(B pid=2) KeyError: 'x'\n") == ["KeyError: 'x'"]
