import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ContextOverflow, Message, Request, Sampling
from workbench.core.errors import ConfigError
from workbench.core.validation import parse
from workbench.prompts import Example, TemplateConfig, compose, fit

TEMPLATE = TemplateConfig(system="Be short.", template="Q: {prompt} A:", examples=(Example(prompt="1", answer="2"),))


def words(request):
    return sum(len(message.content.split()) for message in request.messages)


def texts(request):
    return [(message.role, message.content) for message in request.messages]


def conversation(n_turns, system="rules"):
    messages = [Message("system", system)]
    for turn in range(n_turns):
        messages += [Message("user", f"question {turn}"), Message("assistant", f"answer {turn}")]
    return Request((*messages, Message("user", "last question")), Sampling(max_tokens=4))


def test_role_examples_and_wording_go_around_the_last_message():
    request = Request((Message("user", "old"), Message("assistant", "yes"), Message("user", "new")))
    assert texts(compose(request, TEMPLATE, 10)) == [
        ("system", "Be short."),
        ("user", "Q: 1 A:"),
        ("assistant", "2"),
        ("user", "old"),
        ("assistant", "yes"),
        ("user", "Q: new A:"),
    ]


def test_the_callers_own_system_message_follows_the_role():
    request = Request((Message("system", "In French."), Message("user", "hello")))
    assert compose(request, TEMPLATE, 10).messages[0] == Message("system", "Be short.\n\nIn French.")


def test_braces_in_a_prompt_are_text():
    request = Request.from_prompt("{prompt} {x} {")
    assert compose(request, TemplateConfig(template="<{prompt}> {y}"), 10).prompt == "<{prompt} {x} {> {y}"


def test_the_answers_limit_is_the_smaller_of_both():
    request = Request.from_prompt("x", sampling=Sampling(max_tokens=50))
    assert compose(request, TEMPLATE, 10).sampling.max_tokens == 10
    assert compose(request, TEMPLATE, 100).sampling.max_tokens == 50


def test_a_template_without_a_place_for_the_prompt_is_refused():
    with pytest.raises(ConfigError, match=r"stack.yaml: template: a template needs \{prompt\}"):
        parse(TemplateConfig, {"template": "Answer!"}, "stack.yaml")


def test_what_fits_stays_whole():
    request = conversation(3)
    assert fit(request, words, 1000, "m").request == request


def test_the_oldest_turns_go_first_and_whole():
    composed = fit(conversation(5), words, 15, "m")
    assert composed.n_dropped_turns == 3
    assert texts(composed.request) == [
        ("system", "rules"),
        ("user", "question 3"),
        ("assistant", "answer 3"),
        ("user", "question 4"),
        ("assistant", "answer 4"),
        ("user", "last question"),
    ]


@given(st.integers(0, 12), st.integers(5, 70))
def test_no_more_turns_go_than_must(n_turns, window):
    request = conversation(n_turns)
    try:
        composed = fit(request, words, window, "m")
    except ContextOverflow:
        assert window < 1 + 2 + 4
        return
    assert composed.prompt_tokens == words(composed.request) <= window - 4
    assert composed.request.messages[0].role == "system"
    assert composed.request.messages[-1].content == "last question"
    if composed.n_dropped_turns:
        assert composed.prompt_tokens + 4 > window - 4


def test_examples_are_not_taken_for_turns():
    request = compose(conversation(4), TemplateConfig(examples=(Example(prompt="e", answer="f"),)), 4)
    composed = fit(request, words, 15, "m", n_examples=1)
    assert ("user", "e") in texts(composed.request)
    assert composed.n_dropped_turns == 3


def test_what_cannot_fit_says_by_how_much():
    with pytest.raises(ContextOverflow, match=r"3 tokens.*holds 6") as caught:
        fit(conversation(2), words, 6, "m")
    assert (caught.value.prompt_tokens, caught.value.answer_tokens, caught.value.context_window) == (3, 4, 6)


def test_nothing_goes_where_tokens_cannot_be_counted():
    request = conversation(5)
    composed = fit(request, lambda _: None, 5, "m")
    assert (composed.request, composed.prompt_tokens) == (request, None)
