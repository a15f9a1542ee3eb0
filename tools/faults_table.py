"""The rows that tests/faults told (`told` in faults.py), from pytest's junit file, as a table."""
import json
import textwrap
import xml.etree.ElementTree as ElementTree

WIDTHS = (46, 62, 42)


def rows(junit):
    """[(fault, figure, bar, verdict)]; a test that failed before it had a figure has a row, too."""
    found = []
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        told = [json.loads(one.get("value")) for one in case.iter("property") if one.get("name") == "row"]
        passed = "ok, at the second try" if case.get("second") else "ok"
        found += [(fault, figure, bar, passed if good else "FAILED") for fault, figure, bar, good in told]
        failed = any(child.tag in ("failure", "error") for child in case)
        if failed and all(good for *_, good in told):
            found.append((case.get("name"), "see above", "", "FAILED"))
        if any(child.tag == "skipped" for child in case):
            found.append((case.get("name"), case.find("skipped").get("message"), "", "skipped"))
    return found


def show(junit):
    show_rows(rows(junit))


def show_rows(found):
    """(fault, figure, bar, verdict) each."""
    line = f"{{:<{WIDTHS[0]}}} | {{:<{WIDTHS[1]}}} | {{:<{WIDTHS[2]}}} | {{}}"
    print(line.format("fault", "figure", "bar", ""))
    print(line.format(*("-" * width for width in WIDTHS), "---"))
    for *texts, verdict in found:
        columns = [textwrap.wrap(text, width) or [""] for text, width in zip(texts, WIDTHS)]
        for i in range(max(map(len, columns))):
            print(line.format(*(column[i] if i < len(column) else "" for column in columns), "" if i else verdict))
