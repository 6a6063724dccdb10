"""One store for the whole session: creating one runs all of MLflow's migrations, which takes seconds."""

import pytest

from workbench.tracking import init


@pytest.fixture(scope="session")
def tracking(tmp_path_factory):
    return init(tmp_path_factory.mktemp("project"))
