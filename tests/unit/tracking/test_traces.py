import pytest

from workbench.core import StoreError
from workbench.tracking import assert_traces_complete

# MLflow swallows what is raised while it traces: with its own warnings as errors all traces go missing in silence.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Any type hint:UserWarning", "ignore::sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture
def run_id_with_three_traces(tracking):
    import mlflow

    mlflow.set_tracking_uri(tracking.uri)
    tracking.experiment("traces")
    mlflow.set_experiment("traces")
    with mlflow.start_run() as run:
        for number in range(3):
            with mlflow.start_span(f"request {number}"):
                pass
    return run.info.run_id


def test_all_traces_of_a_run_are_found_and_a_missing_one_is_told(tracking, run_id_with_three_traces):
    assert_traces_complete(run_id_with_three_traces, 3, tracking)
    with pytest.raises(StoreError, match="holds 3 of 4 traces"):
        assert_traces_complete(run_id_with_three_traces, 4, tracking)
