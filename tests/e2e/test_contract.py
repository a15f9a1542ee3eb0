"""The contract's cases, unchanged: through nginx and Redis, who calls by a token, and on the core alone with who calls given to
the plan."""
import contract
import pytest

CASES = contract.cases()


def by_name(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case["name"])


def test_the_cases_are_all_there():
    assert len(CASES) == 318
    assert sum(map(contract.needs_principal, CASES)) == 41


@by_name(CASES)
def test_server(case, lark):
    contract.run_case(case, lark.transport)


@by_name(CASES)
def test_core(case, plan_host):
    contract.run_case(case, plan_host.transport)
