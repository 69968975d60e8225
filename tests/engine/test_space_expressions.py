"""Expressions: what can be written, what it means, what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from offbeat.config_space import choice, optional, randint, require, uniform, when
from offbeat.errors import InvalidSpace
from offbeat.space import Expression, Space
from offbeat.space.expressions import UNKNOWN

NAMES = ("x", "y", "n", "flag", "kind")
NUMBERS = st.integers(-5, 5) | st.floats(-4, 4).map(lambda x: round(x, 3))
TEXTS = st.text("ab'\" \\`é\n", max_size=4)


def numeric() -> st.SearchStrategy[str]:
    leaves = NUMBERS.map(str) | st.sampled_from(["x", "y", "n"])
    return st.recursive(
        leaves,
        lambda part: st.one_of(
            st.tuples(part, st.sampled_from("+-*/"), part).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
            part.map(lambda p: f"({p})"),
            part.map(lambda p: f"-{p}"),
        ),
        max_leaves=5,
    )


def logical() -> st.SearchStrategy[str]:
    signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    leaves = st.one_of(
        st.tuples(numeric(), signs, numeric()).map(" ".join),
        st.tuples(numeric(), signs, numeric(), signs, numeric()).map(" ".join),
        st.tuples(st.sampled_from(["kind == ", "kind != ", "kind < "]), TEXTS.map(repr)).map("".join),
        st.tuples(numeric(), st.sampled_from(["in", "not in"]), st.lists(NUMBERS, min_size=1, max_size=3).map(str)).map(
            " ".join
        ),
        st.just("flag"),
    )
    return st.recursive(
        leaves,
        lambda part: st.one_of(
            st.tuples(part, st.sampled_from(["and", "or"]), part).map(" ".join),
            part.map(lambda p: f"not {p}"),
            part.map(lambda p: f"({p})"),
        ),
        max_leaves=6,
    )


VALUES = st.fixed_dictionaries(
    {"x": NUMBERS, "y": NUMBERS, "n": st.integers(0, 5), "flag": st.booleans(), "kind": TEXTS}
)


@given(logical(), VALUES)
def test_they_mean_what_python_means(text: str, values: dict[str, Any]) -> None:
    try:
        expected = eval(text, {}, values)
    except ZeroDivisionError:
        assume(False)
    assert Expression(text).evaluator({})(values) is expected


@given(logical())
def test_the_usual_form_reads_as_the_same_expression(text: str) -> None:
    expression = Expression(text)
    again = Expression(expression.text)
    assert again == expression == pickle.loads(pickle.dumps(expression))
    assert again.text == expression.text == str(expression)
    assert again.names == expression.names
    assert hash(again) == hash(expression)


@given(logical(), VALUES, st.lists(st.sampled_from(NAMES)))
def test_unknown_is_answered_only_if_the_missing_values_decide(
    text: str, values: dict[str, Any], missing: list[str]
) -> None:
    evaluate = Expression(text).evaluator({})
    known = {name: value for name, value in values.items() if name not in missing}
    answer = evaluate(known)
    if answer is not UNKNOWN:
        assert answer is evaluate(values)
    if not set(Expression(text).names) & set(missing):
        assert answer is not UNKNOWN


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a == 1 and b == 2", UNKNOWN), ("a == 2 and b == 2", False), ("a == 1 or b == 2", True),
        ("a == 2 or b == 2", UNKNOWN), ("not b == 2", UNKNOWN), ("b + 1 > a", UNKNOWN), ("b in [1, 2]", UNKNOWN),
        ("nothing > 1", UNKNOWN), ("nothing + 1 == 2", UNKNOWN), ("nothing == None", True), ("nothing != 3", True),
        ("nothing in [None, 3]", True), ("not nothing in [3]", True),
    ],
)  # fmt: skip
def test_three_answers(text: str, answer: Any) -> None:
    assert Expression(text).evaluator({})({"a": 1, "nothing": None}) is answer


def test_arithmetic_never_fails() -> None:
    values = {"zero": 0, "one": 1, "huge": 1e308}
    for text, answer in {
        "one / zero > 5": True, "-one / zero < 5": True, "one / zero == one / zero": True, "zero / zero == zero": False,
        "zero / zero != zero": True, "huge * huge > huge": True, "one / -0.0 < 0": True, "huge * huge / huge > 1": True,
    }.items():  # fmt: skip
        assert Expression(text).evaluator({})(values) is answer, text


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("a=='it''s'", None),
        ("a == 'it\\'s'", "a == 'it\\'s'"),
        ('a == "it\'s \\"so\\" \\u00e9"', "a == 'it\\'s \"so\" é'"),
        ("(a) < (b) < 3", "a < b and b < 3"),
        ("((a or b)) or (c and (d))", "a or b or c and d"),
        ("not(a)and b", "not a and b"),
        ("not (a and b)", "not (a and b)"),
        ("a - (b - c) == a - b - c", "a - (b - c) == a - b - c"),
        ("a / (b * c) > -(1)", "a / (b * c) > -1"),
        ("a == true and b != null or false", "a == True and b != None or False"),
        ("`learning rate` > .5 and `not` == 1e-3", "`learning rate` > 0.5 and `not` == 0.001"),
        ("a in [1, 2.0, 'x', [3, [None]]]", "a in [1, 2.0, 'x', [3, [None]]]"),
        ("größe >= 3", "größe >= 3"),
    ],
)
def test_the_usual_form(text: str, usual: str | None) -> None:
    if usual is None:
        with pytest.raises(InvalidSpace, match="character"):
            Expression(text)
    else:
        assert Expression(text).text == usual


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1", ["character 3", "write == to compare"]),
        ("a ==", ["character 5", "it ends where a name"]),
        ("", ["it ends"]),
        ("a == 'x", ["character 6", "never closed"]),
        ("`a", ["never closed"]),
        ("a & b", ["write and, or, not"]),
        ("a ! b", ["write and, or, not"]),
        ("a == b)", ["character 7", "')' stands where"]),
        ("(a == b", ["')'"]),
        ("a b", ["'b' stands where an operator"]),
        ("a not b", ["'in' after 'not'"]),
        ("a in [b]", ["a text stands in quotes"]),
        ("a in [1 2]", ["',' or ']'"]),
        ("a in [1, ", ["it ends"]),
        ("f(x) == 1", ["'(' stands where"]),
        ("a.b == 1", ["'.'", "backticks"]),
        ("a @ b", ["'@'"]),
        ("__import__('os')", ["'(' stands where"]),
        ("1e999 == a", ["too large"]),
        ("9" * 5000 + " == a", ["too large"]),
        ("a == '\\q'", ["escape"]),
        ("a == '\\u0000'", ["NUL"]),
        ("a == '\\ud800'", ["surrogate"]),
        ("(" * 51 + "a" + ")" * 51, ["more than 50 brackets"]),
        ("not " * 101 + "a", ["more than 100 signs"]),
        ("-" * 101 + "a == 1", ["more than 100 signs"]),
        ("a + " * 101 + "a == 1", ["more than 100 signs"]),
        ("a" * 10_001, ["10001 characters"]),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, words: list[str]) -> None:
    for build in (Expression, require, lambda t: when(uniform(0, 1), t)):
        with pytest.raises(InvalidSpace) as error:
            build(text)
        assert all(word in str(error.value) for word in words), str(error.value)
        assert len(str(error.value)) < 400


def test_only_text_is_an_expression() -> None:
    with pytest.raises(InvalidSpace, match="put it in quotes"):
        Expression(True)  # type: ignore[arg-type]


SPACE = {
    "opt": choice(["adam", "sgd"]),
    "layers": randint(1, 20),
    "lr": uniform(0, 1),
    "flag": choice([True, False]),
    "clip": optional(uniform(0, 1)),
    "sizes": choice([[1, 2], [3]]),
    "epochs": 9,
    "levels": [1, 3],
}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer > 3", ["has no 'layer'", "Did you mean 'layers'"]),
        ("opt == sgd", ["'sgd' is no name", "write 'sgd'"]),
        ("opt == 'sdg'", ["opt is never 'sdg'", "one of 'adam', 'sgd'", "Did you mean 'sgd'"]),
        ("opt in ['adam', 'sdg']", ["never 'sdg'"]),
        ("layers == 25", ["never 25", "from 1 to 20"]),
        ("layers != 2.5", ["never 2.5"]),
        ("lr == None", ["never None"]),
        ("sizes == [1]", [r"never [1]"]),
        ("opt == 3", ["opt is a text and 3 is a number", "never equal"]),
        ("flag == 1", ["never equal"]),
        ("opt > 1", ["needs two numbers, or two texts"]),
        ("flag < True", ["needs two numbers"]),
        ("opt + 1 == 2", ["opt is a text", "'+' needs a number"]),
        ("-flag == 1", ["'-' needs a number"]),
        ("layers", ["is a number, neither true nor false"]),
        ("layers and flag", ["layers is a number", "'and' needs true or false"]),
        ("not opt", ["'not' needs"]),
        ("layers in 3", ["'in' needs a list"]),
        ("layers in sizes", ["sizes is a hyperparameter", "written out"]),
        ("layers in []", ["never in it"]),
        ("other > 1", ["'other' is a constraint"]),
        ("epochs > 3", ["names no hyperparameter"]),
    ],
)
def test_what_makes_no_sense_over_a_space(text: str, words: list[str]) -> None:
    with pytest.raises(InvalidSpace) as error:
        Space({**SPACE, "rule": require(text), "other": require("layers > 0")})
    assert str(error.value).startswith("'rule': ")
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "opt == 'sgd'", "layers in levels", "layers < epochs", "clip == None", "clip != None and clip > 0.5", "flag",
        "flag == (layers > 3)", "sizes == [1, 2]", "sizes in [[1, 2], [3]]", "opt < 'b'", "lr != 1", "epochs > 5 or flag",
    ],
)  # fmt: skip
def test_what_makes_sense(text: str) -> None:
    space = Space({**SPACE, "rule": require(text)})
    assert space.constraints == {"rule": Expression(text)}
    for i in range(50):
        config = space.from_units([(i * 0.37 + 0.11 * k) % 1 for k in range(space.width)])
        given_ = {**space.constants, **config}
        python = None if given_["clip"] is None and "clip >" in text else eval(text, {}, given_)
        assert python in (True, None)
