"""Runs and pages that several tests look at, made once."""

import pytest
from page_world import page_of, run_all, write_instances, write_labels

from bench.report.page import render


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory):
    """Two datasets, and the results of three runs on them."""
    folder = tmp_path_factory.mktemp("page")
    write_instances(folder)
    write_labels(folder)
    return folder


@pytest.fixture(scope="session")
def page_store(page_folder):
    return run_all(page_folder, page_folder / "results")


@pytest.fixture(scope="session")
def page(page_store):
    return page_of(page_store)


@pytest.fixture(scope="session")
def page_text(page):
    return render(page)
