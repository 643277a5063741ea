"""A page in a real browser: it loads without a complaint, sorts, filters, shows its pictures."""

import pytest
from chromium import Chromium, installed

pytestmark = pytest.mark.skipif(installed() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def file(page_text, tmp_path_factory):
    path = tmp_path_factory.mktemp("browser") / "report.html"
    path.write_text(page_text)
    return path


@pytest.fixture(scope="module")
def browser():
    with Chromium() as found:
        yield found


@pytest.fixture
def shown(browser, file):
    browser.open(file.as_uri())
    return browser


ROWS = "[...document.querySelectorAll('#board tbody tr')].filter(row => !row.hidden)"
HEADING = "[...document.querySelectorAll('#board th[data-column]')].find(h => h.dataset.task)"


def test_it_loads_alone_and_without_a_complaint(shown, file):
    assert shown.complaints() == []
    assert shown.requests() == [file.as_uri()]
    assert shown.run("document.title").endswith("bench report")


def test_a_browser_that_complains_is_heard(shown, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<script>console.warn('one'); nothing.there</script><img src='gone.png'>")
    shown.open(page.as_uri())
    assert len(shown.complaints()) == 3
    assert len(shown.requests()) == 2


def test_a_heading_sorts_by_mouse_and_by_key(shown):
    values = f"{ROWS}.map(row => row.cells[{HEADING}.dataset.column].dataset.value ?? null)"
    state = f"{HEADING}.getAttribute('aria-sort')"

    def numbers():
        found = shown.run(values)
        known = [float(value) for value in found if value is not None]
        assert found[len(known) :] == [None] * (len(found) - len(known))  # absent ones last
        return known

    before = shown.run(state)
    assert len(numbers()) > 2
    shown.run(f"{HEADING}.querySelector('button').click()")
    first = shown.run(state)
    assert first != before
    assert numbers() == sorted(numbers(), reverse=first == "descending")
    shown.run(f"{HEADING}.querySelector('button').focus()")
    shown.press("Enter", 13)
    second = shown.run(state)
    assert {first, second} == {"ascending", "descending"}
    assert numbers() == sorted(numbers(), reverse=second == "descending")
    sorted_by = "document.querySelectorAll('#board th[aria-sort]:not([aria-sort=none])').length"
    assert shown.run(sorted_by) == 1


def test_names_sort_from_a(shown):
    heading = "document.querySelector('table.classes th[data-column=\"0\"] button')"
    names = "[...document.querySelectorAll('table.classes')][0].tBodies[0].rows"
    shown.run(f"{heading}.click()")
    found = shown.run(f"[...{names}].map(row => row.cells[0].textContent)")
    assert found == sorted(found)


def test_filters_leave_what_is_asked_for(shown):
    everything = shown.run(f"{ROWS}.length")
    assert everything > 2
    typed = """(name, value) => {
        const field = document.querySelector('[data-board]').elements[name];
        field.value = value;
        field.dispatchEvent(new Event('input', {bubbles: true}));
    }"""
    shown.run(f"({typed})('system', 'PROMPT')")
    systems = shown.run(f"{ROWS}.map(row => row.textContent)")
    assert 0 < len(systems) < everything
    assert all("prompt" in system for system in systems)
    said = shown.run("document.querySelector('[data-board] output').textContent")
    assert said == f"{len(systems)} of {everything} systems"
    shown.run(f"({typed})('system', '')")
    shown.run(f"({typed})('dataset', 'ground')")
    shown_headings = (
        "[...document.querySelectorAll('#board thead tr:nth-child(2) th')]"
        ".filter(h => !h.hidden).map(h => h.dataset.dataset)"
    )
    assert set(shown.run(shown_headings)) == {"ground"}
    assert 0 < shown.run(f"{ROWS}.length") < everything
    shown.run(f"({typed})('dataset', '')")
    assert shown.run(f"{ROWS}.length") == everything


def test_all_pictures_are_shown_and_enlarge(shown):
    pictures = "[...document.querySelectorAll('.picture img')]"
    loaded = f"Promise.all({pictures}.map(i => i.decode().then(() => i.naturalWidth)))"
    widths = shown.run(loaded)
    assert len(widths) > 10
    assert min(widths) > 100
    shown.run("document.querySelector('.picture').click()")
    enlarged = "document.getElementById('enlarged')"
    alt = f"{enlarged}.querySelector('img').alt"
    assert shown.run(f"{enlarged}.open")
    first = shown.run(alt)
    assert shown.run(f"{enlarged}.querySelector('img').decode().then(() => true)")
    shown.press("ArrowRight", 39)
    assert shown.run(alt) != first
    shown.press("Escape", 27)
    assert not shown.run(f"{enlarged}.open")
    shown.run("new Promise((done) => setTimeout(done, 100))")  # the close event comes later
    assert shown.run("document.activeElement.className") == "picture"


def test_the_drawn_curve_has_a_name_and_a_line(shown):
    assert (
        shown.run("document.querySelector('#curves svg[role=img] .stroke').getTotalLength()") > 50
    )


def test_a_link_to_a_run_opens_its_card(shown):
    target = shown.run(
        "(link => (link.click(), link.hash))(document.querySelector('.scores a[href^=\"#run-\"]'))"
    )
    opened = f"new Promise(r => setTimeout(() => r(document.querySelector('{target}').open), 100))"
    assert shown.run(opened)


def test_paper_has_no_folds(shown, tmp_path):
    closed = "document.querySelectorAll('details:not([open])').length"
    assert shown.run(closed) > 0
    shown.run(f"addEventListener('beforeprint', () => {{ window.folded = {closed}; }})")
    shown.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert shown.run("window.folded") == 0
    assert shown.run(closed) > 0


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_scrolls_tables_and_not_the_page(file, dark):
    with Chromium(width=390, height=844, dark=dark) as phone:
        phone.open(file.as_uri())
        assert phone.complaints() == []
        assert phone.run("document.documentElement.scrollWidth") <= 390
        ground = phone.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 384) == dark
