"""Every message can be written out, for mail and for SMS, whatever the values are."""

import pytest

from guilder.kernel.errors import InvariantViolation
from guilder.notifications.rules import TEMPLATES
from guilder.notifications.templates import write
from tests.support.messages import SAMPLES

# 3GPP TS 23.038: what fits 160 to an SMS, without those that take two places.
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


def test_there_is_a_sample_for_each() -> None:
    assert set(SAMPLES) == set(TEMPLATES)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_each_is_written_out(name: str) -> None:
    written = write(name, SAMPLES[name], brand="Guilder")
    assert 5 < len(written.subject) < 60
    assert "{" not in written.text + written.short + written.subject
    assert "Guilder" in written.text
    assert "Guilder" in written.html
    assert written.short.startswith("Guilder: ")
    assert len(written.short) <= 160, "one SMS"
    assert set(written.short) <= GSM, "or it has room for 70 characters only"
    assert "\n\n\n" not in written.text
    for shown in SAMPLES[name]:
        assert SAMPLES[name][shown] in written.text
        assert SAMPLES[name][shown] in written.html
    for code in ("code", "link"):
        if code in SAMPLES[name]:
            assert SAMPLES[name][code] in written.short
            assert SAMPLES[name][code] not in written.subject


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_each_does_with_what_it_needs(name: str) -> None:
    needed = {group[0]: SAMPLES[name][group[0]] for group in TEMPLATES[name].needs}
    written = write(name, needed, brand="Guilder")
    assert "None" not in written.text + written.html + written.short
    assert "When" not in written.text


def test_a_code_may_stand_for_a_link() -> None:
    for name in ("verify_email", "password_reset"):
        written = write(name, {"code": "12345678"}, brand="Guilder")
        assert "12345678" in written.text
        assert "12345678" in written.html
        assert "12345678" in written.short


def test_asvs_1_2_1_values_are_no_markup_and_begin_no_line() -> None:
    device = '<img src=x onerror="alert(1)">\r\n\r\nYour code is 1'
    written = write("new_device", {"device": device}, brand='<b>"Guilder"</b>')
    assert "<img" not in written.html
    assert "<b>" not in written.html
    assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt; Your code is 1" in written.html
    assert 'Device: <img src=x onerror="alert(1)"> Your code is 1\n' in written.text


def test_asvs_1_2_2_a_link_is_escaped_and_leads_to_the_web() -> None:
    link = 'https://pay.example.com/?a=1&b="c"'
    written = write("password_reset", {"link": link}, brand="Guilder")
    assert 'href="https://pay.example.com/?a=1&amp;b=&#34;c&#34;"' in written.html
    assert f"\n{link}\n" in written.text
    with pytest.raises(InvariantViolation):
        write("password_reset", {"link": "javascript:alert(1)"}, brand="Guilder")


def test_other_values_are_not_shown() -> None:
    written = write("account_closed", {"code": "12345678"}, brand="Guilder")
    assert "12345678" not in written.text + written.html + written.short


def test_an_unknown_template_is_ours_to_mend() -> None:
    with pytest.raises(InvariantViolation):
        write("../layout", {}, brand="Guilder")
