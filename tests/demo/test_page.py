"""The page in a real browser: uploads, a microphone, wrong files, three faces; and that nothing leaves the machine."""

import os
import re
import subprocess
import sys
import time

import pytest

from speakerkd.demo.server import sweep

pytest.importorskip("gradio")


@pytest.fixture(scope="module")
def page(tiny, tmp_path_factory):
    """The address of a page, in a process of its own."""
    command = [sys.executable, "-m", "speakerkd.cli.main", "demo", "--model", str(tiny), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--seconds", "10", "--threshold", "-0.7"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("serving"),
    )
    line = process.stdout.readline()
    assert line.startswith("http://127.0.0.1:"), process.communicate()
    yield line.split()[0]
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_old_uploads_are_dropped_and_new_ones_stay(tmp_path):
    for name, age in (("old", 700), ("new", 5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").touch()
        os.utime(tmp_path / name / "a.wav", (time.time() - age,) * 2)
    sweep(tmp_path, time.time() - 600)
    assert not (tmp_path / "old/a.wav").exists() and (tmp_path / "new/a.wav").exists()


@pytest.mark.slow
def test_the_page_answers_this_machine_and_names_no_other(page):
    import httpx

    answer = httpx.get(page)
    assert answer.status_code == 200 and "connect-src 'self'" in answer.headers["content-security-policy"]
    fetched = re.findall(r"""(?:src|href)=["'](https?://[^"']+)""", answer.text)
    assert [link for link in fetched if not link.startswith(page)] == []
    assert httpx.get(page, headers={"host": "elsewhere.example"}).status_code == 400
    theme = httpx.get(f"{page}theme.css").text
    assert not re.search(r"""@import|url\(["']?https?:""", theme)


@pytest.mark.slow
@pytest.mark.parametrize("microphone", [True, False])
def test_two_recordings_are_compared_in_a_browser(page, corpus, tmp_path, microphone):
    from demo.browser import PATH, Browser

    if PATH is None:
        pytest.skip("no Chromium here")
    wrong = tmp_path / "no sound.wav"
    wrong.write_text("no sound")
    first, second = (str(corpus.root / f"{corpus.keys[k]}.wav") for k in (1, 5))
    answer = "document.querySelector('#verified .verdict, #verified [role=alert]')?.innerText"
    browser = Browser(tmp_path / "profile", microphone)
    try:
        browser.open(page)
        browser.click("Compare")
        assert "a recording is missing" in browser.until(answer)
        browser.give("#first input[type=file]", first)
        if microphone:
            browser.click("Record audio")
            browser.click("Record")
            time.sleep(1.5)
            browser.click("Stop")
            browser.until("!document.querySelector('#second')?.innerText.includes('Stop')")
        else:
            browser.click("Record audio")
            browser.until("document.querySelector('#second').innerText.includes('No microphone')")
            browser.open(page)
            browser.give("#first input[type=file]", first)
            browser.give("#second input[type=file]", wrong)
        browser.until("document.querySelectorAll('#first [aria-label=Play], #second [aria-label=Play]').length > 0")
        time.sleep(1)
        browser.click("Compare")
        shown = browser.until(f"({answer} || '').includes('missing') ? '' : {answer}")
        if microphone:
            assert shown in ("Same speaker", "Different speakers")
        else:
            assert "no sound.wav" in shown and "not a readable recording" in shown
        asked = {url for url in browser.requests if not url.startswith(("data:", "blob:", page))}
        assert asked == set()
    finally:
        browser.close()
