import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.models.server_events import LONGEST_EVENT, Event, EventReader


def read(*pieces: bytes) -> list[Event]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.end()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_any_of_the_three_ways(end):
    assert read(end.join([b"data: a", b"", b"event: x", b"data: b", b"", b""])) == [Event("a"), Event("b", "x")]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b": keep-alive\n\ndata: a\n\n", [Event("a")]),
        (b"data: a\ndata: b\n\n", [Event("a\nb")]),
        (
            b"data:a\n\ndata:  b\n\n",
            [Event("a"), Event(" b")],
        ),  # one space after the colon, and only one, is not part of it
        (b"id: 7\nretry: 10\nfoo: bar\ndata: a\n\n", [Event("a")]),
        (b"data\n\n", [Event("")]),
        (
            b"event: ping\n\ndata: a\n\n",
            [Event("a")],
        ),  # an event without data is none, and its name is not the next one's
        (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
        (b"data: a\n", [Event("a")]),  # the server closed without the blank line
        (b"data: a", []),  # torn
        (b"data: \xff\n\n", [Event("\ufffd")]),
        (b"", []),
    ],
)
def test_a_stream_is_read_as_the_standard_says(stream, events):
    assert read(stream) == events


EVENTS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=20), max_size=5)


@given(EVENTS, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_the_events_do_not_depend_on_where_the_network_cuts(texts, end, data):
    documents = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    stream = b"".join(b"data: " + document.encode() + end + end for document in documents)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    # JSON may hold U+2028 and the like; only CR and LF end a line, and JSON escapes those
    assert [event.data for event in read(*pieces)] == documents


@given(st.binary(max_size=200), st.data())
def test_any_bytes_at_all_read_the_same_whole_and_in_pieces(stream, data):
    cut = data.draw(st.integers(0, len(stream)))
    assert read(stream) == read(stream[:cut], stream[cut:])


def test_an_event_without_end_does_not_fill_the_memory():
    reader = EventReader()
    reader.feed(b"data: " + b"x" * (LONGEST_EVENT // 2))
    with pytest.raises(ValueError, match="more than 8,388,608 bytes"):
        reader.feed(b"x" * (LONGEST_EVENT // 2))
