import yaml

from workbench.economics import load_price_book
from workbench.stack import StackConfig

MODEL = {"kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:1/v1", "region": "local"}


def config(price: object) -> StackConfig:
    data = {
        "schema_version": 1,
        "name": "listed",
        "models": {"paid": {**MODEL, "price": price}},
        "choose": {"policy": {"kind": "fixed", "model": "paid"}},
    }
    return StackConfig.from_data(data, "stack.yaml")


def test_a_stack_holds_the_price_that_was_found_and_writes_it_down(tmp_path):
    found = config({"listed": "openai/gpt-5-mini"})
    found.dump(tmp_path / "stack.yaml")
    written = yaml.safe_load((tmp_path / "stack.yaml").read_text())["models"]["paid"]["price"]
    assert (written["input_usd_per_1m"], written["source"]["listed"]) == (0.25, "openai/gpt-5-mini")
    assert StackConfig.load(tmp_path / "stack.yaml") == found


def test_the_hash_is_that_of_the_price_and_not_of_the_day_it_was_looked_up():
    price = load_price_book().price("openai/gpt-5-mini")
    tomorrow = price.source.model_copy(update={"as_of": price.source.as_of.replace(year=2031)})
    dearer = price.model_copy(update={"input_usd_per_1m": 9.0})
    hashes = [config(p).sha256() for p in (price, price.model_copy(update={"source": tomorrow}), dearer)]
    assert hashes[0] == hashes[1] != hashes[2]
