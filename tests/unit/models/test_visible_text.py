import itertools

from hypothesis import given
from hypothesis import strategies as st

from workbench.models.visible_text import cut_at_stop, visible_part

TEXT = st.text(alphabet="ab é€\n", max_size=30)
STOPS = st.lists(st.text(alphabet="aé€\n", min_size=1, max_size=4), max_size=3)


def so_far(text: str, n_bytes: int) -> str:
    """The text while its bytes arrive: the last character may be half there."""
    return text.encode()[:n_bytes].decode(errors="replace")


def test_the_text_ends_before_the_first_of_several_stops():
    assert cut_at_stop(" one END two\n", ["\n", "END"]) == "one "


def test_half_a_character_is_held_back_until_it_is_whole():
    assert visible_part("caf\ufffd", []) == "caf"
    assert visible_part("café", []) == "café"


def test_of_overlapping_stop_texts_the_one_complete_first_counts():
    assert cut_at_stop("xyz and more", ["xyz", "y"]) == "x"


@given(TEXT, STOPS, st.data())
def test_what_was_shown_is_never_taken_back(text, stops, data):
    n_bytes = data.draw(st.integers(0, len(text.encode())))
    assert cut_at_stop(text, stops).startswith(visible_part(so_far(text, n_bytes), stops))


@given(TEXT, STOPS)
def test_what_is_shown_only_grows(text, stops):
    shown = [visible_part(so_far(text, n_bytes), stops) for n_bytes in range(len(text.encode()) + 1)]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(shown))
