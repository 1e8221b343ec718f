"""The examples in docstrings are true, and each package of the library has one."""

import doctest
import importlib
import pkgutil

import pytest

import datasync
import shared

MODULES = [
    *("shared", *(module.name for module in pkgutil.walk_packages(shared.__path__, "shared."))),
    *("datasync", *(module.name for module in pkgutil.walk_packages(datasync.__path__, "datasync."))),
]
PACKAGES = [module.name for module in pkgutil.iter_modules(shared.__path__, "shared.") if module.ispkg]


def examples(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    said: list[str] = []
    for test in examples(name):
        doctest.DocTestRunner().run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_has_an_example(package: str) -> None:
    modules = (name for name in MODULES if name == package or name.startswith(f"{package}."))
    assert any(examples(name) for name in modules)
