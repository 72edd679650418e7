from __future__ import annotations

import pytest

from stream_magic.errors import ConfigError
from stream_magic.magics.arguments import read_line, refuse_unknown


def test_words_and_options_are_told_apart():
    line = read_line("%%cq", "revenue --chart line --once --x window_end", flags=("once",))
    assert [w.text for w in line.words] == ["revenue"]
    assert line.value("chart") == "line"
    assert line.value("x") == "window_end"
    assert line.value("once") is None
    assert "once" in line.options


def test_quotes_hold_a_value_together_and_are_taken_away():
    line = read_line("%%cq", """--title "Revenue, all shops" --x='window end' it''s""")
    assert line.value("title") == "Revenue, all shops"
    assert line.value("x") == "window end"
    assert [w.text for w in line.words] == ["its"]


def test_places_count_in_the_line_as_it_is_written():
    line = read_line("%%cq", "revenue --chart line")
    option = line.options["chart"]
    assert option.name_span.fragment == "--chart"
    assert option.value is not None
    assert option.value.span.fragment == "line"
    assert option.name_span.text == "%%cq revenue --chart line"


@pytest.mark.parametrize(
    ("text", "code", "under"),
    [
        ("--chart", "SM7062", "--chart"),
        ("--chart --x a", "SM7062", "--chart"),
        ("--x a --x b", "SM7061", "--x"),
        ("--title 'never closed", "SM7064", "'never closed"),
    ],
)
def test_a_line_that_cannot_be_read_says_where(text: str, code: str, under: str):
    with pytest.raises(ConfigError) as caught:
        read_line("%%cq", text)
    assert caught.value.code == code
    assert caught.value.span is not None
    assert caught.value.span.fragment == under


def test_an_option_that_does_not_exist_names_the_one_that_was_meant():
    with pytest.raises(ConfigError, match="no option --chrat") as caught:
        refuse_unknown(read_line("%%cq", "--chrat line"), "%%cq", ("app", "chart"))
    assert caught.value.hint == "did you mean --chart?"
