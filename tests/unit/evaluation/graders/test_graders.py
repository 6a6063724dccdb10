import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.evaluation.graders import GRADERS, GraderSpec, grade

CASES = [
    ("exact", " yes\n", "yes", {}, 1),
    ("exact", "Yes", "yes", {}, 0),
    ("normalised", "**The  Paris.**", "the paris", {}, 1),
    ("normalised", "-5.", "-5", {}, 1),
    ("normalised", "-5", "5", {}, 0),
    ("normalised", ".5", "5", {}, 0),
    ("normalised", "ﬁne", "FINE", {}, 1),
    ("numeric", "She pays 1,250.50 dollars.", "1250.5", {}, 1),
    ("numeric", "16 - 3 - 4 = 9, 9 * 2 = $18", "18", {}, 1),
    ("numeric", "#### 18\n(16 eggs)", "18", {}, 1),
    ("numeric", r"\boxed{982} of 1000", "982", {}, 1),
    ("numeric", "5/2", "2.5", {}, 1),
    ("numeric", "−7", "-7", {}, 1),
    ("numeric", "10-3", "3", {}, 1),
    ("numeric", "12345678901234567891", "12345678901234567890", {}, 0),
    ("numeric", "0.30000000000000004", "0.3", {}, 1),
    ("numeric", "3.2", "3", {"tolerance": 0.25}, 1),
    ("numeric", "3.3", "3", {"tolerance": 0.25}, 0),
    ("numeric", "1 or 2", "2", {"which": "only"}, 0),
    ("numeric", "1/0", "1", {}, 0),
    ("numeric", "none", "1", {}, 0),
    ("json", '```json\n{"b": 2.0, "a": 1}\n```', '{"a": 1, "b": 2}', {}, 1),
    ("json", '{"a": true}', '{"a": 1}', {}, 0),
    ("json", '{"a": NaN}', None, {"schema": {"type": "object"}}, 0),
    ("json", '{"a": 1}', None, {"schema": {"type": "object", "required": ["a"]}}, 1),
    ("json", '{"b": 1}', None, {"schema": {"type": "object", "required": ["a"]}}, 0),
    ("json", "[" * 100_000, "[]", {}, 0),
    ("contains", "It is PARIS, France.", "paris", {}, 1),
    ("contains", "17", "7", {}, 0),
    ("contains", "17", "7", {"whole_words": False}, 1),
    ("contains", "New\n York", "new york", {}, 1),
    ("regex", "order AB-12 is late", r"[A-Z]{2}-\d+", {}, 1),
    ("regex", "order AB-12 is late", r"[A-Z]{2}-\d+", {"full": True}, 0),
    ("token_f1", "the cat sat", "The cat", {}, 0.8),
    ("token_f1", "", "", {}, 1),
    ("token_f1", "dog", "cat", {}, 0),
    ("choice", "B", "B", {}, 1),
    ("choice", "(b) because", "B", {}, 1),
    ("choice", "A dog is an animal, so the answer is C.", "C", {}, 1),
    ("choice", "A or B", "A", {}, 0),
    ("choice", "Absolutely", "A", {}, 0),
    ("choice", "I think it is positive.", "positive", {"choices": ["positive", "negative"]}, 1),
    ("choice", "positive and negative", "positive", {"choices": ["positive", "negative"]}, 0),
]


@pytest.mark.parametrize(("name", "answer", "reference", "options", "score"), CASES)
def test_known_answers_get_the_known_score(name, answer, reference, options, score):
    assert grade(name, answer, reference, **options) == pytest.approx(score)


REFERENCES = {"numeric": "7", "json": '{"a": [1]}', "choice": "B", "regex": "a+b"}


@pytest.mark.parametrize("name", GRADERS.names())
@given(
    answer=st.text() | st.from_regex(r"[-+]?\d*[.,/e]?\d+[eE]?\d*") | st.recursive(st.none(), st.lists).map(json.dumps)
)
def test_no_answer_makes_a_grader_raise_or_leave_the_range(name, answer):
    assert 0 <= grade(name, answer, REFERENCES.get(name, "some text")) <= 1


@pytest.mark.parametrize("name", ["exact", "normalised", "contains", "token_f1"])
@given(reference=st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1))
def test_the_reference_itself_is_right(name, reference):
    assert grade(name, reference, reference) == 1


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_a_number_is_itself_with_and_without_words_and_separators(number):
    assert grade("numeric", f"So it is {number:,} in all", str(number)) == 1


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("exactt", "unknown grader 'exactt': did you mean 'exact'"),
        ("numeric:tolerence=1", "unknown option 'tolerence' of the grader 'numeric': did you mean 'tolerance'"),
        ("numeric:tolerance", "must be written name=value"),
        ({"tolerance": 1}, "has no 'name'"),
        ('{"name": ', "is not JSON"),
        (3, "a grader is a name or an object"),
        ("judge:modle=base", "did you mean 'model'"),
    ],
)
def test_a_grader_that_cannot_be_is_refused(written, message):
    with pytest.raises(ConfigError, match=message):
        GraderSpec.parse(written)


@pytest.mark.parametrize(
    ("written", "reference", "message"),
    [
        ("regex", "(", "is not a regular expression"),
        ("json", "{a", "is not JSON"),
        ({"name": "json", "schema": {"type": "objekt"}}, None, "the JSON Schema .* is not valid"),
        ("json", None, "there is no answer"),
        ("numeric", "many", "holds no number"),
        ("numeric:which=middle", "1", "which must be last, first or only"),
        ("choice", "Z", "is none of the choices A, B"),
        ("exact", None, "there is no answer, and the grader 'exact' needs one"),
    ],
)
def test_a_reference_that_cannot_be_graded_is_refused_before_anything_is_asked(written, reference, message):
    with pytest.raises(ConfigError, match=message):
        GraderSpec.parse(written).check(reference)


@pytest.mark.parametrize(
    "written", ["exact", "numeric:tolerance=0.5,which=first", {"name": "json", "schema": {"type": "array"}}]
)
def test_the_written_form_of_a_grader_reads_back(written):
    spec = GraderSpec.parse(written)
    assert GraderSpec.parse(spec.to_text()) == spec
