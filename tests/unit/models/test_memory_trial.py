import pytest

from workbench.core import ConfigError, Unavailable
from workbench.models import ModelCard
from workbench.models.memory import predict_memory
from workbench.models.memory_trial import prompts_of_length, try_memory
from workbench.testing.tiny_checkpoint import save_tiny_checkpoint


@pytest.fixture
def folder(tmp_path):
    return save_tiny_checkpoint(tmp_path / "tiny")


@pytest.mark.slow
def test_a_batch_is_measured_in_a_process_of_its_own_and_was_predicted(folder):
    prompts = prompts_of_length(folder, 64, 4)
    trial = try_memory(ModelCard(kind="transformers", model=str(folder)), prompts, 8)
    assert trial.n_sequences == 4
    assert 56 < trial.prompt_tokens <= 64
    assert trial.framework_bytes <= trial.loaded_bytes <= trial.peak_bytes
    plan = predict_memory(
        folder, max_model_len=72, answer_tokens=8, n_sequences=4, framework_bytes=trial.framework_bytes
    )
    assert plan.total_bytes == pytest.approx(trial.peak_bytes, rel=0.1)


@pytest.mark.slow
def test_a_checkpoint_that_does_not_load_says_so(tmp_path):
    with pytest.raises(Unavailable, match="failed"):
        try_memory(ModelCard(kind="transformers", model=str(tmp_path / "none")), ["a"], 1)


def test_prompts_shorter_than_the_chat_template_are_refused(folder):
    with pytest.raises(ConfigError, match="chat template alone"):
        prompts_of_length(folder, 2, 1)


def test_a_batch_without_prompts_is_refused():
    with pytest.raises(ConfigError, match="at least one prompt"):
        try_memory(ModelCard(kind="transformers", model="x"), [], 1)


@pytest.mark.gpu
@pytest.mark.slow
def test_weights_and_cache_on_a_gpu_were_predicted(folder):
    """What torch allocated, without the CUDA context that no allocator counts."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    prompts = prompts_of_length(folder, 256, 32)
    trial = try_memory(ModelCard(kind="transformers", model=str(folder), device="cuda"), prompts, 8)
    plan = predict_memory(folder, device="cuda", max_model_len=264, answer_tokens=8, n_sequences=32)
    assert plan.part("weights") == pytest.approx(trial.loaded_torch_bytes, rel=0.1)
    assert plan.total_bytes - plan.part("framework") == pytest.approx(trial.peak_torch_bytes, rel=0.1)
